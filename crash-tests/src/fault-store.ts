import { rmSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { storeOn } from '../../src/api/open.js'
import type { Keyspace, Store } from '../../src/index.js'
import { Engine } from '../../src/tx/engine.js'
import { contentOf } from './engine-content.js'
import type { CaseResult } from './fault-judge.js'
import { codeOf, judgeFailure } from './fault-judge.js'
import type { PoolKind } from './fault-scenarios.js'
import { scenarioOptions } from './fault-scenarios.js'
import { clearFault, heldNow, setFault } from './faults.js'
import type { FaultRule } from './faults.js'
import { Random } from './random.js'

type AnyStore = Store<string | number>

export interface StoreOperation {
  readonly name: string
  readonly run: (store: AnyStore) => void
}

const people = (store: AnyStore): Keyspace<string | number, unknown> =>
  store.keyspace<string | number, unknown>('people')

/** What a program does with a store: each is atomic, so that a failure leaves what was there before it or after it. */
export const STORE_OPERATIONS: readonly StoreOperation[] = [
  { name: 'put', run: (store) => store.put('ada', { born: 1815, name: 'Ada' }) },
  {
    name: 'transaction that creates a keyspace',
    run: (store) =>
      store.transaction(() => {
        people(store).put('grace', { born: 1906, name: 'Grace', rank: 'admiral' })
        store.put('count', 1)
      }),
  },
  {
    name: 'transaction of many pages',
    run: (store) =>
      store.transaction(() => {
        // More frames than one staging chunk has, more words than the first program has, more pages than the ring.
        for (let i = 0; i < 700; i++) people(store).put(i, { i, text: 'x'.repeat(900 + (i % 50)) })
      }),
  },
  { name: 'large value', run: (store) => store.put('large', Buffer.alloc(100_000, 5)) },
  {
    name: 'nested transaction that is given up',
    run: (store) =>
      store.transaction(() => {
        store.put('outer', { outer: true })
        try {
          store.transaction(() => {
            people(store).put('never', { other: 'shape', of: 'object' })
            throw new GivenUp()
          })
        } catch (error) {
          if (!(error instanceof GivenUp)) throw error
        }
      }),
  },
  { name: 'update', run: (store) => void store.update('count', (count) => Number(count) + 1) },
  { name: 'delete', run: (store) => void people(store).delete(5) },
  { name: 'overwrite a large value', run: (store) => store.put('large', Buffer.alloc(150_000, 6)) },
  { name: 'drop a keyspace', run: (store) => void store.dropKeyspace('people') },
]

class GivenUp extends Error {}

/**
 * The operations above with one fault. One that is refused has changed nothing and succeeds when it is called again; one
 * that poisons the store is there or not after reopening, and everything before it is there.
 */
export class StoreCase {
  #outcome = 'carried on'

  constructor(
    private readonly path: string,
    private readonly kind: PoolKind,
    /** Content before the first operation and after each; filled by the first run, which has no fault. */
    private readonly digests: string[],
    private readonly rule: FaultRule | undefined,
  ) {}

  run(): CaseResult {
    rmSync(this.path, { force: true })
    const options = scenarioOptions(this.kind, new Random(78))
    const before = heldNow()
    const engine = Engine.open(this.path, options)
    const store = storeOn(engine) as unknown as AnyStore
    try {
      if (this.digests.length === 0) this.digests.push(contentOf(engine).digest)
      setFault(this.rule)
      const done = this.#work(engine, store)
      const { made, hits } = clearFault()
      if (this.rule !== undefined && hits === 0 && this.#outcome === 'carried on') this.#outcome = 'not reached'
      store.close()
      const after = heldNow()
      if (after !== before) throw new Error(`something was not given back: before ${before}; after ${after}`)
      this.#judgeReopened(done)
      return { made, outcome: this.#outcome }
    } catch (error) {
      clearFault()
      codeOf(() => engine.close())
      throw error
    }
  }

  /** Returns the numbers of operations that may have been done. */
  #work(engine: Engine, store: AnyStore): readonly number[] {
    for (const [index, { name, run }] of STORE_OPERATIONS.entries()) {
      try {
        run(store)
      } catch (error) {
        clearFault()
        this.#outcome = judgeFailure(error, this.rule, this.path, 1)
        if (codeOf(() => engine.usable()) === 'POISONED') {
          this.#expectPoisoned(store)
          return this.#outcome === 'POISONED' ? [index] : [index, index + 1]
        }
        this.#expectContent(engine, index, `${name} was refused`)
        run(store)
      }
      if (this.rule === undefined && this.digests.length === index + 1) this.digests.push(contentOf(engine).digest)
    }
    try {
      // A checkpoint may be under way in the background: its failure belongs to this case.
      if (codeOf(() => engine.usable()) === undefined) engine.flushNow()
    } catch (error) {
      this.#outcome = judgeFailure(error, this.rule, this.path, 1)
    }
    const quietly = codeOf(() => engine.usable()) === 'POISONED'
    if (!quietly) this.#expectContent(engine, STORE_OPERATIONS.length, 'everything is done')
    return [STORE_OPERATIONS.length]
  }

  #expectPoisoned(store: AnyStore): void {
    const calls = [
      () => store.get('ada'),
      () => store.put('more', 1),
      () => store.transaction(() => undefined),
      () => store.count(),
      () => store.keyspaces(),
      () => store.check(),
      () => store.stats(),
    ]
    for (const call of calls) {
      const code = codeOf(call)
      if (code !== 'POISONED') throw new Error(`a poisoned store answered ${code ?? 'a call'} instead of POISONED`)
    }
  }

  #expectContent(engine: Engine, done: number, when: string): void {
    if (this.digests.length <= done) return
    if (contentOf(engine).digest !== this.digests[done]) throw new Error(`${when}, and the store holds something else`)
  }

  #judgeReopened(done: readonly number[]): void {
    const engine = Engine.open(this.path, scenarioOptions(this.kind, new Random(79)))
    const store = storeOn(engine) as unknown as AnyStore
    try {
      const found = done.find((count) => this.digests[count] === contentOf(engine).digest)
      if (found === undefined) throw new Error('the reopened store does not hold what was acknowledged')
      const { ok, problems } = store.check()
      if (!ok) throw new Error(`check() finds ${problems[0].message}`)
      // Values are decoded with structures that lie in the pool, too.
      const ada = found === 0 ? undefined : { born: 1815, name: 'Ada' }
      if (!isDeepStrictEqual(store.get('ada'), ada)) throw new Error('a value is decoded to something else')
      for (const { run } of STORE_OPERATIONS) run(store)
    } finally {
      store.close()
    }
  }
}

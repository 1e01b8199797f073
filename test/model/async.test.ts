/**
 * Random mixtures of synchronous, asynchronous, relaxed and conflicting writes, with barriers ending at any time, against a list of
 * the states an ordered map goes through: transactions see the last one, plain reads one between the last acknowledged and
 * the last, a killed process leaves such a one, and a closed store the last.
 *
 * A failure prints seed and path; DAXKV_MODEL_SEED, DAXKV_MODEL_PATH and DAXKV_MODEL_RUNS as in store.test.ts.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { storeOn } from '../../src/api/open.js'
import type { StoreHandle } from '../../src/api/store.js'
import { Engine } from '../../src/tx/engine.js'
import { KeptMemory } from '../api/support.js'

const seed = Number(process.env['DAXKV_MODEL_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const path = process.env['DAXKV_MODEL_PATH']
const numRuns = Number(process.env['DAXKV_MODEL_RUNS'] ?? 60)

type Content = ReadonlyMap<number, string>

const key = fc.nat(40)
/** Lengths of values: mostly small, some in extents of their own. */
const length = fc.oneof(
  { weight: 8, arbitrary: fc.nat(200) },
  { weight: 1, arbitrary: fc.integer({ min: 2000, max: 30_000 }) },
)

const operation = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('put' as const), key, length }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('relaxed' as const), key, length }) },
  { weight: 12, arbitrary: fc.record({ op: fc.constant('putAsync' as const), key, length }) },
  { weight: 5, arbitrary: fc.record({ op: fc.constant('deleteAsync' as const), key }) },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('batchAsync' as const), keys: fc.array(key), length, fails: fc.boolean() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('transaction' as const), keys: fc.array(key), length, fails: fc.boolean() }),
  },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('transactionAsync' as const), key, turns: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('flush' as const), waits: fc.boolean() }) },
  { weight: 10, arbitrary: fc.record({ op: fc.constant('turn' as const) }) },
  { weight: 10, arbitrary: fc.record({ op: fc.constant('endBarrier' as const) }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('read' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('reopen' as const), kill: fc.boolean() }) },
)

type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

class AsyncRunner {
  private store: StoreHandle
  private memory: KeptMemory
  /** Every state so far; `acknowledged` is the last one that must survive whatever happens next. */
  private states: Content[] = [new Map()]
  private acknowledged = 0
  private pending: Promise<unknown>[] = []
  private count = 0
  /** Counts processes: what a killed one had promised is compared when it dies, and means nothing later. */
  private life = 0
  private lastIncrement: Promise<unknown> = Promise.resolve()

  constructor(private readonly durability: 'sync' | 'relaxed') {
    this.memory = this.newMemory()
    this.store = this.open()
  }

  async run(operations: readonly Operation[]): Promise<void> {
    for (const operation of operations) await this.apply(operation)
    await this.reopen(false)
    await this.reopen(true)
    this.store.close()
  }

  private newMemory(image?: Uint8Array): KeptMemory {
    const memory = new KeptMemory({
      sizeBytes: image?.length ?? 512 * 1024,
      segmentShift: 12,
      granularity: 'page',
      ...(image === undefined ? {} : { image }),
    })
    memory.barriersEnd = 'on demand'
    return memory
  }

  private open(): StoreHandle {
    const engine = Engine.open('model', {
      memory: this.memory,
      logSizeBytes: 128 * 1024,
      growthStepBytes: 64 * 1024,
      durability: this.durability,
      relaxedIntervalMs: 60_000,
    })
    const store = storeOn(engine, { keyEncoding: 'uint32', valueEncoding: 'string' })
    // Asynchronous transactions commit between the operations of the test: the tip is read after each.
    const endOperation = engine.endOperation.bind(engine)
    engine.endOperation = (result) => {
      const promise = endOperation(result)
      this.learn()
      return promise
    }
    return store
  }

  private get tip(): Content {
    return this.states[this.states.length - 1]
  }

  /** The next state: the tip with a change. Answers its number. */
  private next(change: (content: Map<number, string>) => void): number {
    const content = new Map(this.tip)
    change(content)
    return this.states.push(content) - 1
  }

  private value(letters: number): string {
    return `${++this.count} ${'x'.repeat(letters)}`
  }

  private acknowledge(state: number): void {
    this.acknowledged = Math.max(this.acknowledged, state)
  }

  private track(promise: Promise<unknown>, state: number): void {
    const { life } = this
    this.pending.push(
      promise.then(() => {
        if (life === this.life) this.acknowledge(state)
      }),
    )
  }

  private async apply(operation: Operation): Promise<void> {
    const { store } = this
    this.learn()
    switch (operation.op) {
      case 'put':
      case 'relaxed': {
        const value = this.value(operation.length)
        const durability = operation.op === 'put' ? 'sync' : 'relaxed'
        store.put(operation.key, value, { durability })
        // Both survive a kill, which is all this test does.
        this.acknowledge(this.next((content) => content.set(operation.key, value)))
        break
      }
      case 'putAsync': {
        const value = this.value(operation.length)
        this.track(
          store.putAsync(operation.key, value),
          this.next((content) => content.set(operation.key, value)),
        )
        break
      }
      case 'deleteAsync': {
        const found = this.tip.has(operation.key)
        const state = this.next((content) => content.delete(operation.key))
        this.track(
          store.deleteAsync(operation.key).then((was) => {
            assert.equal(was, found)
          }),
          state,
        )
        break
      }
      case 'batchAsync': {
        const value = this.value(operation.length)
        const writes: { type: 'put'; key: number; value: unknown }[] = operation.keys.map((one) => ({
          type: 'put',
          key: one,
          value,
        }))
        if (operation.fails) writes.push({ type: 'put', key: -1, value })
        const batch = store.batchAsync(writes)
        if (operation.fails) this.pending.push(assert.rejects(batch, { code: 'INVALID_ARGUMENT' }))
        else
          this.track(
            batch,
            this.next((content) => {
              for (const one of operation.keys) content.set(one, value)
            }),
          )
        break
      }
      case 'transaction': {
        const value = this.value(operation.length)
        const work = (): void => {
          this.compare(this.tip)
          for (const one of operation.keys) store.put(one, value)
          if (operation.fails) throw new RangeError('aborted')
        }
        if (operation.fails) assert.throws(() => store.transaction(work), RangeError)
        else {
          store.transaction(work)
          this.acknowledge(
            this.next((content) => {
              for (const one of operation.keys) content.set(one, value)
            }),
          )
        }
        break
      }
      case 'transactionAsync':
        this.increment(operation.key, operation.turns)
        break
      case 'flush': {
        const state = this.states.length - 1
        if (operation.waits) {
          store.flushSync()
          this.acknowledge(state)
        } else this.track(store.flush(), state)
        break
      }
      case 'turn':
        await turn()
        break
      case 'endBarrier':
        this.memory.endBarrier()
        await Promise.resolve()
        break
      case 'read':
        this.compareWithSome()
        break
      case 'reopen':
        await this.reopen(operation.kill)
    }
  }

  /** Reads a key, waits, and appends to its value: must meet the value it has read. */
  private increment(one: number, turns: number): void {
    const mark = this.value(3)
    const run = (): Promise<string> =>
      this.store.transactionAsync(
        async (tx) => {
          const before = (tx.get(one) as string | undefined) ?? ''
          for (let i = 0; i <= turns; i++) await turn()
          const after = (before + mark).slice(-300)
          tx.put(one, after)
          return after
        },
        { maxReruns: 10_000 },
      )
    // Relaxed ones commit without a hook to learn of it: one after the other, at most one a turn.
    const transaction = this.durability === 'sync' ? run() : this.lastIncrement.then(run)
    this.lastIncrement = transaction
    // It joins the tip some time after its last read; which state that was shows in the store, not here.
    this.pending.push(
      transaction.then((after) => {
        assert.ok(after.endsWith(mark))
      }),
    )
    this.catchUp = true
  }

  /** Asynchronous transactions commit between operations: the tip is read to learn of their writes. */
  private catchUp = false

  private learn(): void {
    if (!this.catchUp) return
    const actual = this.readTip()
    if (!sameContent(actual, this.tip)) this.states.push(actual)
  }

  private readTip(): Content {
    let content: Content = new Map()
    assert.throws(() => {
      this.store.transaction(() => {
        content = this.content()
        throw new RangeError('only reading')
      })
    }, RangeError)
    return content
  }

  private content(): Content {
    return new Map(this.store.range() as Iterable<[number, string]>)
  }

  private compare(expected: Content): void {
    this.learnInside()
    assert.deepEqual(this.content(), this.catchUp ? this.tip : expected)
  }

  private learnInside(): void {
    const actual = this.content()
    if (this.catchUp && !sameContent(actual, this.tip)) this.states.push(actual)
  }

  /** Plain reads see one of the states that are not superseded by an acknowledged one. */
  private compareWithSome(): void {
    this.learn()
    const actual = this.content()
    const allowed = this.states.slice(this.acknowledged)
    assert.ok(
      allowed.some((state) => sameContent(state, actual)),
      'plain reads see no state of the history',
    )
  }

  private async reopen(kill: boolean): Promise<void> {
    if (kill && !this.catchUp) {
      const image = this.memory.image()
      // The killed process is no more; what it promised was promised.
      this.memory = this.newMemory(image)
      this.life++
      this.pending = []
      this.store = this.open()
      const actual = this.content()
      const state = this.states.findLastIndex((content) => sameContent(content, actual))
      assert.ok(state >= this.acknowledged, `state ${state} survived the kill, ${this.acknowledged} was acknowledged`)
      this.states = [actual]
      this.acknowledged = 0
      assert.deepEqual(this.store.check().problems, [])
      return
    }
    await this.finish()
    this.store.close()
    this.memory = this.newMemory(this.memory.image())
    this.store = this.open()
    assert.equal(this.store.stats().recovery.outcome, 'clean')
    assert.deepEqual(this.content(), this.tip)
    this.states = [this.tip]
    this.acknowledged = 0
    assert.deepEqual(this.store.check().problems, [])
  }

  /** Lets everything that is pending end. */
  private async finish(): Promise<void> {
    this.memory.barriersEnd = 'soon'
    this.memory.endBarrier()
    let left = true
    const all = Promise.all(this.pending).finally(() => (left = false))
    while (left) {
      this.learn()
      await turn()
    }
    await all
    this.learn()
    this.pending = []
    this.catchUp = false
  }
}

function sameContent(a: Content, b: Content): boolean {
  if (a.size !== b.size) return false
  for (const [one, value] of a) if (b.get(one) !== value) return false
  return true
}

for (const durability of ['sync', 'relaxed'] as const) {
  test(`mixtures of asynchronous and synchronous writes behave like a list of states (${durability})`, async (t) => {
    t.diagnostic(`seed ${seed}`)
    const property = fc.asyncProperty(fc.array(operation, { maxLength: 120, size: 'max' }), async (operations) => {
      await new AsyncRunner(durability).run(operations)
    })
    await fc.assert(property, { seed, numRuns, ...(path === undefined ? {} : { path, endOnFailure: true }) })
  })
}

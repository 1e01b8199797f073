import { rmSync } from 'node:fs'
import { storeOn } from '../../src/api/open.js'
import type { StoreHandle } from '../../src/api/store.js'
import { Engine } from '../../src/tx/engine.js'
import type { EngineOptions } from '../../src/tx/engine.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import type { CaseResult } from './fault-judge.js'
import { codeOf, judgeFailure } from './fault-judge.js'
import type { PoolKind } from './fault-scenarios.js'
import { scenarioOptions } from './fault-scenarios.js'
import { clearFault, heldNow, setFault } from './faults.js'
import type { FaultCall, FaultRule } from './faults.js'
import { Random } from './random.js'

/** What may not fail unnoticed. Not `fsync`: growth makes that one, and tries again when it was interrupted. */
const SYNCS: readonly FaultCall[] = ['msync', 'fdatasync']

/**
 * What became of a key: its put was acknowledged, refused by a store that went on, or caught up in the failure that poisoned it; or its
 * removal was acknowledged.
 */
type Fate = 'promised' | 'refused' | 'unknown' | 'gone'

/**
 * Writes that are not waited for one by one, with one fault: groups of asynchronous writes, relaxed commits, synchronous ones that
 * join them, a group longer than the log. Every promise is settled; what it says is what is there, now and after reopening.
 */
export class GroupCase {
  #outcome = 'carried on'
  #keys = 0
  readonly #values = new Map<string, string>()
  readonly #fates = new Map<string, Fate>()

  constructor(
    private readonly path: string,
    private readonly kind: PoolKind,
    private readonly rule: FaultRule | undefined,
  ) {}

  async run(): Promise<CaseResult> {
    rmSync(this.path, { force: true })
    const before = heldNow()
    const { engine, store } = this.open()
    try {
      setFault(this.rule)
      await this.work(store, engine)
      const { made, hits } = clearFault()
      if (this.rule === undefined) this.expectCalls(made)
      if (this.rule !== undefined && hits === 0 && this.#outcome === 'carried on') this.#outcome = 'not reached'
      const syncFailed = this.rule?.action === 'fail' && hits > 0 && SYNCS.includes(this.rule.call)
      const isPoisoned = (): boolean => codeOf(() => engine.usable()) === 'POISONED'
      // The data of a checkpoint is synced beside everything else: of its failure the event loop tells, a little later.
      for (let i = 0; syncFailed && !isPoisoned() && i < 1000; i++)
        await new Promise((resolve) => setTimeout(resolve, 1))
      if (isPoisoned()) {
        if (this.#outcome === 'carried on') this.#outcome = 'POISONED'
      } else {
        if (syncFailed && this.#outcome === 'carried on')
          throw new Error('everything was acknowledged although a sync failed')
        this.#judgeContent(store, 'the store that goes on')
        await this.together(store, 20, 100)
        this.#judgeContent(store, 'the store that has gone on')
      }
      store.close()
      const after = heldNow()
      if (after !== before) throw new Error(`something was not given back: before ${before}; after ${after}`)
      this.#judgeReopened()
      return { made, outcome: this.#outcome }
    } catch (error) {
      clearFault()
      codeOf(() => engine.close())
      throw error
    }
  }

  protected get options(): EngineOptions {
    return scenarioOptions(this.kind, new Random(80))
  }

  /** Of the work without a fault: throws when it has not made the calls it is there for. */
  protected expectCalls(_made: ReadonlyMap<FaultCall, number>): void {
    // Any will do.
  }

  protected open(): { readonly engine: Engine; readonly store: StoreHandle } {
    const engine = Engine.open(this.path, this.options)
    return { engine, store: storeOn(engine, { keyEncoding: 'utf8', valueEncoding: 'string' }) }
  }

  protected async work(store: StoreHandle, _engine: Engine): Promise<void> {
    await this.together(store, 30, 60)
    for (let i = 0; i < 12; i++) this.#now(store, 'relaxed')
    await this.settle(store.flush(), [])
    const joined = this.together(store, 10, 300)
    this.#now(store, 'sync')
    await joined
    // A barrier is under way when somebody cannot wait for the event loop.
    const flushed = this.together(store, 40, 300)
    await new Promise((resolve) => setImmediate(resolve))
    const more = this.together(store, 40, 300)
    this.#flushed(store)
    await Promise.all([flushed, more])
    // Longer than the log, and more than the file has room for.
    await this.together(store, 90, 900)
    this.#now(store, 'relaxed')
    await this.together(store, 10, 60)
    await this.settle(store.flush(), [])
  }

  /** Asynchronous writes of every kind in one turn. */
  protected async together(store: StoreHandle, puts: number, length: number): Promise<void> {
    const settled: Promise<void>[] = []
    for (let i = 0; i < puts; i++) {
      const [key, value] = this.entry(length)
      settled.push(this.settle(store.putAsync(key, value), [key]))
    }
    const [large, bytes] = this.entry(9000)
    settled.push(this.settle(store.putAsync(large, bytes), [large]))
    const batch = Array.from({ length: 3 }, () => this.entry(length))
    const operations = batch.map(([key, value]) => ({ type: 'put' as const, key, value }))
    settled.push(
      this.settle(
        store.batchAsync(operations),
        batch.map(([key]) => key),
      ),
    )
    const [inside, text] = this.entry(length)
    const transaction = store.transactionAsync((tx) => {
      if (tx.get(inside) === undefined) tx.put(inside, text)
      return Promise.resolve()
    })
    settled.push(this.settle(transaction, [inside]))
    await Promise.all(settled)
  }

  #now(store: StoreHandle, durability: 'sync' | 'relaxed'): void {
    const [key, value] = this.entry(80)
    try {
      store.put(key, value, { durability })
      this.#fates.set(key, 'promised')
    } catch (error) {
      this.#failed(error, [key])
    }
  }

  /** Returns only when everything is durable. */
  #flushed(store: StoreHandle): void {
    try {
      store.flushSync()
    } catch (error) {
      this.#failed(error, [])
      return
    }
    if (codeOf(() => store.stats()) === 'POISONED') throw new Error('flushSync returned although the store is poisoned')
  }

  protected entry(length: number): [key: string, value: string] {
    const number = this.#keys++
    // Not in the order of the calls.
    const entry: [string, string] = [
      `${String((number * 37) % 101)} ${String(number)}`,
      `${String(number)} `.padEnd(length, 'v'),
    ]
    this.#values.set(...entry)
    return entry
  }

  protected async settle(promise: Promise<unknown>, keys: readonly string[]): Promise<void> {
    try {
      await promise
      for (const key of keys) this.#fates.set(key, 'promised')
    } catch (error) {
      this.#failed(error, keys)
    }
  }

  protected hasPut(key: string): void {
    this.#fates.set(key, 'promised')
  }

  protected async settleRemoval(promise: Promise<unknown>, key: string): Promise<void> {
    try {
      await promise
      this.#fates.set(key, 'gone')
    } catch (error) {
      const before = this.#fates.get(key)
      this.#failed(error, [key])
      // A store that goes on has kept it.
      if (this.#fates.get(key) === 'refused' && before !== undefined) this.#fates.set(key, before)
    }
  }

  #failed(error: unknown, keys: readonly string[]): void {
    clearFault()
    this.#outcome = judgeFailure(error, this.rule, this.path, 1)
    const fate = this.#outcome === 'PERSIST_FAILED' || this.#outcome === 'POISONED' ? 'unknown' : 'refused'
    for (const key of keys) this.#fates.set(key, fate)
  }

  #judgeContent(store: StoreHandle, which: string): void {
    const found = new Map(store.range() as Iterable<[string, string]>)
    for (const [key, value] of found) {
      if (this.#values.get(key) !== value) throw new Error(`${which} holds a value nobody has put under "${key}"`)
    }
    for (const [key, fate] of this.#fates) {
      if (fate === 'promised' && !found.has(key)) throw new Error(`${which} has lost "${key}", which was acknowledged`)
      if (fate === 'gone' && found.has(key))
        throw new Error(`${which} still holds "${key}", whose removal was acknowledged`)
      if (fate === 'refused' && found.has(key)) throw new Error(`${which} holds "${key}", which was refused`)
    }
  }

  #judgeReopened(): void {
    const { store } = this.open()
    try {
      this.#judgeContent(store, 'the reopened store')
      const { ok, problems } = store.check()
      if (!ok) throw new Error(`check() finds ${problems[0].message}`)
    } finally {
      store.close()
    }
  }
}

/** Entries of a store of some megabytes, two of them in a leaf. */
const SPREAD_ENTRIES = 2600
const SPREAD_BYTES = 1900
/** Every so many of them are removed: enough for a checkpoint in several parts, and no leaf is left empty. */
const SPREAD_STEP = 4

/** Groups beside a checkpoint of so many pages that they are synced in parts. */
export class CheckpointCase extends GroupCase {
  readonly #names: string[] = []
  /** Syncs of the checkpoint besides its last one. */
  #parts = 0

  protected override get options(): EngineOptions {
    return {
      ...super.options,
      initialSizeBytes: 12 * 1024 * 1024,
      logSizeBytes: 1024 * PAGE_BYTES,
      segmentBytes: 2 ** 24,
    }
  }

  protected override open(): { readonly engine: Engine; readonly store: StoreHandle } {
    const opened = super.open()
    if (this.#names.length === 0) this.#fill(opened.engine, opened.store)
    return opened
  }

  protected override async work(store: StoreHandle, engine: Engine): Promise<void> {
    const removed: Promise<void>[] = []
    for (let i = 0; i < SPREAD_ENTRIES; i += SPREAD_STEP)
      removed.push(this.settleRemoval(store.deleteAsync(this.#names[i]), this.#names[i]))
    await Promise.all(removed)
    // Looking at the store applies what is durable, and may fail at that.
    let checkpoints = 0
    const isLost = (): boolean => codeOf(() => (checkpoints = engine.stats().checkpoints)) !== undefined
    if (isLost()) return
    const before = checkpoints
    const isOver = (): boolean => isLost() || checkpoints > before
    const { counters } = engine.memory
    const syncsBefore = counters.syncs
    engine.checkpointWhenIdle()
    let puts = 0
    for (; puts < 1000 && !isOver(); puts++) {
      const [key, value] = this.entry(60)
      await this.settle(store.putAsync(key, value), [key])
    }
    if (!isOver()) throw new Error('the checkpoint has not come to an end')
    // One for each put, one for what a checkpoint ends with, and perhaps one for its anchor.
    this.#parts = counters.syncs - syncsBefore - puts - 1
    await this.settle(store.flush(), [])
  }

  protected override expectCalls(): void {
    if (this.#parts < 2) throw new Error(`a checkpoint of ${this.#parts} parts`)
  }

  /** In the order of the keys, so that leaves are full. */
  #fill(engine: Engine, store: StoreHandle): void {
    const entries = Array.from({ length: SPREAD_ENTRIES }, () => this.entry(SPREAD_BYTES))
    entries.sort(([left], [right]) => (left < right ? -1 : 1))
    store.transaction(() => {
      for (const [key, value] of entries) store.put(key, value)
    })
    engine.checkpoint()
    for (const [key] of entries) {
      this.#names.push(key)
      this.hasPut(key)
    }
  }
}

/** Groups that make the file grow, in steps that are prepared on another thread. */
export class GrowthCase extends GroupCase {
  protected override get options(): EngineOptions {
    return { ...super.options, initialSizeBytes: 96 * PAGE_BYTES, growthStepBytes: 96 * PAGE_BYTES }
  }

  protected override async work(store: StoreHandle, engine: Engine): Promise<void> {
    let growths = 0
    const hasGrown = (): boolean => codeOf(() => (growths = engine.stats().growths)) !== undefined || growths >= 2
    for (let i = 0; i < 100 && !hasGrown(); i++) {
      await this.together(store, 6, 900)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    if (!hasGrown()) throw new Error('the file has not grown')
    await this.settle(store.flush(), [])
  }

  protected override expectCalls(made: ReadonlyMap<FaultCall, number>): void {
    if (made.get('write-back') === 0) throw new Error('no growth was prepared')
  }
}

import type { PersistentMemory } from '../../src/pmem/persistent-memory.js'
import { Catalog } from '../../src/tree/catalog.js'
import { Cursor } from '../../src/tree/cursor.js'
import { Tree } from '../../src/tree/tree.js'
import { DaxkvError } from '../../src/errors.js'
import type { Engine, EngineOptions } from '../../src/tx/engine.js'
import type { PhaseMark } from './marks.js'
import { Model } from './model.js'
import type { Random } from './random.js'
import { openEngine } from './small-engine.js'
import { WEIGHTS } from './step-kinds.js'
import type { StepKind } from './step-kinds.js'

export { LOG_PAGES, openEngine, SEGMENT_SHIFT } from './small-engine.js'
export type { StepKind } from './step-kinds.js'

/** Called around every transaction; see `Workload`. */
export interface WorkloadHooks {
  /** A transaction that leads to this content is about to commit. */
  beforeCommit?(digest: string): void
  /** It has been acknowledged. */
  acknowledged?(digest: string): void
  /** It was queued: acknowledged when the promise resolves. */
  queued?(promise: Promise<unknown>): void
  /** It was committed, but only survives the end of the process. */
  relaxed?(): void
  /** It was too large for the log and has been aborted instead. */
  refused?(): void
  /** Before and after opening and closing. */
  phase?(name: PhaseMark): void
}

/**
 * How a transaction is committed: waited for; relaxed; or as an operation of the group that becomes durable later.
 */
export type CommitKind = 'sync' | 'relaxed' | 'group'

export interface WorkloadOptions {
  readonly random: Random
  /** Deletes outweigh puts above this many value bytes. */
  readonly maxBytes?: number
  /** Lowest growth step; small, so that pools grow often. */
  readonly growthStepPages?: number
  readonly hooks?: WorkloadHooks
  /** More options for every engine it opens: another way of logging, another log size. */
  readonly engineOptions?: () => EngineOptions
  /** Default: all of them `sync`. */
  readonly commitAs?: () => CommitKind
}

const CREATED = { keyEncoding: 0, valueEncoding: 0 }

/** Random transactions over a few keyspaces, with a model that knows what the pool must hold after each. */
export class Workload {
  readonly model = new Model()
  engine: Engine
  /** Transactions of each kind done so far. */
  readonly done = new Map<StepKind, number>()
  readonly #random: Random
  readonly #hooks: WorkloadHooks
  readonly #memory: PersistentMemory | undefined
  readonly #maxBytes: number
  readonly #growthStepPages: number
  readonly #engineOptions: () => EngineOptions
  readonly #commitAs: () => CommitKind
  readonly #key = Buffer.alloc(2048)
  #trees = new Map<string, Tree>()
  #nextName = 1
  #depth = 0

  /** `from` is memory, on which engines are opened here and now and then closed and opened again, or an open engine. */
  constructor(from: { memory: PersistentMemory } | { engine: Engine }, options: WorkloadOptions) {
    this.#random = options.random
    this.#hooks = options.hooks ?? {}
    this.#maxBytes = options.maxBytes ?? 60_000
    this.#growthStepPages = options.growthStepPages ?? 8
    this.#engineOptions = options.engineOptions ?? (() => ({}))
    this.#commitAs = options.commitAs ?? (() => 'sync')
    this.#memory = 'memory' in from ? from.memory : undefined
    this.engine = 'memory' in from ? this.#open(from.memory) : from.engine
    this.#loadExisting()
  }

  /** One transaction (or a close and open) of a random kind, or of a given one. */
  step(kind: StepKind = this.#pick()): StepKind {
    this.done.set(kind, (this.done.get(kind) ?? 0) + 1)
    if (kind === 'reopen') {
      this.reopen()
      return kind
    }
    if (kind === 'checkpoint') {
      this.engine.checkpoint()
      return kind
    }
    this.#transaction(() => this.#work(kind), kind === 'abort')
    return kind
  }

  /** Closes and opens again. */
  reopen(): void {
    if (this.#memory === undefined) return
    this.#hooks.phase?.('closing')
    this.engine.close()
    this.#hooks.phase?.('closed')
    this.engine = this.#open(this.#memory)
    this.#trees = new Map()
    for (const { name, record } of this.#catalog().list()) this.#addTree(name, record.rootPage, record.id)
  }

  #open(memory: PersistentMemory): Engine {
    this.#hooks.phase?.('opening')
    const engine = openEngine(memory, this.#random, this.#growthStepPages, this.#engineOptions())
    this.#hooks.phase?.('opened')
    return engine
  }

  /** A user transaction: commits, or aborts when told to or when the work throws. Nested inside another one. */
  #transaction(work: () => void, abort: boolean): void {
    const { engine, model } = this
    const trees = new Map(this.#trees)
    const kind = this.#depth > 0 ? 'sync' : this.#commitAs()
    if (kind === 'group') engine.beginOperation()
    else engine.begin()
    model.begin()
    this.#depth++
    let finished = false
    try {
      work()
      finished = true
    } finally {
      this.#depth--
      if (abort || !finished) {
        engine.abort()
        model.abort()
        this.#trees = trees
        this.#forgetPositions()
      }
    }
    if (abort) return
    if (this.#depth > 0) {
      model.commit()
      engine.commit()
      return
    }
    this.#hooks.beforeCommit?.(model.digest)
    if (kind === 'group') {
      model.commit()
      this.#hooks.queued?.(engine.endOperation(undefined))
      return
    }
    try {
      engine.commit(kind)
    } catch (error) {
      if (!(error instanceof DaxkvError) || error.code !== 'TX_TOO_LARGE') throw error
      model.abort()
      this.#trees = trees
      this.#forgetPositions()
      this.#hooks.refused?.()
      return
    }
    model.commit()
    if (kind === 'relaxed') this.#hooks.relaxed?.()
    else this.#hooks.acknowledged?.(model.digest)
  }

  #work(kind: StepKind): void {
    const random = this.#random
    const name = this.#anyKeyspace()
    switch (kind) {
      case 'putNew':
        this.#put(name, this.#newKey(), this.#value(120))
        break
      case 'overwriteSame':
        this.#overwrite(name, (length) => length)
        break
      case 'overwriteLarger':
        this.#overwrite(name, (length) => length + 1 + random.below(300))
        break
      case 'overwriteSmaller':
        this.#overwrite(name, (length) => random.below(length + 1))
        break
      case 'delete':
        this.#deleteOne(name)
        break
      case 'severalKeys':
      case 'abort':
        for (let count = 2 + random.below(6); count > 0; count--) this.#anyChange(this.#anyKeyspace())
        break
      case 'twoTrees':
        this.#anyChange(name)
        this.#put(this.#anyKeyspace(), this.#newKey(), this.#value(60))
        this.#put(this.#anyKeyspace(), this.#newKey(), this.#value(60))
        break
      case 'ascendingRun':
        this.#ascendingRun(name, 30 + random.below(60))
        break
      case 'deleteRun':
        this.#deleteRun(name, 5 + random.below(40))
        break
      case 'deleteMost':
        // Leaves are merged again and again, so that pages are freed that the transaction has edited.
        this.#deleteRun(name, Math.ceil(this.model.entries(name).size * 0.8))
        break
      case 'largeValue':
        this.#put(name, this.#newKey(), this.#value(2000, 14_000))
        break
      case 'replaceLargeValue':
        this.#replaceLargeValue(name)
        break
      case 'nested':
        this.#nested(() => this.#anyChange(this.#anyKeyspace()))
        break
      case 'nestedLargeValues':
        this.#nested(() => this.#replaceLargeValue(name, 'replaced'))
        break
      case 'touchEverything':
        this.#touchEverything()
        break
      case 'manyPages':
        for (let count = 6; count > 0; count--) this.#put(name, this.#newKey(), this.#value(9_000, 6_000))
        break
      case 'hugeValue':
        // Frees and allocates long runs in a transaction whose record needs one as well.
        this.#put(name, 'huge', this.#bytes(40_000 + random.below(8_000)))
        this.#touchEverything()
        break
      case 'dropLargeValues':
        // The same the other way round: most of the space that is free now must not be used yet.
        for (const [keyspace, entries] of this.model.keyspaces) {
          for (const [key, value] of [...entries]) if (value.length > 1500) this.#delete(keyspace, key)
        }
        this.#touchEverything()
        break
      case 'createKeyspace':
        if (this.#trees.size < 6) this.#create(`keyspace ${this.#nextName++}`)
        else this.#anyChange(name)
        break
      case 'dropKeyspace':
        if (this.#trees.size > 2) this.#drop(name)
        else this.#anyChange(name)
        break
      case 'clear':
        this.#tree(name).clear()
        for (const key of [...this.model.entries(name).keys()]) this.model.delete(name, key)
        break
      case 'checkpoint':
      case 'reopen':
        break
    }
  }

  /** Makes a record of so many lines that it overflows the log slot. */
  #touchEverything(): void {
    for (const [keyspace, entries] of this.model.keyspaces) {
      for (const [key, value] of [...entries]) {
        if (value.length <= 1500) this.#put(keyspace, key, this.#bytes(value.length))
      }
    }
  }

  #anyChange(name: string): void {
    const random = this.#random
    const choice = random.below(10)
    if (choice < 4) this.#put(name, this.#newKey(), this.#value(200))
    else if (choice < 6) this.#overwrite(name, (length) => length + random.below(40) - 20)
    else if (choice < 8) this.#deleteOne(name)
    else this.#put(name, this.#newKey(), this.#value(2100, 4000))
  }

  /** Work around and inside savepoints, some of which are rolled back. */
  #nested(change: () => void): void {
    const random = this.#random
    change()
    for (let count = 1 + random.below(3); count > 0; count--) {
      this.#transaction(
        () => {
          change()
          if (random.below(3) === 0) this.#transaction(change, random.below(2) === 0)
          change()
        },
        random.below(2) === 0,
      )
      change()
    }
  }

  #overwrite(name: string, lengthOf: (length: number) => number): void {
    const key = this.#existingKey(name)
    if (key === undefined) {
      this.#put(name, this.#newKey(), this.#value(100))
      return
    }
    const length = lengthOf(this.model.entries(name).get(key)?.length ?? 0)
    this.#put(name, key, this.#bytes(Math.max(0, length)))
  }

  /** `again`: a key whose value is replaced several times by one transaction. */
  #replaceLargeValue(name: string, again?: string): void {
    if (again !== undefined) this.#put(name, again, this.#value(2100, 8000))
    const large = [...this.model.entries(name)].filter(([, value]) => value.length > 2000)
    if (large.length === 0 || this.#random.below(4) === 0) {
      this.#put(name, this.#newKey(), this.#value(2100, 8000))
      return
    }
    const [key] = large[this.#random.below(large.length)]
    if (this.#random.below(5) === 0) this.#put(name, key, this.#value(100))
    else this.#put(name, key, this.#value(2100, 8000))
  }

  #ascendingRun(name: string, count: number): void {
    const base = `run ${this.#random.below(50)} `
    for (let index = 0; index < count; index++) {
      this.#put(name, base + String(index).padStart(4, '0'), this.#value(100))
    }
  }

  #deleteRun(name: string, count: number): void {
    const keys = [...this.model.entries(name).keys()].sort()
    const start = this.#random.below(Math.max(1, keys.length - count))
    for (const key of keys.slice(start, start + count)) this.#delete(name, key)
  }

  #deleteOne(name: string): void {
    const key = this.#existingKey(name)
    if (key === undefined) this.#put(name, this.#newKey(), this.#value(50))
    else this.#delete(name, key)
  }

  #put(name: string, key: string, value: Buffer): void {
    const tree = this.#tree(name)
    tree.put(this.#key, this.#key.write(key, 0, 'latin1'), value)
    this.model.put(name, key, value)
  }

  #delete(name: string, key: string): void {
    const tree = this.#tree(name)
    if (!tree.delete(this.#key, this.#key.write(key, 0, 'latin1'))) throw new Error(`${name} lost the key ${key}`)
    this.model.delete(name, key)
  }

  #create(name: string): void {
    const { engine } = this
    const id = engine.nextKeyspaceId()
    const rootPage = Tree.create(engine, id)
    this.#catalog().put(name, { id, rootPage, ...CREATED })
    this.#addTree(name, rootPage, id)
    this.model.create(name)
  }

  #drop(name: string): void {
    const tree = this.#tree(name)
    tree.destroy()
    this.#catalog().remove(name, tree.keyspaceId)
    this.#trees.delete(name)
    this.model.drop(name)
  }

  /** What an abort has taken back may be where a tree would go on: the layer above trees has to say so. */
  #forgetPositions(): void {
    for (const tree of this.#trees.values()) tree.version = (tree.version + 1) | 0
  }

  #pick(): StepKind {
    if (this.#trees.size < 2) return 'createKeyspace'
    const kinds = Object.entries(WEIGHTS) as [StepKind, number][]
    const full = this.model.bytes > this.#maxBytes
    const weight = (kind: StepKind, usual: number): number => {
      if (kind === 'delete' || kind === 'deleteRun' || kind === 'deleteMost') return full ? usual * 5 : usual
      return full && (kind === 'manyPages' || kind === 'hugeValue' || kind === 'largeValue' || kind === 'ascendingRun')
        ? 0
        : usual
    }
    let left = this.#random.below(kinds.reduce((sum, [kind, usual]) => sum + weight(kind, usual), 0))
    for (const [kind, usual] of kinds) {
      left -= weight(kind, usual)
      if (left < 0) return kind
    }
    return 'putNew'
  }

  #anyKeyspace(): string {
    if (this.#trees.size === 0) this.#create(`keyspace ${this.#nextName++}`)
    const names = [...this.#trees.keys()]
    return names[this.#random.below(names.length)]
  }

  #existingKey(name: string): string | undefined {
    const keys = [...this.model.entries(name).keys()]
    return keys.length === 0 ? undefined : keys[this.#random.below(keys.length)]
  }

  #newKey(): string {
    const random = this.#random
    const number = random.below(4000)
    if (random.below(12) === 0) return `long ${String(number)} ${'x'.repeat(20 + random.below(400))}`
    return `key ${String(number).padStart(4, '0')}`
  }

  #value(least: number, spread = least): Buffer {
    return this.#bytes(least - (spread === least ? this.#random.below(least) : 0) + this.#random.below(spread))
  }

  /** Mostly repeated words, so that some lines of an overwritten value stay equal. */
  #bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length, this.#random.below(256))
    for (let at = 0; at + 4 <= length; at += 64) bytes.writeInt32LE(this.#random.word() | 0, at)
    return bytes
  }

  #catalog(): Catalog {
    return new Catalog(this.engine, this.engine.catalogPage())
  }

  #tree(name: string): Tree {
    const tree = this.#trees.get(name)
    if (tree === undefined) throw new Error(`no keyspace ${name}`)
    return tree
  }

  #addTree(name: string, rootPage: number, id: number): void {
    this.#trees.set(name, new Tree(this.engine, rootPage, id))
  }

  /** Takes over what the pool holds, so that the workload can go on with a recovered pool. */
  #loadExisting(): void {
    for (const { name, record } of this.#catalog().list()) {
      this.#addTree(name, record.rootPage, record.id)
      this.model.create(name)
      this.#nextName = Math.max(this.#nextName, Number(name.split(' ')[1]) + 1)
      for (const [key, value] of entriesOf(this.#tree(name))) this.model.put(name, key, value)
    }
  }
}

function* entriesOf(tree: Tree): Generator<[string, Buffer]> {
  const cursor = new Cursor(tree)
  cursor.seek({})
  while (cursor.next()) {
    const { u8 } = cursor.valueView
    const value = Buffer.from(u8.subarray(cursor.valueStart, cursor.valueStart + cursor.valueLength))
    yield [cursor.key.toString('latin1', 0, cursor.keyLength), value]
  }
}

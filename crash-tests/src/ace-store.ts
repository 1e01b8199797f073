import { PAGE_BYTES } from '../../src/pmem/program.js'
import { Catalog } from '../../src/tree/catalog.js'
import { Tree } from '../../src/tree/tree.js'
import type { Engine, EngineOptions } from '../../src/tx/engine.js'
import type { PhaseMark } from './marks.js'
import { Model } from './model.js'
import { Random } from './random.js'
import type { RecordingMemory } from './replay-memory.js'
import { openEngine } from './workload.js'

/** The operations of the sequences, in the manner of CrashMonkey's ACE. */
export const ACE_OPERATIONS = [
  'putNew',
  'overwriteSame',
  'overwriteLarger',
  'overwriteSmaller',
  'delete',
  'twoKeyspaces',
  'abort',
  'nestedAbort',
  'largeValue',
  'grow',
  'checkpoint',
  'reopen',
] as const

export type AceOperation = (typeof ACE_OPERATIONS)[number]

/** One operation of a sequence. `variant` chooses among the keys and lengths it may work on; 0 is what every sequence starts from. */
export interface AceStep {
  readonly operation: AceOperation
  readonly variant: number
}

export interface AceHooks {
  /** A transaction that leads to this content is about to commit. */
  readonly beforeCommit: (digest: string) => void
  readonly acknowledged: () => void
  /** Before and after opening and closing. */
  readonly phase: (name: PhaseMark) => void
}

export const ACE_KEYSPACES = ['keyspace 1', 'keyspace 2'] as const
const LARGE_BYTES = 2 * PAGE_BYTES + 700
const GROWTH_STEP_PAGES = 4

/** A small store with two keyspaces, and the model of what it must hold. */
export class AceStore {
  readonly model = new Model()
  engine: Engine
  readonly #memory: RecordingMemory
  readonly #options: EngineOptions
  readonly #hooks: AceHooks
  readonly #random: Random
  readonly #key = Buffer.alloc(64)
  #trees = new Map<string, Tree>()
  #next = 0

  constructor(memory: RecordingMemory, options: EngineOptions, seed: number, hooks: AceHooks) {
    this.#memory = memory
    this.#options = options
    this.#hooks = hooks
    this.#random = new Random(seed)
    this.engine = this.#open()
  }

  /** What sequences start from: a few small entries and a value in an extent, so that every operation finds its object. */
  fill(): void {
    this.#commit(() => {
      for (const name of ACE_KEYSPACES) this.#create(name)
      for (const length of [90, 40, 200]) this.#put(ACE_KEYSPACES[0], this.#newKey(), length)
      this.#put(ACE_KEYSPACES[0], 'large', LARGE_BYTES)
      for (const length of [60, 300]) this.#put(ACE_KEYSPACES[1], this.#newKey(), length)
    })
  }

  do({ operation, variant }: AceStep): void {
    const [first, second] = ACE_KEYSPACES
    switch (operation) {
      case 'putNew':
        this.#commit(() => this.#put(first, this.#newKey(), 70 + variant))
        break
      case 'overwriteSame':
        this.#overwrite(variant, (length) => length)
        break
      case 'overwriteLarger':
        this.#overwrite(variant, (length) => length + 130 + variant)
        break
      case 'overwriteSmaller':
        this.#overwrite(variant, (length) => Math.floor(length / (2 + variant)))
        break
      case 'delete':
        this.#commit(() => this.#delete(first, variant))
        break
      case 'twoKeyspaces':
        this.#commit(() => {
          this.#put(first, this.#newKey(), 50)
          this.#put(second, this.#newKey(), 80 + variant)
        })
        break
      case 'abort':
        this.#transaction(() => this.#someChanges(variant), true)
        break
      case 'nestedAbort':
        this.#commit(() => {
          this.#put(first, this.#newKey(), 30)
          this.#transaction(() => this.#someChanges(variant), true)
          this.#put(second, this.#newKey(), 45)
        })
        break
      case 'largeValue':
        this.#commit(() => this.#put(first, 'large', LARGE_BYTES + 64 * variant))
        break
      case 'grow':
        // One page more than there is.
        this.#commit(() => {
          const { capacityPages, allocatedPages } = this.engine.stats()
          this.#put(second, `grown ${this.#next++}`, (capacityPages - allocatedPages) * PAGE_BYTES + 50)
        })
        break
      case 'checkpoint':
        this.engine.checkpoint()
        break
      case 'reopen':
        this.#hooks.phase('closing')
        this.engine.close()
        this.#hooks.phase('closed')
        this.engine = this.#open()
        break
    }
  }

  #open(): Engine {
    this.#hooks.phase('opening')
    const engine = openEngine(this.#memory, this.#random, GROWTH_STEP_PAGES, this.#options)
    this.#hooks.phase('opened')
    this.#trees = new Map()
    for (const { name, record } of new Catalog(engine, engine.catalogPage()).list()) {
      this.#trees.set(name, new Tree(engine, record.rootPage, record.id))
    }
    return engine
  }

  #commit(work: () => void): void {
    this.#transaction(work, false)
  }

  #transaction(work: () => void, abort: boolean): void {
    const { engine, model } = this
    engine.begin()
    model.begin()
    work()
    if (abort) {
      engine.abort()
      model.abort()
      return
    }
    this.#hooks.beforeCommit(model.digest)
    engine.commit()
    model.commit()
    this.#hooks.acknowledged()
  }

  /** Of every kind: an entry, a deleted one, and an extent that replaces another. */
  #someChanges(variant: number): void {
    const [first, second] = ACE_KEYSPACES
    this.#put(second, this.#newKey(), 100)
    this.#delete(first, variant)
    this.#put(first, 'large', LARGE_BYTES - 1000)
  }

  #overwrite(variant: number, lengthOf: (length: number) => number): void {
    this.#commit(() => {
      const [name] = ACE_KEYSPACES
      const key = this.#smallKey(name, variant)
      this.#put(name, key, lengthOf(this.model.entries(name).get(key)?.length ?? 20))
    })
  }

  /** The newest small key comes first: what an operation has put the next one works on. */
  #smallKey(name: string, variant: number): string {
    const keys = [...this.model.entries(name).keys()].filter((key) => key.startsWith('key')).sort()
    return keys.length === 0 ? this.#newKey() : keys[variant % keys.length]
  }

  #newKey(): string {
    return `key ${String(9999 - this.#next++)}`
  }

  #put(name: string, key: string, length: number): void {
    const value = Buffer.alloc(length, this.#random.below(256))
    for (let at = 0; at + 4 <= length; at += 64) value.writeInt32LE(this.#random.word() | 0, at)
    this.#tree(name).put(this.#key, this.#key.write(key, 0, 'latin1'), value)
    this.model.put(name, key, value)
  }

  #delete(name: string, variant: number): void {
    const key = this.#smallKey(name, variant)
    const found = this.#tree(name).delete(this.#key, this.#key.write(key, 0, 'latin1'))
    if (found !== this.model.entries(name).has(key)) throw new Error(`${name} and the model differ about ${key}`)
    if (found) this.model.delete(name, key)
  }

  #create(name: string): void {
    const { engine } = this
    const id = engine.nextKeyspaceId()
    const rootPage = Tree.create(engine, id)
    new Catalog(engine, engine.catalogPage()).put(name, { id, rootPage, keyEncoding: 0, valueEncoding: 0 })
    this.#trees.set(name, new Tree(engine, rootPage, id))
    this.model.create(name)
  }

  #tree(name: string): Tree {
    const tree = this.#trees.get(name)
    if (tree === undefined) throw new Error(`no keyspace ${name}`)
    return tree
  }
}

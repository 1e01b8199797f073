import type { Store } from '../../src/api/store-interface.js'
import type { ScanRow } from '../../src/api/types.js'
import { DaxkvError } from '../../src/errors.js'
import { open } from '../../src/index.js'
import addon from '../../src/pmem/addon.cjs'
import type { Key } from '../data.js'
import type { OpenRequest } from '../subjects.js'
import { Unavailable } from '../unavailable.js'
import { decodedSignature, MISS, signature, type Observation, type SyncEngine } from './engine.js'

const PAGE_BYTES = 4096
const VALUE_ENCODINGS = { binary: 'binary', string: 'string', object: 'msgpack' } as const

/** Writes that resolve when durable; asked for at run time, so that older versions can be measured too. */
interface AsyncWrites {
  putAsync?(key: Key, value: unknown): Promise<unknown>
}

type OpenOptions = NonNullable<Parameters<typeof open>[1]>

/** daxkv, nothing set but the encodings and what the subject names. */
export class DaxkvEngine implements SyncEngine {
  private readonly store: Store<Key>
  private manyKeys: readonly Key[] = []
  private manyValues: readonly unknown[] = []
  private from = 0
  private to = 0
  private sum = 0

  constructor({ subject, path, keyKind, values, logSizeBytes }: OpenRequest) {
    const options = {
      keyEncoding: keyKind === 'binary' ? 'binary' : (subject.keyEncoding ?? 'ordered'),
      valueEncoding: VALUE_ENCODINGS[values],
      ...(subject.granularity === undefined ? {} : { forceGranularity: subject.granularity }),
      ...(subject.logging === undefined ? {} : { logging: subject.logging }),
      ...(subject.executor === undefined ? {} : { executor: subject.executor }),
      ...(subject.relaxed === true ? { durability: 'relaxed' } : {}),
      ...(logSizeBytes === undefined ? {} : { logSizeBytes }),
    }
    // Some of these are not in the options of every version: what it does not know it refuses by name.
    this.store = openOrExplain(path, options as unknown as OpenOptions)
  }

  // Made once: a closure for every call would be measured too.
  private readonly putAll = (): void => {
    const { store, manyKeys, manyValues, to } = this
    for (let i = this.from; i < to; i++) store.put(manyKeys[i], manyValues[i])
  }
  private readonly visit = (row: ScanRow): void => {
    this.sum += row.valueBuffer[row.valueStart] + row.valueEnd - row.valueStart
  }
  private readonly visitDecoded = (key: Key, value: unknown): void => {
    this.sum += key.length + signature(value as Buffer)
  }

  static loadAddon(): void {
    addon.loadAddon()
  }

  put(key: Key, value: unknown): number {
    this.store.put(key, value)
    return 1
  }

  remove(key: Key): number {
    return this.store.delete(key) ? 1 : 0
  }

  putMany(keys: readonly Key[], values: readonly unknown[], from: number, to: number): number {
    this.manyKeys = keys
    this.manyValues = values
    this.from = from
    this.to = to
    this.store.transaction(this.putAll)
    return to - from
  }

  async putTogether(keys: readonly Key[], values: readonly unknown[], from: number, to: number): Promise<number> {
    const store: AsyncWrites = this.store
    if (store.putAsync === undefined) throw new Unavailable('this version of daxkv has no putAsync')
    const pending: Promise<unknown>[] = []
    for (let i = from; i < to; i++) pending.push(store.putAsync(keys[i], values[i]))
    await Promise.all(pending)
    return to - from
  }

  view(key: Key): number {
    return this.store.withView(key, signature) ?? MISS
  }

  copy(key: Key): number {
    return signature(this.store.getBinary(key))
  }

  decoded(key: Key): number {
    return decodedSignature(this.store.get(key))
  }

  range(key: Key, limit: number): number {
    this.sum = 0
    this.store.scan({ gte: key, limit }, this.visit)
    return this.sum
  }

  rangeReverse(key: Key, limit: number): number {
    this.sum = 0
    this.store.scan({ lte: key, limit, reverse: true }, this.visit)
    return this.sum
  }

  scan(): number {
    this.sum = 0
    this.store.scan({}, this.visit)
    return this.sum
  }

  scanReverse(): number {
    this.sum = 0
    this.store.scan({ reverse: true }, this.visit)
    return this.sum
  }

  eachRow(): number {
    this.sum = 0
    this.store.forEach({}, this.visitDecoded)
    return this.sum
  }

  rows(): number {
    let sum = 0
    for (const [key, value] of this.store.range()) sum += key.length + decodedSignature(value)
    return sum
  }

  count(): number {
    return this.store.count()
  }

  observe(): Observation {
    const { counters, growths, checkpoints, allocatedPages, logging } = this.store.stats()
    const { granularity, forced, flushInstruction, mapSync, executor } = this.store.persistence
    return {
      growths,
      checkpoints,
      fences: counters.fences,
      flushedLines: counters.flushedLines + counters.nonTemporalLines,
      syncs: counters.syncs - counters.backgroundSyncs,
      usedBytes: allocatedPages * PAGE_BYTES,
      description: `granularity ${granularity}${forced ? ' (forced)' : ''}, logging ${logging}, ${flushInstruction}, MAP_SYNC ${mapSync ? 'yes' : 'no'}, ${executor} executor`,
    }
  }

  close(): void {
    this.store.close()
  }
}

/** Options that a version does not know yet, or that this machine does not grant, leave the subject out. */
function openOrExplain(path: string, options: OpenOptions): Store<Key> {
  try {
    return open(path, options) as unknown as Store<Key>
  } catch (error) {
    if (error instanceof DaxkvError) {
      const { executor, durability } = options as { executor?: string; durability?: string }
      const refused = error.code === 'UNKNOWN_OPTION' || error.code === 'INVALID_ARGUMENT'
      if (refused && (executor !== undefined || durability !== undefined)) throw new Unavailable(error.message)
      if (executor === 'portable') throw new Unavailable(error.message)
    }
    throw error
  }
}

import type { ScanRow } from '../../src/api/types.js'
import type { Store } from '../../src/api/store-interface.js'
import { open } from '../../src/index.js'
import addon from '../../src/pmem/addon.cjs'
import type { Person } from '../data.js'
import type { OpenRequest } from '../subjects.js'
import { MISS, signature, type SyncEngine } from './engine.js'

const PAGE_BYTES = 4096

/** daxkv, nothing set but the encodings and, where a workload asks for it, the granularity. */
export class DaxkvEngine implements SyncEngine {
  private readonly store: Store<string>
  private manyKeys: readonly string[] = []
  private manyValues: readonly unknown[] = []
  private sum = 0

  constructor({ subject, path, values }: OpenRequest) {
    this.store = open(path, {
      keyEncoding: subject.keyEncoding ?? 'ordered',
      valueEncoding: values === 'binary' ? 'binary' : 'msgpack',
      ...(subject.granularity === undefined ? {} : { forceGranularity: subject.granularity }),
    }) as unknown as Store<string>
  }

  // Made once: a closure for every call would be measured too.
  private readonly putAll = (): void => {
    const { store, manyKeys, manyValues } = this
    for (let i = 0; i < manyKeys.length; i++) store.put(manyKeys[i], manyValues[i])
  }
  private readonly visit = (row: ScanRow): void => {
    this.sum += row.valueBuffer[row.valueStart] + row.valueEnd - row.valueStart
  }
  private readonly visitDecoded = (key: string, value: unknown): void => {
    this.sum += key.length + signature(value as Buffer)
  }

  static loadAddon(): void {
    addon.loadAddon()
  }

  put(key: string, value: unknown): number {
    this.store.put(key, value)
    return 1
  }

  remove(key: string): number {
    return this.store.delete(key) ? 1 : 0
  }

  putMany(keys: readonly string[], values: readonly unknown[]): number {
    this.manyKeys = keys
    this.manyValues = values
    this.store.transaction(this.putAll)
    return keys.length
  }

  view(key: string): number {
    return this.store.withView(key, signature) ?? MISS
  }

  copy(key: string): number {
    return signature(this.store.getBinary(key))
  }

  object(key: string): number {
    const person = this.store.get(key) as Person | undefined
    return person === undefined ? MISS : person.age + person.tags.length
  }

  range(key: string, limit: number): number {
    this.sum = 0
    this.store.scan({ gte: key, limit }, this.visit)
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
    for (const [key, value] of this.store.range()) sum += key.length + (value as Person).age
    return sum
  }

  count(): number {
    return this.store.count()
  }

  usedBytes(): number | undefined {
    return this.store.stats().allocatedPages * PAGE_BYTES
  }

  describe(): string | undefined {
    const { granularity, forced, flushInstruction, mapSync, executor } = this.store.persistence
    return `granularity ${granularity}${forced ? ' (forced)' : ''}, ${flushInstruction}, MAP_SYNC ${mapSync ? 'yes' : 'no'}, ${executor} executor`
  }

  close(): void {
    this.store.close()
  }
}

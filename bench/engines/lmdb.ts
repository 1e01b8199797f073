import { open, type RootDatabase } from 'lmdb'
import type { Person } from '../data.js'
import type { OpenRequest } from '../subjects.js'
import { MISS, signature, type SyncEngine } from './engine.js'

/** lmdb-js. Durable means `transactionSync`: `putSync` alone returns before the data is on the medium. */
export class LmdbEngine implements SyncEngine {
  private readonly db: RootDatabase<unknown, string>
  private key = ''
  private value: unknown = undefined
  private manyKeys: readonly string[] = []
  private manyValues: readonly unknown[] = []

  constructor({ subject, path, values }: OpenRequest) {
    this.db = open<unknown, string>({
      path,
      encoding: values === 'binary' ? 'binary' : 'msgpack',
      // Options are set only where they differ from lmdb's defaults.
      ...(subject.useWritemap === true ? { useWritemap: true } : {}),
      ...(subject.sharedStructures === true ? { sharedStructuresKey: Symbol.for('structures') } : {}),
    })
  }

  // Made once: a closure for every put would be measured too.
  private readonly putOne = (): void => {
    this.db.putSync(this.key, this.value)
  }
  private readonly removeOne = (): void => {
    this.db.removeSync(this.key)
  }
  private readonly putAll = (): void => {
    const { db, manyKeys, manyValues } = this
    for (let i = 0; i < manyKeys.length; i++) db.putSync(manyKeys[i], manyValues[i])
  }

  put(key: string, value: unknown): number {
    this.key = key
    this.value = value
    this.db.transactionSync(this.putOne)
    return 1
  }

  remove(key: string): number {
    this.key = key
    this.db.transactionSync(this.removeOne)
    return 1
  }

  putMany(keys: readonly string[], values: readonly unknown[]): number {
    this.manyKeys = keys
    this.manyValues = values
    this.db.transactionSync(this.putAll)
    return keys.length
  }

  view(key: string): number {
    return signature(this.db.getBinaryFast(key))
  }

  copy(key: string): number {
    return signature(this.db.getBinary(key))
  }

  object(key: string): number {
    const person = this.db.get(key) as Person | undefined
    return person === undefined ? MISS : person.age + person.tags.length
  }

  range(key: string, limit: number): number {
    let sum = 0
    for (const row of this.db.getRange({ start: key, limit })) sum += signature(row.value as Buffer)
    return sum
  }

  scan(): number {
    let sum = 0
    for (const row of this.db.getRange()) sum += signature(row.value as Buffer)
    return sum
  }

  scanReverse(): number {
    let sum = 0
    for (const row of this.db.getRange({ reverse: true })) sum += signature(row.value as Buffer)
    return sum
  }

  eachRow(): number {
    let sum = 0
    for (const row of this.db.getRange()) sum += row.key.length + signature(row.value as Buffer)
    return sum
  }

  rows(): number {
    let sum = 0
    for (const row of this.db.getRange()) {
      if (typeof row.key === 'string') sum += row.key.length + (row.value as Person).age
    }
    return sum
  }

  count(): number {
    return this.db.getCount()
  }

  usedBytes(): number | undefined {
    return undefined
  }

  describe(): string | undefined {
    return undefined
  }

  async close(): Promise<void> {
    await this.db.close()
  }
}

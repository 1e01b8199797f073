import { open, type RootDatabase } from 'lmdb'
import type { Key } from '../data.js'
import type { OpenRequest } from '../subjects.js'
import { decodedSignature, signature, type SyncEngine } from './engine.js'

const ENCODINGS = { binary: 'binary', string: 'string', object: 'msgpack' } as const

/** lmdb-js. Durable means `transactionSync`: `putSync` alone returns before the data is on the medium. */
export class LmdbEngine implements SyncEngine {
  private readonly db: RootDatabase<unknown, Key>
  private key: Key = ''
  private value: unknown = undefined
  private manyKeys: readonly Key[] = []
  private manyValues: readonly unknown[] = []
  private from = 0
  private to = 0

  constructor({ subject, path, keyKind, values }: OpenRequest) {
    this.db = open<unknown, Key>({
      path,
      encoding: ENCODINGS[values],
      // Options are set only where they differ from lmdb's defaults.
      ...(keyKind === 'binary' ? { keyEncoding: 'binary' } : {}),
      ...(subject.useWritemap === true ? { useWritemap: true } : {}),
      ...(subject.relaxed === true ? { noSync: true } : {}),
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
    const { db, manyKeys, manyValues, to } = this
    for (let i = this.from; i < to; i++) db.putSync(manyKeys[i], manyValues[i])
  }

  put(key: Key, value: unknown): number {
    this.key = key
    this.value = value
    this.db.transactionSync(this.putOne)
    return 1
  }

  remove(key: Key): number {
    this.key = key
    this.db.transactionSync(this.removeOne)
    return 1
  }

  putMany(keys: readonly Key[], values: readonly unknown[], from: number, to: number): number {
    this.manyKeys = keys
    this.manyValues = values
    this.from = from
    this.to = to
    this.db.transactionSync(this.putAll)
    return to - from
  }

  /** Its asynchronous puts are committed together; `flushed` says when they are on the medium. */
  async putTogether(keys: readonly Key[], values: readonly unknown[], from: number, to: number): Promise<number> {
    const { db } = this
    const pending: Promise<unknown>[] = []
    for (let i = from; i < to; i++) pending.push(db.put(keys[i], values[i]))
    await Promise.all(pending)
    await db.flushed
    return to - from
  }

  view(key: Key): number {
    return signature(this.db.getBinaryFast(key))
  }

  copy(key: Key): number {
    return signature(this.db.getBinary(key))
  }

  decoded(key: Key): number {
    return decodedSignature(this.db.get(key))
  }

  range(key: Key, limit: number): number {
    let sum = 0
    for (const row of this.db.getRange({ start: key, limit })) sum += signature(row.value as Buffer)
    return sum
  }

  rangeReverse(key: Key, limit: number): number {
    let sum = 0
    for (const row of this.db.getRange({ start: key, limit, reverse: true })) sum += signature(row.value as Buffer)
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
      // The shared structures lie under a symbol.
      if (typeof row.key === 'string') sum += row.key.length + decodedSignature(row.value)
    }
    return sum
  }

  count(): number {
    return this.db.getCount()
  }

  observe(): undefined {
    return undefined
  }

  async close(): Promise<void> {
    await this.db.close()
  }
}

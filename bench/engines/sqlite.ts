import Database from 'better-sqlite3'
import type { Key } from '../data.js'
import type { OpenRequest } from '../subjects.js'
import { decodedSignature, MISS, signature, type SyncEngine } from './engine.js'

/** better-sqlite3: one table without row ids, prepared statements, write-ahead log synced at every commit (or, relaxed, at checkpoints). */
export class SqliteEngine implements SyncEngine {
  private readonly db: Database.Database
  private readonly upsert: Database.Statement<[Key, unknown]>
  private readonly deleteOne: Database.Statement<[Key]>
  private readonly select: Database.Statement<[Key]>
  private readonly selectRange: Database.Statement<[Key, number]>
  private readonly selectRangeReverse: Database.Statement<[Key, number]>
  private readonly selectAll: Database.Statement<[]>
  private readonly selectAllReverse: Database.Statement<[]>
  private readonly putAll: (keys: readonly Key[], values: readonly unknown[], from: number, to: number) => void

  constructor({ subject, path, keyKind, values }: OpenRequest) {
    if (values === 'object') throw new Error('better-sqlite3 has no encoding of objects')
    const db = new Database(path)
    db.pragma('journal_mode = WAL')
    db.pragma(`synchronous = ${subject.relaxed === true ? 'NORMAL' : 'FULL'}`)
    db.pragma('cache_size = -1048576')
    db.pragma('mmap_size = 4294967296')
    const keyType = keyKind === 'binary' ? 'BLOB' : 'TEXT'
    db.exec(`CREATE TABLE IF NOT EXISTS kv (k ${keyType} PRIMARY KEY, v BLOB) WITHOUT ROWID`)
    this.db = db
    this.upsert = db.prepare('INSERT INTO kv (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v')
    this.deleteOne = db.prepare('DELETE FROM kv WHERE k = ?')
    this.select = db.prepare<[Key]>('SELECT v FROM kv WHERE k = ?').pluck()
    this.selectRange = db.prepare('SELECT k, v FROM kv WHERE k >= ? ORDER BY k LIMIT ?')
    this.selectRangeReverse = db.prepare('SELECT k, v FROM kv WHERE k <= ? ORDER BY k DESC LIMIT ?')
    this.selectAll = db.prepare('SELECT k, v FROM kv ORDER BY k')
    this.selectAllReverse = db.prepare('SELECT k, v FROM kv ORDER BY k DESC')
    this.putAll = db.transaction((keys: readonly Key[], manyValues: readonly unknown[], from: number, to: number) => {
      for (let i = from; i < to; i++) this.upsert.run(keys[i], manyValues[i])
    })
  }

  static loadAddon(): void {
    new Database(':memory:').close()
  }

  put(key: Key, value: unknown): number {
    return this.upsert.run(key, value).changes
  }

  remove(key: Key): number {
    return this.deleteOne.run(key).changes
  }

  putMany(keys: readonly Key[], values: readonly unknown[], from: number, to: number): number {
    this.putAll(keys, values, from, to)
    return to - from
  }

  /** It has no asynchronous writes: an application would put them into one transaction. */
  putTogether(keys: readonly Key[], values: readonly unknown[], from: number, to: number): Promise<number> {
    return Promise.resolve(this.putMany(keys, values, from, to))
  }

  view(key: Key): number {
    return signature(this.select.get(key) as Buffer | undefined)
  }

  copy(key: Key): number {
    return this.view(key)
  }

  decoded(key: Key): number {
    const value = this.select.get(key) as string | undefined
    return value === undefined ? MISS : decodedSignature(value)
  }

  range(key: Key, limit: number): number {
    let sum = 0
    for (const row of this.selectRange.iterate(key, limit)) sum += signature((row as { v: Buffer }).v)
    return sum
  }

  rangeReverse(key: Key, limit: number): number {
    let sum = 0
    for (const row of this.selectRangeReverse.iterate(key, limit)) sum += signature((row as { v: Buffer }).v)
    return sum
  }

  scan(): number {
    let sum = 0
    for (const row of this.selectAll.iterate()) sum += signature((row as { v: Buffer }).v)
    return sum
  }

  scanReverse(): number {
    let sum = 0
    for (const row of this.selectAllReverse.iterate()) sum += signature((row as { v: Buffer }).v)
    return sum
  }

  eachRow(): number {
    let sum = 0
    for (const row of this.selectAll.iterate()) {
      const { k, v } = row as { k: Key; v: Buffer }
      sum += k.length + signature(v)
    }
    return sum
  }

  rows(): number {
    return this.eachRow()
  }

  count(): number {
    return this.db.prepare('SELECT count(*) FROM kv').pluck().get() as number
  }

  observe(): undefined {
    return undefined
  }

  close(): void {
    this.db.close()
  }
}

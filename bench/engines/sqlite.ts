import Database from 'better-sqlite3'
import type { OpenRequest } from '../subjects.js'
import { MISS, signature, type SyncEngine } from './engine.js'

/** better-sqlite3: one table without row ids, prepared statements, write-ahead log synced at every commit. */
export class SqliteEngine implements SyncEngine {
  private readonly db: Database.Database
  private readonly upsert: Database.Statement<[string, unknown]>
  private readonly deleteOne: Database.Statement<[string]>
  private readonly select: Database.Statement<[string]>
  private readonly selectRange: Database.Statement<[string, number]>
  private readonly selectAll: Database.Statement<[]>
  private readonly selectAllReverse: Database.Statement<[]>
  private readonly putAll: (keys: readonly string[], values: readonly unknown[]) => void

  constructor({ path, values }: OpenRequest) {
    if (values !== 'binary') throw new Error('better-sqlite3 is measured with binary values only')
    const db = new Database(path)
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    db.pragma('cache_size = -1048576')
    db.pragma('mmap_size = 4294967296')
    db.exec('CREATE TABLE IF NOT EXISTS kv (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID')
    this.db = db
    this.upsert = db.prepare('INSERT INTO kv (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v')
    this.deleteOne = db.prepare('DELETE FROM kv WHERE k = ?')
    this.select = db.prepare<[string]>('SELECT v FROM kv WHERE k = ?').pluck()
    this.selectRange = db.prepare('SELECT k, v FROM kv WHERE k >= ? ORDER BY k LIMIT ?')
    this.selectAll = db.prepare('SELECT k, v FROM kv ORDER BY k')
    this.selectAllReverse = db.prepare('SELECT k, v FROM kv ORDER BY k DESC')
    this.putAll = db.transaction((keys: readonly string[], values: readonly unknown[]) => {
      for (let i = 0; i < keys.length; i++) this.upsert.run(keys[i], values[i])
    })
  }

  static loadAddon(): void {
    new Database(':memory:').close()
  }

  put(key: string, value: unknown): number {
    return this.upsert.run(key, value).changes
  }

  remove(key: string): number {
    return this.deleteOne.run(key).changes
  }

  putMany(keys: readonly string[], values: readonly unknown[]): number {
    this.putAll(keys, values)
    return keys.length
  }

  view(key: string): number {
    return signature(this.select.get(key) as Buffer | undefined)
  }

  copy(key: string): number {
    return this.view(key)
  }

  object(): number {
    return MISS
  }

  range(key: string, limit: number): number {
    let sum = 0
    for (const row of this.selectRange.iterate(key, limit)) sum += signature((row as { v: Buffer }).v)
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
      const { k, v } = row as { k: string; v: Buffer }
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

  usedBytes(): number | undefined {
    return undefined
  }

  describe(): string | undefined {
    return undefined
  }

  close(): void {
    this.db.close()
  }
}

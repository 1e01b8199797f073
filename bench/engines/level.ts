import { ClassicLevel } from 'classic-level'
import type { Key } from '../data.js'
import type { OpenRequest } from '../subjects.js'
import { decodedSignature, signature, type AsyncEngine } from './engine.js'

const CACHE_BYTES = 512 * 1024 * 1024
const WRITE_BUFFER_BYTES = 64 * 1024 * 1024
const VALUE_ENCODINGS = { binary: 'buffer', string: 'utf8' } as const

/** classic-level, every write with `sync: true`, or, relaxed, with its default `sync: false`. */
export class LevelEngine implements AsyncEngine {
  private constructor(
    private readonly db: ClassicLevel<Key, unknown>,
    private readonly sync: boolean,
  ) {}

  static async open({ subject, path, keyKind, values }: OpenRequest): Promise<LevelEngine> {
    if (values === 'object') throw new Error('classic-level is not measured with objects')
    const db = new ClassicLevel<Key, unknown>(path, {
      keyEncoding: keyKind === 'binary' ? 'buffer' : 'utf8',
      valueEncoding: VALUE_ENCODINGS[values],
      cacheSize: CACHE_BYTES,
      writeBufferSize: WRITE_BUFFER_BYTES,
    })
    await db.open()
    return new LevelEngine(db, subject.relaxed !== true)
  }

  async put(key: Key, value: unknown): Promise<number> {
    await this.db.put(key, value, { sync: this.sync })
    return 1
  }

  async remove(key: Key): Promise<number> {
    await this.db.del(key, { sync: this.sync })
    return 1
  }

  async putMany(keys: readonly Key[], values: readonly unknown[], from: number, to: number): Promise<number> {
    const operations = []
    for (let i = from; i < to; i++) operations.push({ type: 'put' as const, key: keys[i], value: values[i] })
    await this.db.batch(operations, { sync: this.sync })
    return to - from
  }

  /** Single puts would each sync: an application that wants them together uses `batch`. */
  putTogether(keys: readonly Key[], values: readonly unknown[], from: number, to: number): Promise<number> {
    return this.putMany(keys, values, from, to)
  }

  async view(key: Key): Promise<number> {
    return signature((await this.db.get(key)) as Buffer | undefined)
  }

  async copy(key: Key): Promise<number> {
    return this.view(key)
  }

  async decoded(key: Key): Promise<number> {
    return decodedSignature(await this.db.get(key))
  }

  async range(key: Key, limit: number): Promise<number> {
    let sum = 0
    for await (const [, value] of this.db.iterator({ gte: key, limit })) sum += signature(value as Buffer)
    return sum
  }

  async rangeReverse(key: Key, limit: number): Promise<number> {
    let sum = 0
    for await (const [, value] of this.db.iterator({ lte: key, limit, reverse: true })) {
      sum += signature(value as Buffer)
    }
    return sum
  }

  async scan(): Promise<number> {
    let sum = 0
    for await (const [, value] of this.db.iterator()) sum += signature(value as Buffer)
    return sum
  }

  async scanReverse(): Promise<number> {
    let sum = 0
    for await (const [, value] of this.db.iterator({ reverse: true })) sum += signature(value as Buffer)
    return sum
  }

  async eachRow(): Promise<number> {
    let sum = 0
    for await (const [key, value] of this.db.iterator()) sum += key.length + signature(value as Buffer)
    return sum
  }

  async rows(): Promise<number> {
    return this.eachRow()
  }

  async count(): Promise<number> {
    let count = 0
    for await (const key of this.db.keys()) count += key.length > 0 ? 1 : 0
    return count
  }

  observe(): undefined {
    return undefined
  }

  async close(): Promise<void> {
    await this.db.close()
  }
}

import { ClassicLevel } from 'classic-level'
import type { OpenRequest } from '../subjects.js'
import { MISS, signature, type AsyncEngine } from './engine.js'

const CACHE_BYTES = 512 * 1024 * 1024
const WRITE_BUFFER_BYTES = 64 * 1024 * 1024

/** classic-level, every write with `sync: true`. */
export class LevelEngine implements AsyncEngine {
  private constructor(private readonly db: ClassicLevel<string, Buffer>) {}

  static async open({ path, values }: OpenRequest): Promise<LevelEngine> {
    if (values !== 'binary') throw new Error('classic-level is measured with binary values only')
    const db = new ClassicLevel<string, Buffer>(path, {
      keyEncoding: 'utf8',
      valueEncoding: 'buffer',
      cacheSize: CACHE_BYTES,
      writeBufferSize: WRITE_BUFFER_BYTES,
    })
    await db.open()
    return new LevelEngine(db)
  }

  async put(key: string, value: unknown): Promise<number> {
    await this.db.put(key, value as Buffer, { sync: true })
    return 1
  }

  async remove(key: string): Promise<number> {
    await this.db.del(key, { sync: true })
    return 1
  }

  async putMany(keys: readonly string[], values: readonly unknown[]): Promise<number> {
    const operations = keys.map((key, i) => ({ type: 'put' as const, key, value: values[i] as Buffer }))
    await this.db.batch(operations, { sync: true })
    return keys.length
  }

  async view(key: string): Promise<number> {
    return signature(await this.db.get(key))
  }

  async copy(key: string): Promise<number> {
    return this.view(key)
  }

  object(): Promise<number> {
    return Promise.resolve(MISS)
  }

  async range(key: string, limit: number): Promise<number> {
    let sum = 0
    for await (const [, value] of this.db.iterator({ gte: key, limit })) sum += signature(value)
    return sum
  }

  async scan(): Promise<number> {
    let sum = 0
    for await (const [, value] of this.db.iterator()) sum += signature(value)
    return sum
  }

  async scanReverse(): Promise<number> {
    let sum = 0
    for await (const [, value] of this.db.iterator({ reverse: true })) sum += signature(value)
    return sum
  }

  async eachRow(): Promise<number> {
    let sum = 0
    for await (const [key, value] of this.db.iterator()) sum += key.length + signature(value)
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

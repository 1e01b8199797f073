import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Key } from '../data.js'
import type { OpenRequest } from '../subjects.js'
import { MISS, type SyncEngine } from './engine.js'

/** Beyond this, a change takes so long that nobody would keep a JSON file. */
const MOST_KEYS = 10_000

/**
 * What small programs do: a Map in memory, written as one JSON file at each change. Safely: into a new file, synced,
 * that then takes the old one's name.
 */
export class JsonFileEngine implements SyncEngine {
  private readonly path: string
  private readonly map: Map<string, string>

  constructor({ path, keyKind, values }: OpenRequest) {
    if (keyKind !== 'string' || values !== 'string') throw new Error('a JSON file holds strings only')
    this.path = path
    const entries = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>) : {}
    this.map = new Map(Object.entries(entries))
  }

  put(key: Key, value: unknown): number {
    this.map.set(key as string, value as string)
    this.save()
    return 1
  }

  remove(key: Key): number {
    const removed = this.map.delete(key as string)
    this.save()
    return removed ? 1 : 0
  }

  putMany(keys: readonly Key[], values: readonly unknown[], from: number, to: number): number {
    for (let i = from; i < to; i++) this.map.set(keys[i] as string, values[i] as string)
    this.save()
    return to - from
  }

  putTogether(keys: readonly Key[], values: readonly unknown[], from: number, to: number): Promise<number> {
    return Promise.resolve(this.putMany(keys, values, from, to))
  }

  view(key: Key): number {
    return this.decoded(key)
  }

  copy(key: Key): number {
    return this.decoded(key)
  }

  decoded(key: Key): number {
    const value = this.map.get(key as string)
    return value === undefined ? MISS : value.charCodeAt(0) + value.length
  }

  range(): number {
    throw new Error('a Map has no order of keys')
  }

  rangeReverse(): number {
    return this.range()
  }

  scan(): number {
    let sum = 0
    for (const value of this.map.values()) sum += value.charCodeAt(0) + value.length
    return sum
  }

  scanReverse(): number {
    return this.range()
  }

  eachRow(): number {
    return this.scan()
  }

  rows(): number {
    return this.scan()
  }

  count(): number {
    return this.map.size
  }

  observe(): undefined {
    return undefined
  }

  close(): void {
    // Every change has been saved.
  }

  private save(): void {
    if (this.map.size > MOST_KEYS) {
      throw new RangeError(`at most ${String(MOST_KEYS)} keys in a JSON file, got ${String(this.map.size)}`)
    }
    const temporary = `${this.path}.new`
    const descriptor = openSync(temporary, 'w', 0o600)
    try {
      writeFileSync(descriptor, JSON.stringify(Object.fromEntries(this.map)))
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(temporary, this.path)
    const directory = openSync(dirname(this.path), 'r')
    try {
      fsyncSync(directory)
    } finally {
      closeSync(directory)
    }
  }
}

import type { Key } from '../data.js'

/** What an engine can tell about itself, where it can. */
export interface Observation {
  /** How often the file has grown. */
  readonly growths: number
  readonly checkpoints: number
  readonly fences: number
  readonly flushedLines: number
  /** msync and fdatasync calls that the main thread has waited for. */
  readonly syncs: number
  /** Bytes of the file that hold data or bookkeeping. */
  readonly usedBytes: number
  /** What "durable" means for this store. */
  readonly description: string
}

/**
 * The face every engine shows to the drivers. Read methods return a small number made of what they read (so that nothing is
 * optimised away and engines can be compared), MISS when there is nothing.
 */
export interface Engine<Result extends number | Promise<number> = number> {
  /** Durable when it returns (or when the promise resolves), unless the subject is a relaxed one. */
  put(key: Key, value: unknown): Result
  /** Durable removal. Returns 1. */
  remove(key: Key): Result
  /** Puts numbers from..to-1 in one transaction. Returns their number. */
  putMany(keys: readonly Key[], values: readonly unknown[], from: number, to: number): Result
  /**
   * Puts numbers from..to-1 as that many callers would who do not wait for each other, the best way the engine has for
   * that. Resolves to their number when all are durable.
   */
  putTogether(keys: readonly Key[], values: readonly unknown[], from: number, to: number): Promise<number>
  /** A binary value, the fastest way the engine has, a buffer that is reused included. */
  view(key: Key): Result
  /** A binary value as a Buffer of its own. */
  copy(key: Key): Result
  /** A string or an object, decoded. */
  decoded(key: Key): Result
  /** At most `limit` rows from `key` on, the fastest documented way. */
  range(key: Key, limit: number): Result
  /** At most `limit` rows from `key` downwards. */
  rangeReverse(key: Key, limit: number): Result
  /** All rows, the fastest documented way. */
  scan(): Result
  scanReverse(): Result
  /** All rows with decoded keys, by callback where the engine has one. */
  eachRow(): Result
  /** All rows with decoded keys and values, in a for-of loop. */
  rows(): Result
  count(): Result
  observe(): Observation | undefined
  close(): void | Promise<void>
}

export type SyncEngine = Engine
export type AsyncEngine = Engine<Promise<number>>

export const MISS = -1

/** What a read of a binary value counts for: its first byte is touched, its length is known. */
export function signature(value: Uint8Array | undefined): number {
  return value === undefined ? MISS : value[0] + value.length
}

/** What a decoded string or object counts for. */
export function decodedSignature(value: unknown): number {
  if (value === undefined) return MISS
  if (typeof value === 'string') return value.charCodeAt(0) + value.length
  const { age, tags } = value as { readonly age: number; readonly tags: readonly string[] }
  return age + tags.length
}

export type OpenedEngine =
  { readonly sync: true; readonly engine: SyncEngine } | { readonly sync: false; readonly engine: AsyncEngine }

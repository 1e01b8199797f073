/**
 * The face every engine shows to the drivers. Read methods return a small number made of what they read (so that nothing is
 * optimised away and engines can be compared), MISS when there is nothing.
 */
export interface Engine<Result extends number | Promise<number> = number> {
  /** Durable when it returns (or when the promise resolves). */
  put(key: string, value: unknown): Result
  /** Durable removal. Returns 1. */
  remove(key: string): Result
  /** Puts all in one transaction. Returns their number. */
  putMany(keys: readonly string[], values: readonly unknown[]): Result
  /** A binary value, the fastest way the engine has, a buffer that is reused included. */
  view(key: string): Result
  /** A binary value as a Buffer of its own. */
  copy(key: string): Result
  /** An object value, decoded. */
  object(key: string): Result
  /** At most `limit` rows from `key` on, the fastest documented way. */
  range(key: string, limit: number): Result
  /** All rows, the fastest documented way. */
  scan(): Result
  scanReverse(): Result
  /** All rows with decoded keys, by callback where the engine has one. */
  eachRow(): Result
  /** All rows with decoded keys and values, in a for-of loop. */
  rows(): Result
  count(): Result
  /** Bytes of the file that hold data or bookkeeping, where the engine can tell. */
  usedBytes(): number | undefined
  /** What "durable" means for this store, where the engine can tell. */
  describe(): string | undefined
  close(): void | Promise<void>
}

export type SyncEngine = Engine
export type AsyncEngine = Engine<Promise<number>>

export const MISS = -1

/** What a read of a binary value counts for: its first byte is touched, its length is known. */
export function signature(value: Uint8Array | undefined): number {
  return value === undefined ? MISS : value[0] + value.length
}

export type OpenedEngine =
  { readonly sync: true; readonly engine: SyncEngine } | { readonly sync: false; readonly engine: AsyncEngine }

import type { KeyBounds, RangeOptions, WriteOptions } from './options.js'
import type { BatchOperation, KeyEncoding, ScanRow, ValueEncoding } from './types.js'

/**
 * An ordered map from keys to values inside a pool.
 *
 * Every write outside a transaction is a transaction of its own: when the call returns, it is durable to the degree
 * `store.persistence` states (with `durability: 'relaxed'` it survives the end of the process; see `Durability`). Inside
 * `store.transaction` writes take effect together at its end. All calls see the writes made before them, the pending ones of
 * the surrounding transaction included; of asynchronous writes see `putAsync`.
 *
 * Every call may throw a `DaxkvError`: `CLOSED` (the store is closed or the keyspace dropped), `POISONED`,
 * `INVALID_ARGUMENT` or `KEY_TOO_LONG` (the key does not suit the encoding), `CORRUPT` or `MEDIA_ERROR` (the pool is
 * damaged). Writes may also throw `READ_ONLY`, `BUSY` (inside `withView`, `scan` and the like), `VALUE_TOO_LARGE`,
 * `TX_TOO_LARGE`, `NO_SPACE` and `PERSIST_FAILED`. A write that throws has changed nothing; a write that fails after it
 * had begun to change pages inside a transaction leaves only one way on: to abort that transaction, whose further
 * calls throw the same error.
 */
export interface Keyspace<K, V> {
  /** Name in the pool; empty for the default keyspace. */
  readonly name: string
  readonly keyEncoding: KeyEncoding
  readonly valueEncoding: ValueEncoding

  /** The value of a key, decoded, or undefined when there is none. */
  get(key: K): V | undefined
  /** The encoded value as a Buffer of its own, or undefined. */
  getBinary(key: K): Buffer | undefined
  /**
   * Calls `use` with the encoded value without copying it and returns what it returns; undefined, without a call, when
   * there is no such key. The view is the pool's memory: it is valid inside `use` only and must not be written to (a
   * write is caught by the memory protection and makes this call throw `MEDIA_ERROR`; `:memory:` stores have no such
   * protection). Inside `use` the store can be read; writes throw `BUSY`. Values that cross two mapped windows (of 8 MiB,
   * portable 1 MiB) are shown as a copy, as are values in pages that the surrounding transaction has changed.
   */
  withView<T>(key: K, use: (view: Buffer) => T): T | undefined
  /** Whether the key exists. */
  has(key: K): boolean
  /** The values of several keys, in the order of the keys, undefined where there is none. */
  getMany(keys: Iterable<K>): (V | undefined)[]

  /** Sets the value of a key. `undefined` is not a value: `INVALID_ARGUMENT`. */
  put(key: K, value: V, options?: WriteOptions): void
  /** Removes a key. Returns whether it was there. */
  delete(key: K, options?: WriteOptions): boolean
  /**
   * Removes all keys within the bounds and returns how many there were. At least one bound must be given, and none may
   * be undefined, so that a forgotten variable does not empty the keyspace; `clear` does that.
   */
  deleteRange(bounds: KeyBounds<K>): number
  /** Applies all operations in their order, in one transaction: all of them or none. */
  batch(operations: Iterable<BatchOperation<K, V>>, options?: WriteOptions): void
  /**
   * `put` that does not wait: the promise resolves when the write is durable. Under granularity page, all asynchronous writes of
   * one turn of the event loop, and those that come while the disk is busy with the ones before, become durable together: one
   * msync on a worker thread. Elsewhere the write is committed at once, and also in a store opened with `durability: 'relaxed'`,
   * where the promise resolves before the write is durable.
   *
   * Writes take effect in the order of the calls. Until the promise resolves, transactions, `update`, `compareAndSet` and the
   * like see the write, plain reads the state that is durable (while a relaxed commit is not durable yet, they see the write as
   * well). Nothing is thrown: every error rejects the promise. A write that cannot be done (`KEY_TOO_LONG` ...) rejects alone; damage,
   * lack of memory or a full file system met by puts that are staged together (up to 1,024) rejects all of those; a
   * failing disk rejects all that wait (`PERSIST_FAILED`), and a synchronous transaction that finds no space at its commit the
   * group collected before it. Calls of one group may return the same promise. Inside a transaction: `BUSY`.
   */
  putAsync(key: K, value: V): Promise<void>
  /** `delete` that does not wait, in the way of `putAsync`; resolves to whether the key was there. */
  deleteAsync(key: K): Promise<boolean>
  /** `batch` that does not wait, in the way of `putAsync`: all of its operations or none. */
  batchAsync(operations: Iterable<BatchOperation<K, V>>): Promise<void>
  /** Sets the value unless the key exists. Returns whether it was set. */
  putIfAbsent(key: K, value: V): boolean
  /**
   * Replaces `expected` by `next` in one step: only when the stored bytes equal those of `expected` encoded (so the
   * order of an object's properties matters). `undefined` stands for "no such key", as expected and as next (delete).
   * Returns whether it matched.
   */
  compareAndSet(key: K, expected: V | undefined, next: V | undefined): boolean
  /**
   * Replaces a value by what `change` makes of it, in one transaction, and returns the new value. `change` gets undefined when
   * there is no such key, and may return undefined to delete it. When it throws, nothing is changed; when it returns
   * a Promise, `ASYNC_TRANSACTION` is thrown.
   */
  update(key: K, change: (current: V | undefined) => V | undefined): V | undefined
  /** Removes all entries. */
  clear(): void

  /**
   * Rows in order of their keys. The iterator reads as it goes: the store may be changed while it runs, also by the loop itself.
   * Then it goes on after the last key it gave: each row is current at the time it is returned, keys are
   * strictly ascending (or descending), and nothing is returned twice. Breaking off needs no clean-up.
   */
  range(options?: RangeOptions<K>): IterableIterator<[key: K, value: V]>
  /** The keys of `range`, without reading values. */
  keys(options?: RangeOptions<K>): IterableIterator<K>
  /** The values of `range`, without decoding keys. */
  values(options?: RangeOptions<K>): IterableIterator<V>
  /** All rows; same as `range()`. */
  [Symbol.iterator](): IterableIterator<[key: K, value: V]>
  /**
   * Calls `visit` for every row in turn until it returns false; returns the number of calls. Faster than `range`, with
   * the same behaviour under changes.
   */
  forEach(options: RangeOptions<K>, visit: (key: K, value: V) => unknown): number
  /**
   * The fastest iteration: shows the encoded rows where they lie, until `visit` returns false; returns the number of calls.
   * The row object and the bytes it points at are valid until `visit` returns (see `ScanRow`). The store cannot be
   * written to inside `visit`: `BUSY`.
   *
   *     let bytes = 0
   *     store.scan({ prefix: 'a' }, (row) => {
   *       bytes += row.valueEnd - row.valueStart
   *     })
   */
  scan(options: RangeOptions<K>, visit: (row: ScanRow) => unknown): number
  /** The row with the lowest key (within the bounds), or undefined. */
  first(bounds?: KeyBounds<K>): [key: K, value: V] | undefined
  /** The row with the highest key (within the bounds), or undefined. */
  last(bounds?: KeyBounds<K>): [key: K, value: V] | undefined
  /** Number of rows `range` would give. Without bounds it is read from the tree's root; else nodes are counted, not rows. */
  count(options?: RangeOptions<K>): number
}

/** What the callback of `store.transactionAsync` works with. */
import type { Keyspace } from './keyspace-interface.js'
import type { RangeOptions, WriteOptions } from './options.js'
import type { BatchOperation } from './types.js'

/** A keyspace as an asynchronous transaction sees it: what is committed, and on top what the transaction has written. */
export interface TransactionKeyspace<K, V> {
  /** The value of a key, decoded, or undefined when there is none. */
  get(key: K): V | undefined
  has(key: K): boolean
  /** The values of several keys, in the order of the keys. */
  getMany(keys: Iterable<K>): (V | undefined)[]
  /** Sets the value of a key when the transaction commits. The value is encoded at once: changing it later has no effect. */
  put(key: K, value: V): void
  /** Removes a key when the transaction commits. Returns whether it is there now. */
  delete(key: K): boolean
  batch(operations: Iterable<BatchOperation<K, V>>): void
  /** Sets the value unless the key exists. Returns whether it will be set. */
  putIfAbsent(key: K, value: V): boolean
  /** Replaces a value by what `change` makes of it, undefined for "no such key" both ways. Returns the new value. */
  update(key: K, change: (current: V | undefined) => V | undefined): V | undefined
  /**
   * Rows in order of their keys. It may be left and gone on with later; the transaction's own writes ahead of it are seen. What
   * has been gone through counts as read, with the gaps: a key that others add there is a conflict.
   */
  range(options?: RangeOptions<K>): IterableIterator<[key: K, value: V]>
  keys(options?: RangeOptions<K>): IterableIterator<K>
  values(options?: RangeOptions<K>): IterableIterator<V>
}

/**
 * An asynchronous transaction: the default keyspace as it sees it, and the way to the others. Inside a synchronous transaction
 * it cannot be read from (`BUSY`): what that one has staged may still be taken back.
 */
export interface AsyncTransaction<K, V> extends TransactionKeyspace<K, V> {
  /** A keyspace of the same store as the transaction sees it. */
  in<K2, V2>(keyspace: Keyspace<K2, V2>): TransactionKeyspace<K2, V2>
  /** How many times the callback has been run before, because of conflicts. */
  readonly reruns: number
}

export interface AsyncTransactionOptions extends WriteOptions {
  /** When something the transaction has read was changed before it ended: run it again, or reject with `CONFLICT`. Default `rerun`. */
  readonly onConflict?: 'rerun' | 'error'
  /** After so many reruns the promise rejects with `CONFLICT`. Default 10. */
  readonly maxReruns?: number
}

import type { Persistence } from '../pmem/persistent-memory.js'
import type { Keyspace } from './keyspace-interface.js'
import type { AsyncTransaction, AsyncTransactionOptions } from './async-transaction-interface.js'
import type { KeyspaceOptions, WriteOptions } from './options.js'
import type { StoreStats } from './stats.js'
import type { AnyKey, CheckReport, Key, KeyEncoding, KeyOf, KeyspaceInfo, ValueEncoding, ValueOf } from './types.js'

/** An open pool. It is its own default keyspace, and keeper of the named ones. */
export interface Store<K = Key, V = unknown> extends Keyspace<K, V> {
  /** Path of the pool file, or `:memory:`. */
  readonly path: string
  readonly readOnly: boolean
  /** True from `close` on. */
  readonly closed: boolean
  /** Granularity of persistence, flush instruction and domain in use, and why: what "durable" means here. */
  readonly persistence: Persistence

  /**
   * The keyspace of that name, created at once when there is none (in the current transaction, if one is open; in a
   * read-only store `READ_ONLY` is thrown instead). Calling it again gives the same object. `ENCODING_MISMATCH` when
   * the keyspace exists with other encodings than the options name. The empty name is the store itself.
   *
   * Types follow from the encodings named, or are declared: `store.keyspace<string, User>('users')`.
   */
  keyspace<KE extends KeyEncoding = KeyEncoding, VE extends ValueEncoding = ValueEncoding>(
    name: string,
    options?: KeyspaceOptions<KE, VE>,
  ): Keyspace<KeyOf<KE>, ValueOf<VE>>
  keyspace<K2 extends AnyKey, V2>(name: string, options?: KeyspaceOptions): Keyspace<K2, V2>
  /** All keyspaces, the default one included, in order of their names. */
  keyspaces(): KeyspaceInfo[]
  /**
   * Removes a keyspace with all its entries and gives its space back. Returns whether there was one. Handles to it then
   * throw `CLOSED`. The default keyspace cannot be dropped, only cleared.
   */
  dropKeyspace(name: string): boolean

  /**
   * Runs `action` as one transaction over all keyspaces: what it writes becomes durable together when it returns. When
   * it throws, nothing of it remains and the error is thrown on. A transaction inside a transaction is a savepoint: an
   * error takes back its part only, and the outer one may go on. `action` must be synchronous: when it returns a Promise, everything
   * is taken back and `ASYNC_TRANSACTION` is thrown (what it does after its first await is outside the transaction).
   */
  transaction<T>(action: () => T, options?: WriteOptions): T

  /**
   * Runs `action` as one transaction that may wait for other things in between. It works through `tx`: `tx.in(users).put(...)`.
   * What it writes stays in `tx` until it ends and is then committed together, in the way of `putAsync`; the promise resolves
   * to what `action` returned when that is durable. What it reads is the state the next transaction would see, its own writes on
   * top. Other transactions go on meanwhile, synchronous ones too; whenever something was committed, all that was read is
   * compared with what is there now, at the next read and at the end, so `action` never sees a mixture of two states. On a
   * difference it is run again from the start (`onConflict: 'rerun'`, the default; at most `maxReruns` times) or
   * rejects with `CONFLICT` (`onConflict: 'error'`). When `action` rejects or throws, nothing of it remains and the promise rejects
   * with its error. After the end `tx` refuses every call (`CLOSED`).
   *
   *     await store.transactionAsync(async (tx) => {
   *       const user = tx.get('ada')
   *       const rate = await fetchRate(user.currency)
   *       tx.in(prices).put('ada', user.amount * rate)
   *     })
   */
  transactionAsync<T>(
    action: (tx: AsyncTransaction<K, V>) => Promise<T> | T,
    options?: AsyncTransactionOptions,
  ): Promise<T>

  /**
   * Resolves when everything committed or queued before this call is durable; rejects as the writes themselves do. Only relaxed and
   * asynchronous writes need it.
   */
  flush(): Promise<void>
  /** The same, blocking. `BUSY` inside a transaction. */
  flushSync(): void

  /** Sizes and counters; see `StoreStats`. */
  stats(): StoreStats
  /**
   * Walks the whole pool: identity, root, bitmaps, catalog, all nodes, checksums, counts, and that every page is either
   * reachable exactly once or free. Damage is reported, not thrown. Not inside a transaction (`BUSY`).
   */
  check(): CheckReport
  /**
   * Ends all use: what is pending (relaxed and asynchronous writes) is made durable first, waiting for it; the pool is marked as
   * cleanly closed. Calling it again does nothing. `BUSY` inside a transaction.
   */
  close(): void
  /** `close`, for `using store = open(...)`. */
  [Symbol.dispose](): void
}

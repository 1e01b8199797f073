import type { Persistence } from '../pmem/persistent-memory.js'
import type { Keyspace } from './keyspace-interface.js'
import type { KeyspaceOptions } from './options.js'
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
  transaction<T>(action: () => T): T

  /** Sizes and counters; see `StoreStats`. */
  stats(): StoreStats
  /**
   * Walks the whole pool: identity, root, bitmaps, catalog, all nodes, checksums, counts, and that every page is either
   * reachable exactly once or free. Damage is reported, not thrown. Not inside a transaction (`BUSY`).
   */
  check(): CheckReport
  /** Ends all use: everything is durable already; the pool is marked as cleanly closed. Calling it again does nothing. `BUSY` inside a transaction. */
  close(): void
  /** `close`, for `using store = open(...)`. */
  [Symbol.dispose](): void
}

/** Options of the public calls: names, types, units, defaults. What is checked at run time is in `open.ts`. */
import type { Granularity } from '../pmem/persistent-memory.js'
import type { Durability } from '../tx/engine.js'
import type { KeyEncoding, ValueEncoding } from './types.js'

/** Encodings of a keyspace. They are recorded when it is created; later opens may omit them or must name the same. */
export interface KeyspaceOptions<KE extends KeyEncoding = KeyEncoding, VE extends ValueEncoding = ValueEncoding> {
  /**
   * How keys become bytes, and so their order. Default: what the pool has recorded, `ordered` for a new keyspace.
   *
   * - `ordered`: any `Key`; keys of different types in one keyspace, kept in order.
   * - `utf8`: strings only, ordered by code point.
   * - `binary`: Buffers (or other Uint8Arrays), ordered bytewise; given back as Buffers.
   * - `uint32`: integers from 0 to 4294967295, ordered by value.
   */
  readonly keyEncoding?: KE
  /**
   * How values become bytes. Default: what the pool has recorded, `msgpack` for a new keyspace.
   *
   * - `msgpack`: structured values (objects, arrays, Map, Set, Date, bigint, Buffers ...); the property names of the most
   *   frequent shapes are kept once in the pool.
   * - `json`: what JSON can express.
   * - `string`: strings, as UTF-8.
   * - `binary`: Buffers (or other Uint8Arrays), as they are; given back as Buffers.
   */
  readonly valueEncoding?: VE
}

/** Options of `open`. The encodings are those of the default keyspace, which is the store itself. */
export interface StoreOptions<
  KE extends KeyEncoding = KeyEncoding,
  VE extends ValueEncoding = ValueEncoding,
> extends KeyspaceOptions<KE, VE> {
  /**
   * Open for reading only. The pool must exist, be cleanly closed (else `NEEDS_RECOVERY`) and have no writer.
   * Default false.
   */
  readonly readOnly?: boolean
  /** Create the pool when the file does not exist; false gives `POOL_NOT_FOUND` instead. Default true. */
  readonly create?: boolean
  /**
   * Size of a new pool file in bytes, rounded up to pages of 4096. An existing pool ignores it. Default 24 MiB under
   * granularity page (16 of them log), else 8 MiB (`:memory:` 512 KiB).
   */
  readonly initialSizeBytes?: number
  /** How much the file grows at a time, in bytes, rounded up to pages. Default 16 MiB. */
  readonly growthStepBytes?: number
  /** The file never grows beyond this many bytes; a transaction that needs more fails with `NO_SPACE`. Default: no limit. */
  readonly maxSizeBytes?: number
  /**
   * Size of the log area in bytes, fixed when the pool is created. Under granularity page (redo) a longer one makes
   * checkpoints rarer, and transactions that do not fit wait longer; default 16 MiB, at most a quarter of `maxSizeBytes`.
   * Elsewhere (undo) longer records overflow into free pages; default 1 MiB, less in pools that start below 8 MiB.
   */
  readonly logSizeBytes?: number
  /** Most bytes of changed pages one transaction may hold in memory; beyond it `TX_TOO_LARGE`. Default 512 MiB. */
  readonly stagingLimitBytes?: number
  /**
   * Bytes of a segment, a power of two from 1 MiB to 1 GiB, fixed when the pool is created; a value must fit into
   * one. Default 1 GiB.
   */
  readonly segmentBytes?: number
  /**
   * Verify what is read: the checksum of every page a read or write visits, and the hash of every large value (one that
   * does not stand in a leaf) it finds. Damage then gives `CORRUPT` instead of perhaps a wrong value. Iterators verify a
   * leaf when they come to it. Costs about a hash of 4 KiB for each level of the tree and one of the whole value for a
   * large one. Default false: structural damage is an error, a flipped bit inside a value is found by `check` only.
   */
  readonly verifyReads?: boolean
  /**
   * The coarsest granularity of persistence that is acceptable: `byte`, `cache-line` or `page`. A medium that is
   * coarser is refused with `GRANULARITY_UNAVAILABLE` and the reason. Default `page`: everything is accepted.
   */
  readonly requireGranularity?: Granularity
  /**
   * For tests and benchmarks: act as if the medium had this granularity. The promise of durability against power
   * loss is then void, and `store.persistence.forced` says so.
   */
  readonly forceGranularity?: Granularity
  /**
   * How commits are made atomic. `undo`: pre-images are logged, two barriers a commit. `redo`: post-images are
   * logged, one barrier a commit; under granularity `page` as long as the transaction fits the log area (`logSizeBytes`).
   * Default: `redo` where a barrier is an msync (granularity `page`), else `undo`. It may change from one open to the next.
   */
  readonly logging?: 'undo' | 'redo'
  /**
   * What a synchronous commit waits for; see `Durability`. Single writes and transactions may ask for the other level.
   * Default `sync`.
   */
  readonly durability?: Durability
  /**
   * With relaxed commits: at most so many milliseconds pass before the background msync that makes them durable begins. Default 100.
   */
  readonly relaxedIntervalMs?: number
  /**
   * What runs the commits. `native`: the addon. `portable`: TypeScript over a mapping of the optional package mmap-io;
   * granularity `page` only, pools up to 2 GiB, no protection against a file that somebody else cuts short. `simulated`:
   * `:memory:`. Default: the one that fits the path, for files `portable` only where the addon cannot be loaded;
   * `store.persistence` says which one it is and why.
   */
  readonly executor?: 'native' | 'portable' | 'simulated'
}

/** Options of a write, or of a transaction. */
export interface WriteOptions {
  /**
   * Default: the `durability` of the store. Not inside a transaction (`INVALID_ARGUMENT`), where the outermost one decides.
   */
  readonly durability?: Durability | undefined
}

/** What an array key may begin with: some of its elements. */
export type Leading<K> = K extends readonly (infer Element)[] ? readonly Element[] : never

/** Bounds of a stretch of keys. All that are given apply together; with none, the stretch is the whole keyspace. */
export interface KeyBounds<K> {
  /** Only keys after this one. Not together with `gte`. */
  readonly gt?: K | undefined
  /** Only this key and keys after it. */
  readonly gte?: K | undefined
  /** Only keys before this one. Not together with `lte`. */
  readonly lt?: K | undefined
  /** Only this key and keys before it. */
  readonly lte?: K | undefined
  /**
   * Only keys that begin with this: a string (utf8, and string keys of ordered), a Buffer (binary), or an array
   * (ordered: array keys whose first elements are these). Keyspaces of uint32 keys have no prefixes.
   */
  readonly prefix?: K | Leading<K> | undefined
}

/** Which rows an iteration gives, and in which order. */
export interface RangeOptions<K> extends KeyBounds<K> {
  /** Descending order. Default false. */
  readonly reverse?: boolean | undefined
  /** At most this many rows. Default Infinity. */
  readonly limit?: number | undefined
  /** Rows passed over before the first one given. Default 0. */
  readonly offset?: number | undefined
}

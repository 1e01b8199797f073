/** Options of the public calls: names, types, units, defaults. What is checked at run time is in `option-checks.ts`. */
import type { Granularity } from '../pmem/persistent-memory.js'
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
   * logged, one barrier a commit as long as the transaction fits the log area (`logSizeBytes`). Default: `redo`
   * where a barrier is an msync (granularity `page`), else `undo`. It may change from one open to the next.
   */
  readonly logging?: 'undo' | 'redo'
  /** What runs the commits: `native` for files, `simulated` for `:memory:`. Default: the one that fits the path. */
  readonly executor?: 'native' | 'simulated'
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

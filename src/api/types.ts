import type { KeyEncoding } from '../codec/key-codec.js'
import type { OrderedKey } from '../codec/ordered-key.js'
import type { ValueEncoding } from '../codec/value-codec.js'

export type { KeyEncoding, ValueEncoding }

/**
 * The vocabulary of the public interface: keys, encodings, rows and reports. `keyspace-interface.ts` and
 * `store-interface.ts` describe the two objects a program works with.
 */

/**
 * Keys of the encoding `ordered`, in this order: null, false, true, numbers by value, strings by code point; arrays
 * (flat, of two elements or more) element by element. NaN, undefined, bigints and Buffers are refused; -0 is stored as 0.
 */
export type Key = OrderedKey

/** Every type of key: `Key` for ordered, string for utf8, Buffer or Uint8Array for binary, number for uint32. */
export type AnyKey = Key | Uint8Array

/** Type of the keys an encoding gives back. */
export type KeyOf<KE extends KeyEncoding> = KeyEncoding extends KE
  ? Key
  : KE extends 'utf8'
    ? string
    : KE extends 'binary'
      ? Buffer
      : KE extends 'uint32'
        ? number
        : Key

/** Type of the values an encoding gives back. */
export type ValueOf<VE extends ValueEncoding> = ValueEncoding extends VE
  ? unknown
  : VE extends 'string'
    ? string
    : VE extends 'binary'
      ? Buffer
      : unknown

/** One step of `batch`. */
export type BatchOperation<K, V> =
  { readonly type: 'put'; readonly key: K; readonly value: V } | { readonly type: 'del'; readonly key: K }

/**
 * A row as `scan` shows it: one object, filled anew for every row. Nothing in it may be kept or written to:
 * the bytes are those of the pool and of a shared key buffer, valid until the visitor returns.
 */
export interface ScanRow {
  /** Holds the encoded key in [keyStart, keyEnd). */
  readonly keyBuffer: Buffer
  readonly keyStart: number
  readonly keyEnd: number
  /** Holds the encoded value in [valueStart, valueEnd). */
  readonly valueBuffer: Buffer
  readonly valueStart: number
  readonly valueEnd: number
}

/** One keyspace of the pool. */
export interface KeyspaceInfo {
  /** Empty for the default keyspace, the store itself. */
  readonly name: string
  readonly keyEncoding: KeyEncoding
  readonly valueEncoding: ValueEncoding
  /** Number of entries. */
  readonly entries: number
}

/** Something `check` found. */
export interface CheckProblem {
  readonly message: string
  /** Keyspace it concerns, where it is known. */
  readonly keyspace?: string
  /** Page it concerns, and its byte offset in the pool file. */
  readonly pageId?: number
  readonly offset?: number
}

/** What `check` found. */
export interface CheckReport {
  /** True when there is no problem. */
  readonly ok: boolean
  readonly problems: readonly CheckProblem[]
  readonly keyspaces: readonly KeyspaceInfo[]
  /** Every page of the pool, by what it is used for. */
  readonly pages: {
    readonly capacity: number
    /** Identity, anchor, root, log and bitmaps. */
    readonly reserved: number
    /** Nodes of trees, the catalog's included. */
    readonly tree: number
    /** Pages of large values. */
    readonly extent: number
    readonly free: number
  }
}

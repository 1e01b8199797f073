/**
 * The codec layer turns keys and values into bytes and back. It knows nothing of pages, pools or transactions: it
 * writes into memory it is given and reads from ranges it is given, and imports nothing but errors.
 */
import { DaxkvError } from '../errors.js'

/**
 * Longest encoded key. At least two keys of any length must fit in one 4 KiB tree node beside its header and slots,
 * otherwise a node could not be split.
 */
export const MAX_KEY_BYTES = 1978

/** Room a caller must leave behind `offset` in the target of `KeyCodec.encode`: the limit and one overlong character. */
export const KEY_TARGET_BYTES = 2048

export const KEY_ENCODINGS = ['ordered', 'utf8', 'binary', 'uint32'] as const

/** Names of the key encodings. */
export type KeyEncoding = (typeof KEY_ENCODINGS)[number]

/** How the keys of one keyspace become bytes; the store orders keys by comparing those bytes as unsigned numbers. */
export interface KeyCodec<K> {
  readonly name: KeyEncoding
  /**
   * Writes the key to `target` from `offset` on, where at least `KEY_TARGET_BYTES` must be free, and returns the end
   * offset. Throws `INVALID_ARGUMENT` for a key that would not read back as itself, `KEY_TOO_LONG` beyond `MAX_KEY_BYTES`.
   */
  encode(key: K, target: Buffer, offset: number): number
  /**
   * Reads the key that fills `[start, end)` exactly, without writing to `source`; the result never shares memory with
   * it. Throws `CORRUPT` for bytes that `encode` cannot have written.
   */
  decode(source: Buffer, start: number, end: number): K
}

export function keyTooLong(actualBytes: number): DaxkvError {
  return new DaxkvError(
    'KEY_TOO_LONG',
    `a key may have at most ${MAX_KEY_BYTES} encoded bytes, this one has ${actualBytes}; store a hash of it, or the long part in the value`,
    { limit: MAX_KEY_BYTES, actual: actualBytes },
  )
}

export function invalidKey(encoding: KeyEncoding, problem: string): DaxkvError {
  return new DaxkvError('INVALID_ARGUMENT', `key encoding '${encoding}' ${problem}`)
}

export function corruptKey(encoding: KeyEncoding, start: number, end: number): DaxkvError {
  return new DaxkvError('CORRUPT', `${end - start} stored bytes are not a key of encoding '${encoding}'`)
}

/** How an unexpected value is named in a message: short, and never with the content of a large object. */
export function describe(value: unknown): string {
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'object' && value !== null) {
    const { constructor } = value as { constructor: unknown }
    return typeof constructor === 'function' && constructor !== Object ? `a ${constructor.name}` : 'an object'
  }
  if (typeof value === 'string')
    return value.length > 40 ? `a string of ${value.length} characters` : JSON.stringify(value)
  if (typeof value === 'bigint') return `the bigint ${value}`
  return typeof value === 'function' || typeof value === 'symbol' ? `a ${typeof value}` : String(value)
}

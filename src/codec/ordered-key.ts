import { MAX_KEY_BYTES, corruptKey, describe, invalidKey, keyTooLong } from './key-codec.js'
import type { KeyCodec } from './key-codec.js'
import { NUMBER_BYTES, NUMBER_END_BYTE, NUMBER_FIRST_BYTE, decodeNumber, encodeNumber } from './ordered-number.js'
import { STRING_FIRST_BYTE, decodeString, encodeString, encodedStringBytes, endOfString } from './ordered-string.js'

/** What one element of an `ordered` key may be. */
export type OrderedKeyElement = string | number | boolean | null

/** Keys of the `ordered` encoding. */
export type OrderedKey = OrderedKeyElement | readonly OrderedKeyElement[]

const SEPARATOR = 0
const NULL = 0
const FALSE = 6
const TRUE = 7

/**
 * Typed keys in the bytes of the ordered-binary package. The order is: null, false, true, numbers by value, strings by
 * code point; an array compares element by element, a scalar like an array of that one element.
 *
 * Rejected, because ordered-binary cannot tell them from other keys or does not order them: undefined, NaN, bigints,
 * symbols, Buffers, objects, arrays of fewer than two elements or with arrays inside, strings with lone surrogates.
 * -0 becomes 0. Encoding and decoding are written here rather than called, because its reader stores a terminator into
 * the memory it reads, and the mapping is read-only; tests hold the bytes equal to the package's.
 */
export const orderedKeyCodec: KeyCodec<OrderedKey> = {
  name: 'ordered',

  encode(key, target, offset) {
    const limit = offset + MAX_KEY_BYTES
    let at: number
    // Strings and numbers first: the hot paths.
    if (typeof key === 'string') at = encodeString(key, target, offset, limit)
    else if (typeof key === 'number' && key === key) return encodeNumber(key, target, offset, false)
    else if (Array.isArray(key)) at = encodeArray(key, target, offset, limit)
    else return encodeElement(key as OrderedKeyElement, target, offset, limit)
    if (at > limit) throw keyTooLong(encodedBytes(key))
    return at
  },

  decode(source, start, end) {
    const first = start < end ? source[start] : -1
    const length = end - start
    if (first >= STRING_FIRST_BYTE) {
      const text = decodeString(source, start, end)
      if (text !== undefined) return text
    } else if (first >= NUMBER_FIRST_BYTE && first < NUMBER_END_BYTE && length <= NUMBER_BYTES) {
      const value = decodeNumber(source, start, length, false)
      if (value === value) return value
    } else if (length === 1 && (first === NULL || first === FALSE || first === TRUE)) {
      return first === NULL ? null : first === TRUE
    }
    // Not a scalar, so it has a separator; the shortest array is [null, null] in three bytes.
    if (length > 2 && length <= MAX_KEY_BYTES) {
      const elements = decodeArray(source, start, end)
      if (elements !== undefined) return elements
    }
    throw corruptKey('ordered', start, end)
  },
}

function encodeArray(key: readonly OrderedKeyElement[], target: Buffer, offset: number, limit: number): number {
  if (key.length < 2) {
    throw invalidKey(
      'ordered',
      `takes arrays of at least two elements, this one has ${key.length}; an array of one has the bytes of its element: use the element`,
    )
  }
  return encodeElements(key, target, offset, limit)
}

function encodeElements(elements: readonly OrderedKeyElement[], target: Buffer, offset: number, limit: number): number {
  let at = offset
  for (let i = 0; i < elements.length; i++) {
    if (i > 0) target[at++] = SEPARATOR
    // An element of 9 bytes may pass the limit, never the target: KEY_TARGET_BYTES leaves room for it.
    at = encodeElement(elements[i], target, at, limit)
    if (at > limit) return at
  }
  return at
}

/**
 * Writes the bytes that all array keys beginning with these elements (one or more) have in common, and returns the end
 * offset. Such a key continues with a byte 0: the keys are those from the written bytes P, followed by 0, up to but not
 * including P followed by 1.
 */
export function encodeOrderedPrefix(elements: readonly OrderedKeyElement[], target: Buffer, offset: number): number {
  if (elements.length === 0) throw invalidKey('ordered', 'takes prefixes of at least one element')
  const limit = offset + MAX_KEY_BYTES
  const at = encodeElements(elements, target, offset, limit)
  if (at > limit) throw keyTooLong(encodedBytes(elements))
  return at
}

/** Writes an element of an array, or a scalar that is neither a string nor a number. */
function encodeElement(element: OrderedKeyElement, target: Buffer, offset: number, limit: number): number {
  if (typeof element === 'string') return encodeString(element, target, offset, limit)
  if (typeof element === 'number' && element === element) return encodeNumber(element, target, offset, true)
  if (element === null || typeof element === 'boolean') {
    target[offset] = element === null ? NULL : element ? TRUE : FALSE
    return offset + 1
  }
  throw invalidKey(
    'ordered',
    `takes strings, numbers, booleans, null and flat arrays of them, not ${unsuitable(element)}`,
  )
}

function unsuitable(value: unknown): string {
  if (typeof value === 'bigint') return `${describe(value)} (it would read back as a number; use key encoding 'binary')`
  if (value instanceof Uint8Array) return `${describe(value)} (use key encoding 'binary')`
  if (value instanceof Date) return 'a Date (use its getTime())'
  return describe(value)
}

/** Exact length of a key that is too long; called for the message only. */
function encodedBytes(key: OrderedKey): number {
  const elements = Array.isArray(key) ? (key as readonly OrderedKeyElement[]) : [key as OrderedKeyElement]
  let bytes = elements.length - 1
  for (const element of elements) {
    bytes += typeof element === 'string' ? encodedStringBytes(element) : typeof element === 'number' ? NUMBER_BYTES : 1
  }
  return bytes
}

function decodeArray(source: Buffer, start: number, end: number): OrderedKeyElement[] | undefined {
  const elements: OrderedKeyElement[] = []
  let at = start
  for (;;) {
    if (at >= end) return undefined
    const first = source[at]
    let next = at + 1
    if (first === NULL) elements.push(null)
    else if (first === FALSE || first === TRUE) elements.push(first === TRUE)
    else if (first >= STRING_FIRST_BYTE) {
      next = endOfString(source, at, end)
      const text = next > end ? undefined : decodeString(source, at, next)
      if (text === undefined) return undefined
      elements.push(text)
    } else if (first >= NUMBER_FIRST_BYTE && first < NUMBER_END_BYTE) {
      next = at + NUMBER_BYTES
      const value = next > end ? NaN : decodeNumber(source, at, NUMBER_BYTES, true)
      if (value !== value) return undefined
      elements.push(value)
    } else return undefined
    if (next === end) return elements.length > 1 ? elements : undefined
    if (source[next] !== SEPARATOR) return undefined
    at = next + 1
  }
}

import { asStringBuffer } from './buffer-methods.js'
import { MAX_KEY_BYTES, invalidKey } from './key-codec.js'

/**
 * Strings as ordered-binary writes them: UTF-8, ordered by code point. A byte that could be taken for the end of an
 * array element or for another type is escaped: 0 to 4 become 4 followed by the byte, and a string that is empty or
 * begins below 28 begins with 27. (ordered-binary itself forgets the escapes from 64 characters on and writes a lone
 * surrogate as the replacement character there; here every length follows the same rule, and its reader reads them.)
 */
const ESCAPE = 4
const CONTROL_PREFIX = 27
export const STRING_FIRST_BYTE = 27

/** Up to here a loop over charCodeAt beats a call of the native utf8Write. */
export const LOOP_CHARS = 28

const scratch = asStringBuffer(Buffer.alloc(2 * MAX_KEY_BYTES + 8))

/**
 * Writes the string from `offset` on. `end` is the first offset past the key's limit: when the string reaches beyond it
 * an offset greater than `end` is returned and the bytes are worthless.
 */
export function encodeString(text: string, target: Buffer, offset: number, end: number): number {
  const length = text.length
  let at = offset
  if (length === 0 || text.charCodeAt(0) <= CONTROL_PREFIX) target[at++] = CONTROL_PREFIX
  if (length > end - at) return end + 1
  if (length <= LOOP_CHARS) {
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code > 127 || code <= ESCAPE) return encodeAny(text, target, at, end)
      target[at + i] = code
    }
    return at + length
  }
  const written = asStringBuffer(target).utf8Write(text, at, length)
  // Given room for one byte a character, only ASCII fills it with bytes below 128.
  if (written !== length) return encodeAny(text, target, at, end)
  for (let i = at; i < at + length; i++) {
    const byte = target[i]
    if (byte > 127 || byte <= ESCAPE) return encodeAny(text, target, at, end)
  }
  return at + length
}

/** The general case: other than ASCII, or with bytes to escape. */
function encodeAny(text: string, target: Buffer, offset: number, end: number): number {
  if (!text.isWellFormed()) {
    throw invalidKey('ordered', 'takes well-formed strings, this one has a lone surrogate, which has no UTF-8 form')
  }
  // utf8Write leaves out a character that does not fit; three bytes of slack make that show in the count.
  const written = scratch.utf8Write(text, 0, MAX_KEY_BYTES + 4)
  let at = offset
  for (let i = 0; i < written; i++) {
    if (at >= end) return end + 1
    const byte = scratch[i]
    if (byte <= ESCAPE) target[at++] = ESCAPE
    target[at++] = byte
  }
  return at
}

/** Encoded length of a string, for messages. */
export function encodedStringBytes(text: string): number {
  let bytes = Buffer.byteLength(text)
  if (text.length === 0 || text.charCodeAt(0) <= CONTROL_PREFIX) bytes++
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) <= ESCAPE) bytes++
  return bytes
}

/** End of the string that starts at `start`: the terminator of an array element, or `end`. */
export function endOfString(source: Buffer, start: number, end: number): number {
  let at = start
  while (at < end && source[at] !== 0) at += source[at] === ESCAPE ? 2 : 1
  return at
}

/** The string that fills `[start, end)`, or undefined when the bytes are not what `encodeString` writes. */
export function decodeString(source: Buffer, start: number, end: number): string | undefined {
  let from = start
  if (source[from] === CONTROL_PREFIX) {
    from++
    // Behind the prefix comes nothing, or what made it necessary.
    if (from < end && source[from] > CONTROL_PREFIX) return undefined
  } else if (from === end) return undefined
  let at = from
  while (at < end && source[at] > ESCAPE && source[at] < 128) at++
  if (at === end) return asStringBuffer(source).latin1Slice(from, end)
  return decodeAny(source, from, end)
}

function decodeAny(source: Buffer, start: number, end: number): string | undefined {
  if (end - start > scratch.length) return undefined
  let length = 0
  for (let at = start; at < end; at++) {
    let byte = source[at]
    if (byte === ESCAPE) {
      if (++at === end) return undefined
      byte = source[at]
      if (byte > ESCAPE) return undefined
    } else if (byte < ESCAPE) return undefined
    scratch[length++] = byte
  }
  const text = scratch.utf8Slice(0, length)
  // The decoder puts U+FFFD where bytes are not UTF-8; only a text that really holds one has its three bytes.
  if (text.includes('\ufffd') && !Buffer.from(text).equals(scratch.subarray(0, length))) return undefined
  return text
}

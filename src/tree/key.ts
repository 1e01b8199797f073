/**
 * Keys as words. Prefixes are whole words and payloads are word-aligned, so that both a key in memory and its suffix in
 * a page can be compared and copied four bytes at a time. Bytes of the last word that lie behind the key are garbage in
 * memory (masked wherever they are read) and zero in pages. Everything here is hot: no allocation.
 */

/** Longest key: two separators of this length and their children always fit a branch. */
export const MAX_KEY_BYTES = 1978

/** A buffer for one key: the same bytes as Buffer and as words. */
export class KeyBuffer {
  readonly bytes: Buffer
  readonly words: Int32Array

  constructor() {
    const memory = new ArrayBuffer((MAX_KEY_BYTES + 3) & ~3)
    this.bytes = Buffer.from(memory)
    this.words = new Int32Array(memory)
  }
}

/**
 * Copies a key, or the bound of a range, to a key buffer and returns its length there. A bound longer than any key is
 * cut off one byte behind the longest: that leaves its place among the keys as it was.
 */
export function loadKey(target: KeyBuffer, key: Uint8Array, keyLength: number): number {
  const length = keyLength > MAX_KEY_BYTES ? MAX_KEY_BYTES + 1 : keyLength
  const { bytes } = target
  if (length > 40) bytes.set(key.length === length ? key : key.subarray(0, length))
  else for (let i = 0; i < length; i++) bytes[i] = key[i]
  return length
}

/** The bytes of a word, in memory order, as the number whose int32 order is the order of bytes. */
function orderOf(word: number): number {
  return (((word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff_0000) | (word << 24)) ^ -0x8000_0000) | 0
}

/** Mask of the first `bytes` (0..3) bytes of a word. */
function maskOf(bytes: number): number {
  return (1 << (bytes << 3)) - 1
}

/** Head of a key behind `from` bytes (whole words): its next four bytes, zero padded, as an ordered int32. */
export function headOf(key: Int32Array, from: number, keyLength: number): number {
  const left = keyLength - from
  if (left >= 4) return orderOf(key[from >>> 2])
  return left <= 0 ? -0x8000_0000 : orderOf(key[from >>> 2] & maskOf(left))
}

/**
 * Orders two stretches of bytes that begin at whole words; negative when a comes first. Only the signs and zero count.
 */
export function compareWords(
  a: Int32Array,
  aWord: number,
  aLength: number,
  b: Int32Array,
  bWord: number,
  bLength: number,
): number {
  const shared = aLength < bLength ? aLength : bLength
  const words = shared >>> 2
  for (let i = 0; i < words; i++) {
    const x = a[aWord + i]
    const y = b[bWord + i]
    if (x !== y) return orderOf(x) < orderOf(y) ? -1 : 1
  }
  if ((shared & 3) !== 0) {
    const mask = maskOf(shared & 3)
    const x = a[aWord + words] & mask
    const y = b[bWord + words] & mask
    if (x !== y) return orderOf(x) < orderOf(y) ? -1 : 1
  }
  return aLength - bLength
}

/** How many bytes two stretches that begin at whole words have in common. */
export function commonBytes(
  a: Int32Array,
  aWord: number,
  aLength: number,
  b: Int32Array,
  bWord: number,
  bLength: number,
): number {
  const shared = aLength < bLength ? aLength : bLength
  const words = (shared + 3) >>> 2
  for (let i = 0; i < words; i++) {
    const difference = a[aWord + i] ^ b[bWord + i]
    if (difference !== 0) {
      const common = 4 * i + ((31 - Math.clz32(difference & -difference)) >>> 3)
      return common < shared ? common : shared
    }
  }
  return shared
}

/** Copies `length` bytes between whole words; the rest of the last word becomes zero. */
export function copyKeyWords(source: Int32Array, from: number, target: Int32Array, to: number, length: number): void {
  const words = length >>> 2
  for (let i = 0; i < words; i++) target[to + i] = source[from + i]
  if ((length & 3) !== 0) target[to + words] = source[from + words] & maskOf(length & 3)
}

/** Copies words. */
export function copyWords(source: Int32Array, from: number, target: Int32Array, to: number, words: number): void {
  if (words > LONG_COPY_WORDS) target.set(source.subarray(from, from + words), to)
  else for (let i = 0; i < words; i++) target[to + i] = source[from + i]
}

/** Above this a call and a subarray cost less than the loop. */
const LONG_COPY_WORDS = 96

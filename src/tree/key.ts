/**
 * Keys as words. Suffixes begin at whole words of the key and payloads are word-aligned, so that both a key in memory and its suffix in
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

/** The bytes of a word, in memory order, from the highest to the lowest. */
function swap(word: number): number {
  return (word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff_0000) | (word << 24)
}

/** The bytes of a word as the number whose int32 order is the order of bytes. */
function orderOf(word: number): number {
  return swap(word) ^ -0x8000_0000
}

/** Mask of the first `bytes` (0..3) bytes of a word. */
function maskOf(bytes: number): number {
  return (1 << (bytes << 3)) - 1
}

/** Head of the bytes [from, end): the first four, zero padded, as an ordered int32. `from` need not be a whole word. */
export function headOf(key: Int32Array, from: number, end: number): number {
  const left = end - from
  if (left <= 0) return -0x8000_0000
  const word = from >>> 2
  const shift = (from & 3) << 3
  let head = swap(key[word])
  if (shift !== 0) {
    head <<= shift
    if (end - (word << 2) > 4) head |= swap(key[word + 1]) >>> (32 - shift)
  }
  if (left < 4) head &= -1 << (32 - (left << 3))
  return head ^ -0x8000_0000
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

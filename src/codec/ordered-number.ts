/**
 * Numbers as ordered-binary writes them: the double's bits moved right by four behind a type nibble, complemented when
 * negative, so that bytes compare as the numbers do. Alone, trailing zero bytes of a positive number are left out;
 * in an array every number has 9 bytes, so that what follows it is compared at the same place.
 */
export const NUMBER_BYTES = 9
/** First bytes of a number lie in [8, 24): below 16 it is negative. */
export const NUMBER_FIRST_BYTE = 8
export const NUMBER_END_BYTE = 24

const double = new Float64Array(1)
const words = new Int32Array(double.buffer) // [low, high]: every platform Node runs on is little-endian
const check = Buffer.alloc(NUMBER_BYTES)

/** Writes a number that is not NaN; -0 becomes 0. Written for the JIT: no allocation, no DataView. */
export function encodeNumber(value: number, target: Buffer, offset: number, inArray: boolean): number {
  double[0] = value === 0 ? 0 : value
  let low = words[0]
  let high = words[1]
  let length = NUMBER_BYTES
  if (value < 0) {
    high ^= 0x7fffffff
    low = ~low
  } else if (!inArray && (low & 0xf) === 0) {
    length = (low & 0xfffff) !== 0 ? 8 : low !== 0 || (high & 0xf) !== 0 ? 6 : 4
  }
  // The top nibble is the type: 0 for negative numbers (whose sign bit makes the first byte 8 to 15), 1 for the others.
  const first = value < 0 ? high >>> 4 : (high >>> 4) | 0x10000000
  target[offset] = first >>> 24
  target[offset + 1] = first >>> 16
  target[offset + 2] = first >>> 8
  target[offset + 3] = first
  if (length > 4) {
    target[offset + 4] = (high << 4) | (low >>> 28)
    target[offset + 5] = low >>> 20
    if (length > 6) {
      target[offset + 6] = low >>> 12
      target[offset + 7] = low >>> 4
      if (length > 8) target[offset + 8] = low << 4
    }
  }
  return offset + length
}

/** The number in `source[start, start + length)`, or NaN when the bytes are not what `encodeNumber` writes. */
export function decodeNumber(source: Buffer, start: number, length: number, inArray: boolean): number {
  if (length !== 9 && length !== 8 && length !== 6 && length !== 4) return NaN
  const first = (source[start] << 24) | (source[start + 1] << 16) | (source[start + 2] << 8) | source[start + 3]
  let second = 0
  if (length > 4) second = (source[start + 4] << 24) | (source[start + 5] << 16)
  if (length > 6) second |= (source[start + 6] << 8) | source[start + 7]
  let high = (first << 4) | (second >>> 28)
  let low = (second << 4) | (length > 8 ? source[start + 8] >>> 4 : 0)
  if (first < 0x10000000) {
    high ^= 0x7fffffff
    low = ~low
  }
  words[0] = low
  words[1] = high
  const value = double[0]
  // Encoding it again finds every damage: wrong lengths, stray low bits, -0 and NaN patterns.
  if (value !== value || encodeNumber(value, check, 0, inArray) !== length) return NaN
  for (let i = 0; i < length; i++) if (check[i] !== source[start + i]) return NaN
  return value
}

import { LINE_BYTES } from '../../src/pmem/program.js'

/**
 * A hash of an image that can be kept up to date line by line: the XOR of a hash of each line and its place, zero lines
 * counting as nothing. Equal images have equal fingerprints whatever model or trace they come from, so that one set of
 * visited images serves a whole run. 53 bits: among a million images the chance of one collision is about 1 in 18,000.
 */
export class Fingerprint {
  lo = 0
  hi = 0

  /** Adds or takes out (it is the same) whole lines at a byte offset of the image. */
  toggle(offset: number, bytes: Uint8Array): void {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2)
    for (let start = 0; start < words.length; start += LINE_BYTES / 4) {
      this.#toggleLine(offset / LINE_BYTES + start / 16, words, start)
    }
  }

  /** Combines two; also undoes it. */
  xor(other: Fingerprint): void {
    this.lo ^= other.lo
    this.hi ^= other.hi
  }

  /** As a number that identifies the image of this many bytes. */
  key(sizeBytes: number): number {
    const lo = (this.lo ^ Math.imul(sizeBytes >>> 12, 0x9e3779b1)) >>> 0
    return (this.hi & 0x1fffff) * 2 ** 32 + lo
  }

  static of(offset: number, bytes: Uint8Array): Fingerprint {
    const fingerprint = new Fingerprint()
    fingerprint.toggle(offset, bytes)
    return fingerprint
  }

  /** Hot: every store of a trace passes here. */
  #toggleLine(line: number, words: Int32Array, start: number): void {
    let any = 0
    let a = Math.imul(line + 1, 0x85ebca6b)
    let b = Math.imul(line + 1, 0xc2b2ae35) ^ 0x27d4eb2f
    for (let at = start; at < start + LINE_BYTES / 4; at++) {
      const word = words[at]
      any |= word
      a = Math.imul(a ^ word, 0x9e3779b1)
      a ^= a >>> 15
      b = Math.imul((b + word) | 0, 0x85ebca77)
      b ^= b >>> 13
    }
    if (any === 0) return
    a = Math.imul(a ^ (a >>> 16), 0x7feb352d)
    b = Math.imul(b ^ (b >>> 15), 0x846ca68b)
    this.lo ^= a ^ (a >>> 15)
    this.hi ^= b ^ (b >>> 16)
  }
}

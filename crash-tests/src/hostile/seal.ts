/** Making mutated structures pass for sound ones: checksums and hashes computed anew, so that they do not shield what is behind. */
import { LINE_BYTES, PAGE_BYTES, RECORD_OFFSET_HASH, RECORD_OFFSET_TOTAL_LINES } from '../../../src/pmem/program.js'
import { pageChecksum, xxh64 } from '../../../src/pmem/xxh64.js'
import { ANCHOR_OFFSET_HASH } from '../../../src/pool/format.js'

const hash = new Uint32Array(2)

function put(image: Buffer, at: number): void {
  image.writeUInt32LE(hash[0], at)
  image.writeUInt32LE(hash[1], at + 4)
}

/** Checksum of a page with a header. */
export function sealPage(image: Buffer, page: number): void {
  pageChecksum(image, page * PAGE_BYTES, page, hash)
  put(image, page * PAGE_BYTES)
}

/** Hash of an identity or an anchor copy: both stand at byte 120. */
export function sealFixed(image: Buffer, page: number): void {
  const at = page * PAGE_BYTES
  xxh64(image.subarray(at, at + ANCHOR_OFFSET_HASH), 0, 0, hash)
  put(image, at + ANCHOR_OFFSET_HASH)
}

/** Hash of a log record that lies in one piece, as its header says; false where it cannot be one. */
export function sealRecord(image: Buffer, at: number, saltLo: number, saltHi: number): boolean {
  const end = at + image.readUInt32LE(at + RECORD_OFFSET_TOTAL_LINES) * LINE_BYTES
  if (end <= at || end > image.length) return false
  image.fill(0, at + RECORD_OFFSET_HASH, at + RECORD_OFFSET_HASH + 8)
  xxh64(image.subarray(at, end), saltLo, saltHi, hash)
  put(image, at + RECORD_OFFSET_HASH)
  return true
}

/** Hash of a value in an extent, into its descriptor. */
export function sealExtent(image: Buffer, descriptorAt: number): void {
  const at = image.readUInt32LE(descriptorAt) * PAGE_BYTES
  const end = at + image.readUInt32LE(descriptorAt + 4)
  if (end > image.length) return
  xxh64(image.subarray(at, end), 0, 0, hash)
  put(image, descriptorAt + 8)
}

/** Up to here a byte loop beats `set` with its view of the source. */
const LOOP_BYTES = 24
/** Copies up to this size share pool chunks: a Buffer with an ArrayBuffer of its own costs several times as much. */
const POOLED_BYTES = 4096
const CHUNK_BYTES = 65536

let chunk = new ArrayBuffer(CHUNK_BYTES)
let chunkBytes = new Uint8Array(chunk)
let chunkUsed = 0

/**
 * A copy of `source[start, end)`. Small copies share a larger ArrayBuffer, as Node's own `Buffer.from` does: the
 * Buffer is the caller's alone, its `.buffer` is not.
 */
export function copyBytes(source: Buffer, start: number, end: number): Buffer {
  const length = end - start
  if (length > POOLED_BYTES) {
    const own = Buffer.allocUnsafeSlow(length)
    own.set(new Uint8Array(source.buffer, source.byteOffset + start, length))
    return own
  }
  if (length <= LOOP_BYTES) {
    const small = Buffer.allocUnsafe(length)
    for (let i = 0; i < length; i++) small[i] = source[start + i]
    return small
  }
  if (chunkUsed + length > CHUNK_BYTES) {
    chunk = new ArrayBuffer(CHUNK_BYTES)
    chunkBytes = new Uint8Array(chunk)
    chunkUsed = 0
  }
  const at = chunkUsed
  chunkBytes.set(new Uint8Array(source.buffer, source.byteOffset + start, length), at)
  chunkUsed = (at + length + 7) & ~7
  return Buffer.from(chunk, at, length)
}

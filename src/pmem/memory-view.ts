/**
 * Typed views over one stretch of memory: a mapped segment of the pool or a chunk of staging frames. All code that
 * reads or edits pages works on a (view, base) pair, so that it is the same code, with the same hidden class, for
 * committed and for staged pages. `u8` is always a Buffer: mixing Buffer and Uint8Array at one call site makes it
 * polymorphic and can double its cost.
 */
export class MemoryView {
  readonly buffer: ArrayBuffer
  readonly u8: Buffer
  readonly u16: Uint16Array
  readonly u32: Uint32Array
  readonly i32: Int32Array
  readonly byteLength: number

  constructor(buffer: ArrayBuffer) {
    this.buffer = buffer
    this.u8 = Buffer.from(buffer)
    this.u16 = new Uint16Array(buffer)
    this.u32 = new Uint32Array(buffer)
    this.i32 = new Int32Array(buffer)
    this.byteLength = buffer.byteLength
  }
}

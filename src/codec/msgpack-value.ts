import { Packr, RESET_BUFFER_MODE } from 'msgpackr'
import { DaxkvError } from '../errors.js'
import { describe } from './key-codec.js'
import { MAX_SHARED_STRUCTURES, decodeStructures, encodeStructures, mayShare } from './shared-structures.js'
import { corruptValue, invalidValue } from './value-codec.js'
import type { StructureHooks, ValueCodec } from './value-codec.js'

/** msgpackr keeps the largest buffer it ever needed; beyond this it is given a small one again. */
const KEPT_BUFFER_BYTES = 1 << 20
const FRESH_BUFFER_BYTES = 8192

/**
 * MessagePack by msgpackr, with shared structures kept in the pool. Beyond JSON it keeps Map, Set, Date, RegExp, Error,
 * bigint, undefined inside objects, NaN and infinities, Buffers and typed arrays (as copies). Instances of other
 * classes are stored by their `toJSON`, else by their own properties, and come back as plain objects; cycles are
 * refused; -0 becomes 0, functions become undefined, and a property named `__proto__` is renamed.
 */
export class MsgpackValueCodec implements ValueCodec<unknown> {
  readonly name = 'msgpack'
  private readonly hooks: StructureHooks
  private packr: Packr | undefined
  /** The structures `packr` shares with the pool, as saved or loaded last. */
  private known = ''
  /** Known structures may no longer be the saved ones. */
  private stale = true
  /** Errors of the save hook, which must reach the caller as they are. */
  private readonly hookErrors = new WeakSet<Error>()
  // msgpackr adds a DataView property to the Buffer it reads: on the store's own Buffers that would change their hidden
  // class and slow every page access down, so it is given a second Buffer over the same memory.
  private source: Buffer | undefined
  private twin: Buffer | undefined
  private readonly twins = new WeakMap<Buffer, Buffer>()
  private readonly range = { start: 0, end: 0 }

  constructor(hooks: StructureHooks) {
    this.hooks = hooks
  }

  encode(value: unknown): Uint8Array {
    if (value === undefined || typeof value === 'function') {
      throw invalidValue('msgpack', `cannot express ${describe(value)}`)
    }
    const packr = this.upToDate()
    let bytes: Buffer
    try {
      // Each value is written where the last one was: the reason for "valid until the next encode".
      bytes = packr.pack(value, RESET_BUFFER_MODE)
    } catch (cause) {
      // What was learnt from the value that failed is not saved.
      this.packr = undefined
      this.stale = true
      if (cause instanceof DaxkvError || (cause instanceof Error && this.hookErrors.has(cause))) throw cause
      throw invalidValue('msgpack', `cannot express this value: ${messageOf(cause)}`, cause)
    }
    if (bytes.buffer.byteLength > KEPT_BUFFER_BYTES) packr.useBuffer(Buffer.allocUnsafeSlow(FRESH_BUFFER_BYTES))
    return bytes
  }

  decode(source: Buffer, start: number, end: number): unknown {
    if (start >= end) throw corruptValue('msgpack', start, end)
    const packr = this.upToDate()
    const range = this.range
    range.start = start
    range.end = end
    const twin = source === this.source ? (this.twin as Buffer) : this.twinOf(source)
    try {
      return packr.unpack(twin, range)
    } catch (cause) {
      // A reference to an unknown structure is read as a number, and then bytes are left over: always an error. Another
      // writer may have added the structure since this codec read the list.
      this.stale = true
      const before = this.known
      const again = this.upToDate()
      if (this.known !== before) {
        try {
          return again.unpack(twin, range)
        } catch (second) {
          throw corruptValue('msgpack', start, end, second)
        }
      }
      throw corruptValue('msgpack', start, end, cause)
    }
  }

  reset(): void {
    this.stale = true
  }

  private twinOf(source: Buffer): Buffer {
    let twin = this.twins.get(source)
    if (twin === undefined) {
      twin = Buffer.from(source.buffer as ArrayBuffer, source.byteOffset, source.length)
      this.twins.set(source, twin)
    }
    this.source = source
    this.twin = twin
    return twin
  }

  private upToDate(): Packr {
    if (!this.stale && this.packr !== undefined) return this.packr
    const bytes = this.hooks.loadStructures()
    const saved = bytes === undefined ? '' : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
    if (this.packr === undefined || saved !== this.known) {
      this.packr = this.createPackr(decodeStructures(bytes))
      this.known = saved
    }
    this.stale = false
    return this.packr
  }

  private createPackr(structures: string[][]): Packr {
    const mayAdd = this.hooks.saveStructures !== undefined
    return new Packr({
      structures,
      maxSharedStructures: MAX_SHARED_STRUCTURES,
      shouldShareStructure: mayAdd ? mayShare : () => false,
      saveStructures: (all) => {
        this.save(all as string[][])
      },
      // No view of the mapping may escape.
      copyBuffers: true,
      moreTypes: true,
      useBigIntExtension: true,
      // Identity and cycles cost a Map for each value; most values have neither.
      structuredClone: false,
    })
  }

  private save(all: string[][]): void {
    const shared = (all as string[][] & { sharedLength?: number }).sharedLength ?? all.length
    const bytes = encodeStructures(all.slice(0, shared))
    try {
      this.hooks.saveStructures?.(bytes)
    } catch (error) {
      if (error instanceof Error) this.hookErrors.add(error)
      throw error
    }
    this.known = bytes.toString()
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

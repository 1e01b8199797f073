import { MemoryView } from '../../src/pmem/memory-view.js'
import { LINE_BYTES } from '../../src/pmem/program.js'

/**
 * Which bytes of the medium something depended on: the lines that were read before they had been stored to. Too many lines
 * cost time only; a line that was read and is not noted would hide crash states, so whatever is not known counts as a read.
 */
export interface ReadProbe {
  /** Whether any line of these bytes was read, during the last recovery, before it was stored to. */
  wasRead(offset: number, length: number): boolean
}

/** Methods of typed arrays and buffers, and which of their arguments bound the bytes they read. */
const RANGES: Readonly<Record<string, readonly [start: number, end: number]>> = {
  subarray: [0, 1],
  slice: [0, 1],
  copy: [2, 3],
  compare: [3, 4],
}
const READS_8_BYTES = /^read(U?Int|Float|Double|BigU?Int)/
const STORES = new Set(['set', 'fill', 'write'])

/** Notes reads of the segments of one memory through views that look like the real ones. */
export class ReadTracker implements ReadProbe {
  #read = new Uint8Array(0)
  #stored = new Uint8Array(0)

  /** Forgets everything; the file has so many bytes. */
  reset(sizeBytes: number): void {
    const lines = Math.ceil(sizeBytes / LINE_BYTES)
    if (lines > this.#read.length) {
      this.#read = new Uint8Array(lines * 2)
      this.#stored = new Uint8Array(lines * 2)
    }
    this.#read.fill(0)
    this.#stored.fill(0)
  }

  noteRead(start: number, end: number): void {
    const last = Math.min(Math.ceil(end / LINE_BYTES), this.#read.length)
    for (let line = Math.floor(start / LINE_BYTES); line < last; line++) {
      if (this.#stored[line] === 0) this.#read[line] = 1
    }
  }

  noteStore(start: number, end: number): void {
    // A line of which only a part has been stored may still be read.
    for (let line = Math.ceil(start / LINE_BYTES); line < Math.floor(end / LINE_BYTES); line++) this.#stored[line] = 1
  }

  wasRead(offset: number, length: number): boolean {
    for (let line = Math.floor(offset / LINE_BYTES); line * LINE_BYTES < offset + length; line++) {
      if (this.#read[line] === 1) return true
    }
    return false
  }

  /** The same memory, noted. `base`: offset of its first byte in the file. */
  view(real: MemoryView, base: number): MemoryView {
    return Object.assign(Object.create(MemoryView.prototype) as MemoryView, {
      buffer: real.buffer,
      byteLength: real.byteLength,
      u8: this.#tracked(real.u8, base),
      u16: this.#tracked(real.u16, base),
      u32: this.#tracked(real.u32, base),
      i32: this.#tracked(real.i32, base),
    })
  }

  #tracked<T extends Buffer | Uint16Array | Uint32Array | Int32Array>(array: T, base: number): T {
    const bytes = array.BYTES_PER_ELEMENT
    const all: [number, number] = [base, base + array.byteLength]
    return new Proxy(array, {
      get: (target, name) => {
        const index = typeof name === 'string' ? Number(name) : NaN
        if (Number.isInteger(index)) {
          this.noteRead(base + index * bytes, base + (index + 1) * bytes)
          return target[index]
        }
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value !== 'function') return value
        return (...parameters: unknown[]): unknown => {
          this.#noteCall(String(name), parameters, base, bytes, all)
          return Reflect.apply(value, target, parameters)
        }
      },
      set: (target, name, value) => {
        const index = Number(name)
        if (Number.isInteger(index)) {
          // Lines are stored whole, word by word: with the last word the line is.
          const end = base + (index + 1) * bytes
          if (end % LINE_BYTES === 0) this.noteStore(end - LINE_BYTES, end)
        }
        return Reflect.set(target, name, value, target)
      },
    })
  }

  #noteCall(name: string, parameters: unknown[], base: number, bytes: number, all: [number, number]): void {
    if (STORES.has(name)) return
    if (name in RANGES) {
      const [start, end] = RANGES[name].map((at) => parameters[at] as number | undefined)
      this.noteRead(base + (start ?? 0) * bytes, end === undefined ? all[1] : base + end * bytes)
      return
    }
    if (READS_8_BYTES.test(name)) {
      const at = base + ((parameters[0] as number | undefined) ?? 0)
      this.noteRead(at, at + 8)
      return
    }
    this.noteRead(...all)
  }
}

import type { MemoryView } from '../pmem/memory-view.js'
import { STAGING_CHUNK_FRAMES, STAGING_CHUNK_SHIFT, type PersistentMemory } from '../pmem/persistent-memory.js'
import { OP_CHECKSUM_FRESH, OP_FENCE, OP_FLUSH, OP_STORE, OP_SYNC_ALL, PAGE_BYTES } from '../pmem/program.js'

/**
 * Builds the programs of opening, recovery and closing, where clarity counts and speed does not. Frames are taken from
 * the first staging chunks in order, so it must not be used while a transaction has pages staged.
 */
export class ProgramBuilder {
  private words: number[] = []
  private frames = 0

  constructor(private readonly memory: PersistentMemory) {}

  /** Frames in use; a long recovery runs its program in parts to bound them. */
  get frameCount(): number {
    return this.frames
  }

  /** A zeroed frame to build a page or some lines in. */
  frame(): { frame: number; bytes: Buffer; view: MemoryView; base: number } {
    const frame = this.frames++
    const chunk = frame >>> STAGING_CHUNK_SHIFT
    if (chunk >= this.memory.stagingChunks.length) this.memory.addStagingChunk()
    const view = this.memory.stagingChunks[chunk]
    const base = (frame & (STAGING_CHUNK_FRAMES - 1)) * PAGE_BYTES
    view.u8.fill(0, base, base + PAGE_BYTES)
    return { frame, bytes: view.u8.subarray(base, base + PAGE_BYTES), view, base }
  }

  store(pageId: number, frame: number, maskLo = 0xffff_ffff, maskHi = 0xffff_ffff): this {
    this.words.push(OP_STORE, pageId, frame, maskLo >>> 0, maskHi >>> 0)
    return this
  }

  checksumFresh(pageId: number, frame: number): this {
    this.words.push(OP_CHECKSUM_FRESH, pageId, frame)
    return this
  }

  flush(pageId: number, maskLo: number, maskHi: number): this {
    this.words.push(OP_FLUSH, pageId, maskLo >>> 0, maskHi >>> 0)
    return this
  }

  fence(): this {
    this.words.push(OP_FENCE)
    return this
  }

  syncAll(): this {
    this.words.push(OP_SYNC_ALL)
    return this
  }

  /** Runs what was built and starts anew. */
  run(): void {
    if (this.words.length === 0) return
    this.memory.reserveProgram(this.words.length)
    this.memory.program.set(this.words)
    this.memory.run(this.words.length)
    this.words = []
    this.frames = 0
  }
}

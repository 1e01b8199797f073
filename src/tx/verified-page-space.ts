import { DaxkvError } from '../errors.js'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import { PAGE_BYTES } from '../pmem/program.js'
import type { Geometry } from '../pool/geometry.js'
import { PageSpace } from './page-space.js'

/**
 * The pages of a store opened with `verifyReads`: the checksum of each committed page is verified whenever a walk
 * comes to it, and the hash of a large value whenever it is looked up. A class of its own, so that stores without the
 * option do not pay even for asking.
 */
export class VerifiedPageSpace extends PageSpace {
  override readonly verifiesReads = true
  private readonly hash = new Uint32Array(2)

  constructor(
    memory: PersistentMemory,
    stagingLimitBytes: number,
    private readonly geometry: Geometry,
    frames?: number,
  ) {
    super(memory, stagingLimitBytes, frames)
  }

  override locate(pageId: number): void {
    // Staged copies are ours: they were verified when they were made.
    const isStaged = this.frameCount !== 0 && !this.hidesStaged && this.frameOf(pageId) >= 0
    super.locate(pageId)
    if (!isStaged) this.verify(pageId)
  }

  override stage(pageId: number): void {
    if (this.frameCount === 0 || this.frameOf(pageId) < 0) {
      this.locateCommitted(pageId)
      this.verify(pageId)
    }
    super.stage(pageId)
  }

  override verifyExtent(pageId: number, byteLength: number, hashLo: number, hashHi: number): void {
    this.memory.hashExtent(pageId, byteLength, this.hash)
    if (this.hash[0] === hashLo && this.hash[1] === hashHi) return
    throw new DaxkvError('CORRUPT', `the value of ${byteLength} bytes at page ${pageId} fails its hash; run check()`, {
      offset: pageId * PAGE_BYTES,
      length: byteLength,
    })
  }

  private verify(pageId: number): void {
    // Bitmaps are the allocator's: it verifies each before its first use.
    if (this.geometry.bitmapPage(this.geometry.bitmapOf(pageId)) === pageId || this.memory.verifyPage(pageId)) return
    throw new DaxkvError('CORRUPT', `page ${pageId} fails its checksum; run check()`, {
      offset: pageId * PAGE_BYTES,
      length: PAGE_BYTES,
    })
  }
}

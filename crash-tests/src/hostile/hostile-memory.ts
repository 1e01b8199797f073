import { PAGE_BYTES } from '../../../src/pmem/program.js'
import { ReplayMemory } from '../replay-memory.js'
import type { BasePool } from './base-pools.js'

/**
 * Memory for hostile images: what lies behind the file is poisoned, so that reading it shows. Pages that are as they were
 * in the sound image are not hashed again; that is most of the time otherwise.
 */
export class HostileMemory extends ReplayMemory {
  #base: Buffer = Buffer.alloc(0)
  readonly #sums = new Map<Buffer, Uint8Array>()
  readonly #extents = new Map<Buffer, Map<string, readonly [number, number]>>()

  loadHostile(base: BasePool, image: Buffer): void {
    const segmentBytes = PAGE_BYTES << this.segmentShift
    const whole = Math.floor(image.length / PAGE_BYTES) * PAGE_BYTES
    this.load(image.subarray(0, whole))
    const last = this.segments.length - 1
    const end = whole - last * segmentBytes
    this.segments[last].u8.fill(POISON, end, Math.min(segmentBytes, end + POISON_BYTES))
    this.#base = base.image
  }

  override verifyPage(pageId: number): boolean {
    let sums = this.#sums.get(this.#base)
    if (sums === undefined) this.#sums.set(this.#base, (sums = new Uint8Array(this.#base.length / PAGE_BYTES)))
    if (!this.#isUnchanged(pageId, PAGE_BYTES)) return super.verifyPage(pageId)
    if (sums[pageId] === 0) sums[pageId] = super.verifyPage(pageId) ? 1 : 2
    return sums[pageId] === 1
  }

  override hashExtent(pageId: number, byteLength: number, hashOut: Uint32Array): void {
    if (byteLength === 0 || !this.#isUnchanged(pageId, byteLength)) {
      super.hashExtent(pageId, byteLength, hashOut)
      return
    }
    let hashes = this.#extents.get(this.#base)
    if (hashes === undefined) this.#extents.set(this.#base, (hashes = new Map<string, readonly [number, number]>()))
    const key = `${pageId} ${byteLength}`
    let hash = hashes.get(key)
    if (hash === undefined) {
      super.hashExtent(pageId, byteLength, hashOut)
      hashes.set(key, (hash = [hashOut[0], hashOut[1]]))
    }
    hashOut.set(hash)
  }

  /** Whether bytes from the start of a page on are as in the sound image; false where they cross a segment. */
  #isUnchanged(pageId: number, byteLength: number): boolean {
    const start = pageId * PAGE_BYTES
    const segmentBytes = PAGE_BYTES << this.segmentShift
    const within = start % segmentBytes
    if (
      !(start + byteLength <= this.#base.length) ||
      start + byteLength > this.sizeBytes ||
      within + byteLength > segmentBytes
    ) {
      return false
    }
    const { u8 } = this.segments[Math.floor(start / segmentBytes)]
    return u8.compare(this.#base, start, start + byteLength, within, within + byteLength) === 0
  }
}

/** Neither zero nor a plausible page. */
const POISON = 0xa5
/** As far as a page or a value could reach by mistake. */
const POISON_BYTES = 16 * PAGE_BYTES

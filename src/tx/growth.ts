/**
 * Online growth, a system transaction of its own (protocol E): extend the file, write zeros, fsync, and only then
 * publish the capacity in the root page. Chinner's crash (docs/durability.md) is what the order prevents: no pointer
 * into new space may be durable before the file system has made that space durable.
 *
 * It may run in the middle of a user transaction: capacity has a line of its own, the commit here is based on the
 * committed root page, and a root page the user has staged gets the new line patched in.
 */
import { DaxkvError } from '../errors.js'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import { OP_CHECKSUM, OP_CHECKSUM_FRESH, OP_STORE, PAGE_BYTES } from '../pmem/program.js'
import { fillBitmap, freshBitmaps } from '../pool/create.js'
import { MAX_PAGES, PAGE_ROOT, ROOT_OFFSET_CAPACITY_PAGES } from '../pool/format.js'
import type { Geometry } from '../pool/geometry.js'
import type { Committer } from './committer.js'
import type { PageSpace } from './page-space.js'

/** Shorter steps are not worth another thread. */
const MIN_AHEAD_PAGES = 64

/** Line 0 (checksum) and line 1 (capacity) of the root page. */
const CAPACITY_MASK = 0b11

export class Growth {
  /** Growths so far and the pages they added. */
  count = 0
  private readonly prepares: boolean
  private ahead: 'none' | 'begun' | 'prepared' | 'failed' = 'none'

  constructor(
    private readonly memory: PersistentMemory,
    private readonly space: PageSpace,
    private readonly geometry: Geometry,
    private readonly path: string,
    private readonly stepPages: number,
    private readonly maxPages: number,
  ) {
    this.prepares = memory.prepareGrowth !== undefined && stepPages >= MIN_AHEAD_PAGES
  }

  /** With fewer free pages the next growth is prepared; 0 where that cannot be done. A small pool is not made large by it. */
  get lowPages(): number {
    if (!this.prepares) return 0
    return Math.min(this.stepPages >>> 1, (this.space.capacityPages - this.geometry.firstFreePage) >>> 2)
  }

  /** Whether the next growth takes hardly longer than a commit. */
  get isPrepared(): boolean {
    return this.ahead === 'prepared'
  }

  /**
   * Begins to write the zeros of the next growth on another thread: behind the capacity, where nobody looks. A crash leaves a
   * file that is too long, as one in the middle of a growth does, and the next growth writes them anew.
   */
  prepare(): void {
    if (!this.prepares || this.ahead !== 'none') return
    const old = this.space.capacityPages
    const required = this.requiredCapacity(old, 1)
    if (required > this.limitPages) return
    this.ahead = 'begun'
    const begun = this.memory.prepareGrowth?.(this.wishedCapacity(old, required) * PAGE_BYTES, (prepared) => {
      this.ahead = prepared ? 'prepared' : 'failed'
    })
    // Not before the next growth: that one will say what is wrong.
    if (begun !== true) this.ahead = 'failed'
  }

  /** Adds room for at least `pages` contiguous pages (as far as a segment can hold them), a growth step if possible. */
  grow(pages: number, committer: Committer): void {
    const old = this.space.capacityPages
    const required = this.requiredCapacity(old, Math.min(pages, this.geometry.maxExtentPages))
    const limit = this.limitPages
    if (required > limit) {
      throw new DaxkvError(
        'NO_SPACE',
        `${this.path}: the pool would have to grow to ${required * PAGE_BYTES} bytes, ${this.limitName(limit)} ` +
          `${limit * PAGE_BYTES}; the transaction is aborted and the store goes on`,
        { path: this.path, limit: limit * PAGE_BYTES, actual: required * PAGE_BYTES },
      )
    }
    this.ahead = 'failed'
    this.extend(this.wishedCapacity(old, required), required)
    this.publish(old, this.memory.sizeBytes / PAGE_BYTES, committer)
    this.ahead = 'none'
    this.count++
  }

  private get limitPages(): number {
    return Math.min(this.maxPages, MAX_PAGES)
  }

  private wishedCapacity(old: number, required: number): number {
    // The limit first: it may itself lie among the bitmap pages of a new segment.
    const step = this.alignToSegment(old, Math.min(this.limitPages, Math.max(required, old + this.stepPages)))
    return Math.max(step, required)
  }

  private limitName(limitPages: number): string {
    const { maxSizeBytes, persistence } = this.memory
    return maxSizeBytes === limitPages * PAGE_BYTES
      ? `the limit of the ${persistence.executor} executor is`
      : 'maxSizeBytes is'
  }

  /** Smallest capacity that adds a free run of `pages` inside one segment. */
  private requiredCapacity(old: number, pages: number): number {
    const { segmentPages, bitmapsPerSegment } = this.geometry
    const within = old % segmentPages
    if (within !== 0 && segmentPages - within >= pages) return old + pages
    const nextSegment = Math.ceil(old / segmentPages) * segmentPages
    return nextSegment + bitmapsPerSegment + pages
  }

  /** A step that would end among the bitmap pages of a new segment ends before them instead. */
  private alignToSegment(old: number, capacity: number): number {
    const { segmentPages, bitmapsPerSegment } = this.geometry
    const within = capacity % segmentPages
    return within <= bitmapsPerSegment && capacity - within > old ? capacity - within : capacity
  }

  private extend(wished: number, required: number): void {
    // A growth that failed between extending and publishing (no frame was left) has its zeros still there.
    if (wished * PAGE_BYTES <= this.memory.sizeBytes) return
    try {
      this.memory.grow(wished * PAGE_BYTES)
    } catch (error) {
      // A full disk may still hold what is needed now, if not a whole step.
      if (!(error instanceof DaxkvError) || error.code !== 'NO_SPACE' || required === wished) throw error
      this.memory.grow(required * PAGE_BYTES)
    }
  }

  private publish(old: number, capacity: number, committer: Committer): void {
    const { space } = this
    const bitmaps = [...freshBitmaps(this.geometry, old, capacity)]
    const words: number[] = []
    for (const { page, bits } of bitmaps) {
      const frame = space.scratchFrame()
      space.point(frame)
      const bytes = space.view.u8.subarray(space.base, space.base + PAGE_BYTES)
      bytes.fill(0)
      fillBitmap(bytes, page, bits)
      words.push(OP_CHECKSUM_FRESH, page, frame, OP_STORE, page, frame, 0xffff_ffff, 0xffff_ffff)
    }
    const root = space.scratchFrame()
    space.locateCommitted(PAGE_ROOT)
    const committed = space.view.u8.subarray(space.base, space.base + PAGE_BYTES)
    space.point(root)
    space.view.u8.set(committed, space.base)
    space.view.u32[(space.base + ROOT_OFFSET_CAPACITY_PAGES) >>> 2] = capacity
    words.push(OP_CHECKSUM, PAGE_ROOT, root, CAPACITY_MASK, 0)
    const capacityLines = { pageId: PAGE_ROOT, frame: root, maskLo: CAPACITY_MASK, maskHi: 0 }
    committer.commitSystem(words, capacityLines, bitmaps.length > 0)
    space.capacityPages = capacity
    space.refreshFromCommitted(PAGE_ROOT, ROOT_OFFSET_CAPACITY_PAGES, ROOT_OFFSET_CAPACITY_PAGES + 64)
  }
}

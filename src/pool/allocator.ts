/**
 * Page allocation over bitmaps in the pool. A bit is set while its page is allocated; bitmaps are ordinary checksummed
 * pages edited through the transaction's staging, so an abort or a crash undoes an allocation with everything else.
 *
 * The one rule that makes rollback safe (protocol A): a page may be allocated only if it is free in the *committed*
 * state and not freed by this transaction. Both fall out of one test: the bit is clear in the committed bitmap AND in
 * the staged one. A page allocated and freed by the same transaction is clear in both and may be taken again: nothing
 * committed refers to it.
 *
 * Volatile hints (lowest page that may be free, per-bitmap bounds) are built as bitmaps are visited; opening a pool
 * reads none of them.
 */
import { DaxkvError } from '../errors.js'
import { PAGE_BYTES } from '../pmem/program.js'
import { BitmapCheck, type CommittedPages } from './bitmap-check.js'
import { BITMAP_OFFSET_BITS, BITMAP_WORDS } from './format.js'
import type { Geometry } from './geometry.js'

/** What the allocator needs of the transaction's staging; `PageSpace` implements it. */
export interface PageEditor extends CommittedPages {
  frame: number
  capacityPages: number
  /** Open savepoints. */
  readonly savepointDepth: number
  locate(pageId: number): void
  stage(pageId: number): void
  stageFresh(pageId: number): void
  dropFreed(pageId: number, pageCount: number): void
  markDirty(frame: number, from: number, to: number): void
}

/** A run of free pages. */
export interface Run {
  readonly page: number
  readonly pages: number
}

export class Allocator {
  /** Every page below it is allocated in the committed or staged state: where the search for a single page starts. */
  private searchFrom: number
  /** Lowest page freed since the last commit or abort; it becomes allocatable then. */
  private lowestFreed = Infinity
  private searchFromAtBegin: number
  /** See `countFree`. */
  private firstFree = 0
  /**
   * By bitmap: pages freed under a savepoint. Values are written to their extents at once, so an extent that a rollback
   * would bring back must not be overwritten; its pages can be taken again when the transaction has ended.
   */
  private pinned = new Map<number, Int32Array>()
  /** The same for what a barrier under way covers: until it has ended, those extents may be all that a crash leaves. */
  private sealedPins = new Map<number, Int32Array>()
  /** Lowest page freed by what that barrier covers. */
  private lowestSealed = Infinity
  /** The same for what is durable and not applied: older lines of those pages are still to be stored to their places. */
  private durablePins = new Map<number, Int32Array>()
  private lowestDurable = Infinity
  /** By bitmap: pages that hold a log record which recovery may still need; see `reserve`. */
  private readonly reserved = new Map<number, Int32Array>()
  /** Lowest of them. */
  private lowestReserved = Infinity
  /** By bitmap: no free run in it is longer than this (Infinity: not visited yet). Void when the pool has grown. */
  private readonly runBound: number[] = []
  private runBoundCapacity = 0
  private readonly check: BitmapCheck

  constructor(
    private readonly pages: PageEditor,
    private readonly geometry: Geometry,
    /** Called when no run of that many pages is free; must raise the capacity or throw NO_SPACE. */
    private readonly grow: (pages: number) => void,
  ) {
    this.searchFrom = geometry.firstFreePage
    this.searchFromAtBegin = this.searchFrom
    this.check = new BitmapCheck(pages, geometry)
  }

  /** Allocates one page and stages it as zeros: `view`, `base`, `frame` of the editor point at it. */
  allocate(): number {
    let pageId = this.findPage()
    while (pageId < 0) {
      this.grow(1)
      pageId = this.findPage()
    }
    this.setBits(pageId, 1, true)
    this.searchFrom = pageId + 1
    this.pages.stageFresh(pageId)
    return pageId
  }

  /** Allocates contiguous pages for raw data; nothing is staged. */
  allocateExtent(pageCount: number): number {
    if (pageCount > this.geometry.maxExtentPages) {
      throw new DaxkvError(
        'VALUE_TOO_LARGE',
        `an extent of ${pageCount} pages was asked for, the longest a segment can hold is ${this.geometry.maxExtentPages}`,
        { limit: this.geometry.maxExtentPages * PAGE_BYTES, actual: pageCount * PAGE_BYTES },
      )
    }
    let pageId = this.findRun(pageCount)
    while (pageId < 0) {
      this.grow(pageCount)
      pageId = this.findRun(pageCount)
    }
    this.setBits(pageId, pageCount, true)
    return pageId
  }

  /** Frees a page or an extent. The pages stay untouched and unallocatable until the transaction has committed. */
  free(pageId: number, pageCount = 1): void {
    this.checkRange(pageId, pageCount)
    this.setBits(pageId, pageCount, false)
    if (this.pages.savepointDepth > 0) this.pin(pageId, pageCount)
    this.pages.dropFreed(pageId, pageCount)
    if (pageId < this.lowestFreed) this.lowestFreed = pageId
    // Allocated by this very transaction: may be taken again at once.
    if (pageId < this.searchFrom && !this.isCommitted(pageId)) this.searchFrom = pageId
  }

  /**
   * Runs of free pages, together at least `pageCount`, for a log record that overflows its slot. Nothing is reserved by it:
   * see `reserve`. Returns undefined when more than `maxRuns` would be needed.
   */
  findRuns(pageCount: number, maxRuns: number): Run[] | undefined {
    const whole = this.findRun(pageCount)
    const runs: Run[] = whole >= 0 ? [{ page: whole, pages: pageCount }] : []
    let missing = whole >= 0 ? 0 : pageCount
    for (let bitmap = 0; bitmap < this.bitmapCount && missing > 0; bitmap++) {
      this.eachRun(bitmap, (page, pages) => {
        if (missing > 0 && pages >= MIN_OVERFLOW_RUN && runs.length < maxRuns) {
          const take = Math.min(pages, missing)
          runs.push({ page, pages: take })
          missing -= take
        }
      })
    }
    this.check.checkFault()
    return missing > 0 ? undefined : runs
  }

  /**
   * Keeps these free pages from being allocated, in place of those reserved before: the log record in them is needed until
   * another call, whatever is aborted or committed in between.
   */
  reserve(runs: readonly Run[]): void {
    if (this.reserved.size !== 0) {
      this.reserved.clear()
      if (this.lowestReserved < this.searchFrom) this.searchFrom = this.lowestReserved
      if (this.lowestReserved < this.searchFromAtBegin) this.searchFromAtBegin = this.lowestReserved
      this.lowestReserved = Infinity
      this.runBound.length = 0
    }
    for (const { page, pages } of runs) {
      this.mark(this.reserved, page, pages)
      if (page < this.lowestReserved) this.lowestReserved = page
    }
  }

  /** After a commit: pages it freed may be allocated from now on. */
  committed(): void {
    if (this.lowestFreed !== Infinity) {
      if (this.lowestFreed < this.searchFrom) this.searchFrom = this.lowestFreed
      this.lowestFreed = Infinity
      this.runBound.length = 0
    }
    if (this.pinned.size !== 0) this.pinned.clear()
    this.searchFromAtBegin = this.searchFrom
  }

  /** What was done since the last call can no longer be rolled back, but is not durable either. */
  settled(): void {
    this.searchFromAtBegin = this.searchFrom
  }

  /** A barrier begins that covers everything done so far. What it frees may be allocated when it has ended. */
  sealed(): void {
    const [pins, lowest] = [this.pinned, this.lowestFreed]
    this.pinned = this.sealedPins
    this.sealedPins = pins
    this.lowestFreed = this.lowestSealed
    this.lowestSealed = lowest
  }

  /** That barrier has ended. */
  durable(): void {
    this.lowestDurable = Math.min(this.lowestDurable, this.lowestSealed)
    this.lowestSealed = Infinity
    if (this.sealedPins.size === 0) return
    for (const [bitmap, words] of this.sealedPins) {
      const known = this.durablePins.get(bitmap)
      if (known === undefined) this.durablePins.set(bitmap, words)
      else for (let word = 0; word < words.length; word++) known[word] |= words[word]
    }
    this.sealedPins.clear()
  }

  /** The pool shows all that is durable. */
  applied(): void {
    if (this.lowestDurable !== Infinity) {
      if (this.lowestDurable < this.searchFrom) this.searchFrom = this.lowestDurable
      if (this.lowestDurable < this.searchFromAtBegin) this.searchFromAtBegin = this.lowestDurable
      this.lowestDurable = Infinity
      this.runBound.length = 0
    }
    if (this.durablePins.size !== 0) this.durablePins.clear()
  }

  /** After an abort or a rollback to a savepoint: what was allocated since is free again. */
  aborted(): void {
    this.searchFrom = this.searchFromAtBegin
    this.runBound.length = 0
  }

  /** After an abort of the whole transaction also its frees are void. */
  reset(): void {
    this.aborted()
    this.pinned.clear()
    this.lowestFreed = Infinity
  }

  /** Pages behind the lowest that may be free: with few of them free pages are few. */
  get pagesAhead(): number {
    return this.capacity - this.searchFrom
  }

  /** Single pages that can be allocated without growth, counted up to a limit; `firstFree` is the lowest of them. */
  countFree(limit: number): number {
    const { geometry } = this
    let count = 0
    if (this.searchFrom >= this.capacity) return 0
    for (let bitmap = geometry.bitmapOf(this.searchFrom); bitmap < this.bitmapCount; bitmap++) {
      const first = geometry.bitmapFirstPage(bitmap)
      const end = Math.min(geometry.bitmapPageCount(bitmap), this.capacity - first)
      const start = Math.max(this.searchFrom - first, this.firstBit(bitmap))
      this.loadBitmap(bitmap)
      for (let word = start >>> 5; word * 32 < end; word++) {
        let taken = this.takenWord(word)
        if (word * 32 < start) taken |= (1 << (start & 31)) - 1
        if (end - word * 32 < 32) taken |= -1 << (end & 31)
        if (taken === -1) continue
        if (count === 0) this.firstFree = first + word * 32 + trailingZeros(~taken)
        count += popcount(~taken)
        if (count >= limit) return limit
      }
    }
    return count
  }

  /** Pages allocated, as the transaction sees it; walks every bitmap. */
  countAllocated(): number {
    let count = 0
    for (let bitmap = 0; bitmap < this.bitmapCount; bitmap++) {
      this.pages.locate(this.geometry.bitmapPage(bitmap))
      const { u32 } = this.pages.view
      const words = (this.pages.base + BITMAP_OFFSET_BITS) >>> 2
      const end = Math.min(this.geometry.bitmapPageCount(bitmap), this.capacity - this.geometry.bitmapFirstPage(bitmap))
      for (let bit = 0; bit < end; bit += 32) count += popcount(u32[words + (bit >>> 5)])
    }
    return count
  }

  /** Whether the transaction sees the page as allocated. */
  isAllocated(pageId: number): boolean {
    const bitmap = this.geometry.bitmapOf(pageId)
    this.pages.locate(this.geometry.bitmapPage(bitmap))
    const bit = pageId - this.geometry.bitmapFirstPage(bitmap)
    const word = this.pages.view.u32[(this.pages.base + BITMAP_OFFSET_BITS + ((bit >>> 5) << 2)) >>> 2]
    return ((word >>> (bit & 31)) & 1) === 1
  }

  /** Whether a bitmap marks pages beyond its segment or the capacity: growth would take them for allocated. */
  hasStrayBits(bitmap: number): boolean {
    this.pages.locate(this.geometry.bitmapPage(bitmap))
    const { u32 } = this.pages.view
    const words = (this.pages.base + BITMAP_OFFSET_BITS) >>> 2
    const last = Math.min(this.geometry.bitmapPageCount(bitmap), this.capacity - this.geometry.bitmapFirstPage(bitmap))
    const count = Math.max(0, last)
    for (let word = count >>> 5; word < BITMAP_WORDS; word++) {
      // The first word may describe pages that exist in its lower bits.
      const bits = u32[words + word] >>> (word === count >>> 5 ? count & 31 : 0)
      if (bits !== 0) return true
    }
    return false
  }

  private isCommitted(pageId: number): boolean {
    const bitmap = this.geometry.bitmapOf(pageId)
    this.loadBitmap(bitmap)
    const bit = pageId - this.geometry.bitmapFirstPage(bitmap)
    return ((this.committedWords[this.committedBase + (bit >>> 5)] >>> (bit & 31)) & 1) === 1
  }

  private get capacity(): number {
    return this.pages.capacityPages
  }

  private get bitmapCount(): number {
    return this.geometry.bitmapCount(this.pages.capacityPages)
  }

  private findPage(): number {
    if (this.countFree(1) !== 0) return this.firstFree
    this.searchFrom = this.capacity
    return -1
  }

  /** First fit of a contiguous run inside one segment. */
  private findRun(pageCount: number): number {
    if (this.runBoundCapacity !== this.capacity) {
      // Growth adds free pages to the last bitmap.
      this.runBoundCapacity = this.capacity
      this.runBound.length = 0
    }
    let runStart = 0
    let runLength = 0
    for (let bitmap = 0; bitmap < this.bitmapCount; bitmap++) {
      if (bitmap % this.geometry.bitmapsPerSegment === 0) runLength = 0
      const bound = this.runBound[bitmap] ?? Infinity
      // A run may go on from the bitmap before, so the bound only helps when nothing is open.
      if (runLength === 0 && bound < pageCount && !this.runMayContinue(bitmap)) continue
      let longest = 0
      const first = this.geometry.bitmapFirstPage(bitmap)
      const end = Math.min(this.geometry.bitmapPageCount(bitmap), this.capacity - first)
      this.loadBitmap(bitmap)
      let within = 0
      for (let bit = this.firstBit(bitmap); bit < end;) {
        const taken = this.takenWord(bit >>> 5)
        if ((bit & 31) === 0 && end - bit >= 32 && (taken === 0 || taken === -1)) {
          if (taken === 0) {
            if (runLength === 0) runStart = first + bit
            runLength += 32
            within += 32
          } else {
            runLength = 0
            within = 0
          }
          bit += 32
        } else {
          if (((taken >>> (bit & 31)) & 1) === 0) {
            if (runLength === 0) runStart = first + bit
            runLength++
            within++
          } else {
            runLength = 0
            within = 0
          }
          bit++
        }
        if (within > longest) longest = within
        if (runLength >= pageCount) return runStart
      }
      this.runBound[bitmap] = longest
    }
    return -1
  }

  /** Whether a free run at the end of this bitmap could go on in the next one of the same segment. */
  private runMayContinue(bitmap: number): boolean {
    return (bitmap + 1) % this.geometry.bitmapsPerSegment !== 0 && bitmap + 1 < this.bitmapCount
  }

  private eachRun(bitmap: number, visit: (page: number, pages: number) => void): void {
    const first = this.geometry.bitmapFirstPage(bitmap)
    const end = Math.min(this.geometry.bitmapPageCount(bitmap), this.capacity - first)
    this.loadBitmap(bitmap)
    let start = -1
    for (let bit = this.firstBit(bitmap); bit <= end; bit++) {
      const free = bit < end && ((this.takenWord(bit >>> 5) >>> (bit & 31)) & 1) === 0
      if (free && start < 0) start = bit
      if (!free && start >= 0) {
        visit(first + start, bit - start)
        start = -1
      }
    }
  }

  /** First bit of a bitmap that may ever be handed out; reserved pages are not, whatever their bits say. */
  private firstBit(bitmap: number): number {
    const segment = Math.floor(bitmap / this.geometry.bitmapsPerSegment)
    const firstPage = segment * this.geometry.segmentPages + this.geometry.reservedPages(segment)
    return Math.max(0, firstPage - this.geometry.bitmapFirstPage(bitmap))
  }

  // Bitmap under inspection: committed words, and staged words where the transaction has changed it.
  private committedWords: Uint32Array | Int32Array = new Int32Array(0)
  private committedBase = 0
  private stagedWords: Uint32Array | Int32Array = new Int32Array(0)
  private stagedBase = 0
  private pinnedWords: Int32Array | undefined
  private sealedWords: Int32Array | undefined
  private durableWords: Int32Array | undefined
  private reservedWords: Int32Array | undefined

  private loadBitmap(bitmap: number): void {
    this.check.visit(bitmap)
    const page = this.geometry.bitmapPage(bitmap)
    this.pages.locateCommitted(page)
    this.committedWords = this.pages.view.i32
    this.committedBase = (this.pages.base + BITMAP_OFFSET_BITS) >>> 2
    this.pages.locate(page)
    this.stagedWords = this.pages.view.i32
    this.stagedBase = (this.pages.base + BITMAP_OFFSET_BITS) >>> 2
    this.pinnedWords = this.pinned.size === 0 ? undefined : this.pinned.get(bitmap)
    this.sealedWords = this.sealedPins.size === 0 ? undefined : this.sealedPins.get(bitmap)
    this.durableWords = this.durablePins.size === 0 ? undefined : this.durablePins.get(bitmap)
    this.reservedWords = this.reserved.size === 0 ? undefined : this.reserved.get(bitmap)
  }

  private pin(pageId: number, pageCount: number): void {
    this.mark(this.pinned, pageId, pageCount)
  }

  private mark(marks: Map<number, Int32Array>, pageId: number, pageCount: number): void {
    for (let page = pageId; page < pageId + pageCount; page++) {
      const bitmap = this.geometry.bitmapOf(page)
      let words = marks.get(bitmap)
      if (words === undefined) marks.set(bitmap, (words = new Int32Array(BITMAP_WORDS)))
      const bit = page - this.geometry.bitmapFirstPage(bitmap)
      words[bit >>> 5] |= 1 << (bit & 31)
    }
  }

  /** Pages of a word that must not be allocated: in use now, in the committed state, after a rollback, or by a log record. */
  private takenWord(word: number): number {
    let taken = this.committedWords[this.committedBase + word] | this.stagedWords[this.stagedBase + word]
    if (this.pinnedWords !== undefined) taken |= this.pinnedWords[word]
    if (this.sealedWords !== undefined) taken |= this.sealedWords[word]
    if (this.durableWords !== undefined) taken |= this.durableWords[word]
    if (this.reservedWords !== undefined) taken |= this.reservedWords[word]
    return taken
  }

  /** Sets or clears the bits of a range; finding one already so means damage or a double free. */
  private setBits(pageId: number, pageCount: number, allocated: boolean): void {
    let page = pageId
    let left = pageCount
    while (left > 0) {
      const bitmap = this.geometry.bitmapOf(page)
      const first = this.geometry.bitmapFirstPage(bitmap)
      const bit = page - first
      const count = Math.min(left, this.geometry.bitmapPageCount(bitmap) - bit)
      this.check.visit(bitmap)
      this.pages.stage(this.geometry.bitmapPage(bitmap))
      const { u32 } = this.pages.view
      const words = (this.pages.base + BITMAP_OFFSET_BITS) >>> 2
      for (let at = bit; at < bit + count;) {
        const n = Math.min(32 - (at & 31), bit + count - at)
        const mask = ((n === 32 ? 0xffff_ffff : (1 << n) - 1) << (at & 31)) >>> 0
        const word = words + (at >>> 5)
        const before = u32[word]
        if ((allocated ? before & mask : ~before & mask) !== 0) {
          this.check.checkFault()
          throw new DaxkvError(
            'CORRUPT',
            `pages ${page}..${page + count - 1} are to be ${allocated ? 'allocated' : 'freed'} but the bitmap says ` +
              `some already are: run check()`,
            { offset: page * PAGE_BYTES, length: count * PAGE_BYTES },
          )
        }
        u32[word] = allocated ? before | mask : before & ~mask
        at += n
      }
      const from = BITMAP_OFFSET_BITS + ((bit >>> 5) << 2)
      const to = BITMAP_OFFSET_BITS + (((bit + count - 1) >>> 5) << 2) + 4
      this.pages.markDirty(this.pages.frame, from, to)
      page += count
      left -= count
    }
    this.check.checkFault()
  }

  private checkRange(pageId: number, pageCount: number): void {
    const segment = Math.floor(pageId / this.geometry.segmentPages)
    const within = pageId - segment * this.geometry.segmentPages
    if (
      pageCount < 1 ||
      pageId + pageCount > this.capacity ||
      within < this.geometry.reservedPages(segment) ||
      within + pageCount > this.geometry.segmentPages
    ) {
      throw new DaxkvError('CORRUPT', `pages ${pageId}..${pageId + pageCount - 1} cannot have been allocated`, {
        offset: pageId * PAGE_BYTES,
        length: pageCount * PAGE_BYTES,
      })
    }
  }
}

/** Shorter free runs are not worth an entry of a record's extent table. */
const MIN_OVERFLOW_RUN = 8

function trailingZeros(word: number): number {
  return 31 - Math.clz32(word & -word)
}

/** Set bits of a 32-bit word. */
export function popcount(word: number): number {
  let v = word - ((word >>> 1) & 0x5555_5555)
  v = (v & 0x3333_3333) + ((v >>> 2) & 0x3333_3333)
  return Math.imul((v + (v >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24
}

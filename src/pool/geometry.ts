import { BITMAP_PAGES, PAGE_LOG_START } from './format.js'

/** Where things lie in a pool of given segment and log size: pure arithmetic on page ids. */
export class Geometry {
  readonly segmentPages: number
  /** Bitmap pages at the start of each segment (in segment 0: after the log). */
  readonly bitmapsPerSegment: number
  /** First bitmap page of segment 0. */
  readonly firstBitmapPage: number
  /** First page of segment 0 that can be allocated. */
  readonly firstFreePage: number

  constructor(
    readonly segmentShift: number,
    readonly logPages: number,
  ) {
    this.segmentPages = 2 ** segmentShift
    this.bitmapsPerSegment = Math.ceil(this.segmentPages / BITMAP_PAGES)
    this.firstBitmapPage = PAGE_LOG_START + logPages
    this.firstFreePage = this.firstBitmapPage + this.bitmapsPerSegment
  }

  /** Number of bitmap pages a pool of this capacity has. */
  bitmapCount(capacityPages: number): number {
    return Math.ceil(capacityPages / this.segmentPages) * this.bitmapsPerSegment
  }

  /** Bitmap number `index` (counted over all segments) lives in this page. */
  bitmapPage(index: number): number {
    const segment = Math.floor(index / this.bitmapsPerSegment)
    const within = index % this.bitmapsPerSegment
    return segment === 0 ? this.firstBitmapPage + within : segment * this.segmentPages + within
  }

  /** First page that bitmap number `index` describes. */
  bitmapFirstPage(index: number): number {
    const segment = Math.floor(index / this.bitmapsPerSegment)
    return segment * this.segmentPages + (index % this.bitmapsPerSegment) * BITMAP_PAGES
  }

  /** Pages that bitmap number `index` describes (the last one of a segment describes fewer). */
  bitmapPageCount(index: number): number {
    const within = (index % this.bitmapsPerSegment) * BITMAP_PAGES
    return Math.min(BITMAP_PAGES, this.segmentPages - within)
  }

  /** The bitmap that describes a page. */
  bitmapOf(pageId: number): number {
    const segment = Math.floor(pageId / this.segmentPages)
    return segment * this.bitmapsPerSegment + Math.floor((pageId % this.segmentPages) / BITMAP_PAGES)
  }

  /** Pages at the start of a segment that are never allocated: fixed pages, log, bitmaps. */
  reservedPages(segment: number): number {
    return segment === 0 ? this.firstFreePage : this.bitmapsPerSegment
  }

  /** Whether a pool may have this capacity: every segment it reaches into has its reserved pages whole. */
  isCapacity(capacityPages: number): boolean {
    const last = Math.floor((capacityPages - 1) / this.segmentPages)
    return capacityPages > 0 && capacityPages - last * this.segmentPages >= this.reservedPages(last)
  }

  /** Longest extent a segment other than the first can hold. */
  get maxExtentPages(): number {
    return this.segmentPages - this.bitmapsPerSegment
  }
}

import {
  DIRECTORY_UNLOGGED,
  LINE_BYTES,
  LINES_PER_PAGE,
  PAGE_BYTES,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  RECORD_OFFSET_EXTENT_COUNT,
  RECORD_OFFSET_KIND,
  RECORD_OFFSET_LINE_COUNT,
  RECORD_OFFSET_MAGIC,
  RECORD_OFFSET_PAGE_COUNT,
  RECORD_OFFSET_TOTAL_LINES,
  RECORD_SLOT,
} from '../../src/pmem/program.js'
import {
  BITMAP_OFFSET_BITS,
  IDENTITY_OFFSET_LOG_PAGES,
  IDENTITY_OFFSET_SEGMENT_SHIFT,
  PAGE_LOG_START,
  PAGE_ROOT,
  ROOT_OFFSET_CAPACITY_PAGES,
} from '../../src/pool/format.js'
import { Geometry } from '../../src/pool/geometry.js'
import { regionsOf } from './regions.js'

/** A log record as the lints see it: the lines it covers and what it says they held (undo) or hold (redo). */
export class LintRecord {
  /** Byte offset of a covered line in the pool -> its bytes. */
  readonly #lines = new Map<number, Buffer>()
  /** Of a slot record: lines that stand in their places already. */
  readonly #unlogged = new Set<number>()

  constructor(
    readonly kind: number,
    directory: Buffer,
    pageCount: number,
    bodies: Buffer,
  ) {
    let at = 0
    for (let index = 0; index < pageCount; index++) {
      const pageId = directory.readUInt32LE(index * 16)
      const unlogged = kind === RECORD_SLOT && directory.readUInt32LE(index * 16 + 12) === DIRECTORY_UNLOGGED
      for (let line = 0; line < LINES_PER_PAGE; line++) {
        const mask = directory.readUInt32LE(index * 16 + (line < 32 ? 4 : 8))
        if (((mask >>> (line & 31)) & 1) === 0) continue
        const offset = pageId * PAGE_BYTES + line * LINE_BYTES
        if (unlogged) {
          this.#unlogged.add(offset)
          continue
        }
        this.#lines.set(offset, bodies.subarray(at, at + LINE_BYTES))
        at += LINE_BYTES
      }
    }
  }

  get lineCount(): number {
    return this.#lines.size
  }

  covers(offset: number): boolean {
    return this.#lines.has(offset)
  }

  /** Whether only a hash of the line is in the record. */
  hashes(offset: number): boolean {
    return this.#unlogged.has(offset)
  }

  /** Covered lines that do not hold the bytes of the record. */
  differing(pool: LintPool): number {
    let count = 0
    for (const [offset, bytes] of this.#lines) if (!pool.holds(offset, bytes)) count++
    return count
  }
}

/** The pool as the program sees it along a trace, and what the lints ask about it. */
export class LintPool {
  #bytes: Buffer
  readonly #geometry: Geometry
  readonly #regionOf: (offset: number) => string
  #free: { capacity: number; bitmaps: Buffer[] }
  #bitmapsChanged = false

  constructor(image: Uint8Array) {
    this.#bytes = Buffer.from(image)
    this.#geometry = new Geometry(
      this.#bytes.readUInt32LE(IDENTITY_OFFSET_SEGMENT_SHIFT),
      this.#bytes.readUInt32LE(IDENTITY_OFFSET_LOG_PAGES),
    )
    this.#regionOf = regionsOf(image)
    this.#free = this.#copyFree()
  }

  grow(pageCount: number): void {
    const grown = Buffer.alloc(Math.max(this.#bytes.length, pageCount * PAGE_BYTES))
    this.#bytes.copy(grown)
    this.#bytes = grown
  }

  store(offset: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, offset)
    const page = Math.floor(offset / PAGE_BYTES)
    if (page === PAGE_ROOT || this.#isBitmap(page)) this.#bitmapsChanged = true
  }

  holds(offset: number, bytes: Uint8Array): boolean {
    return this.#bytes.compare(bytes, 0, LINE_BYTES, offset, offset + LINE_BYTES) === 0
  }

  region(offset: number): string {
    return this.#regionOf(offset)
  }

  /** Takes what memory holds now for the committed state. */
  rememberFree(): void {
    if (this.#bitmapsChanged) this.#free = this.#copyFree()
    this.#bitmapsChanged = false
  }

  /** Whether the page was free in the last committed state, or beyond its capacity. */
  wasFree(page: number): boolean {
    if (page >= this.#free.capacity) return true
    for (const [index, bits] of this.#free.bitmaps.entries()) {
      const bit = page - this.#geometry.bitmapFirstPage(index)
      if (bit < 0 || bit >= this.#geometry.bitmapPageCount(index)) continue
      return ((bits[BITMAP_OFFSET_BITS + (bit >>> 3)] >>> (bit & 7)) & 1) === 0
    }
    return false
  }

  /** The record whose first line is the first of this page; undefined where there is none. */
  recordAt(page: number): LintRecord | undefined {
    const base = page * PAGE_BYTES
    if (this.#regionOf(base) !== 'log') return undefined
    const head = this.#bytes.subarray(base, base + PAGE_BYTES)
    if (head.readUInt32LE(RECORD_OFFSET_MAGIC) !== RECORD_MAGIC) return undefined
    const extentCount = head.readUInt32LE(RECORD_OFFSET_EXTENT_COUNT)
    const pageCount = head.readUInt32LE(RECORD_OFFSET_PAGE_COUNT)
    const lines = head.readUInt32LE(RECORD_OFFSET_LINE_COUNT)
    const kind = head.readUInt32LE(RECORD_OFFSET_KIND)
    const logEnd = PAGE_LOG_START + this.#geometry.logPages
    // A slot record goes on in its extents after half of the log.
    const end = kind === RECORD_SLOT ? page + Math.floor(this.#geometry.logPages / 2) : logEnd
    const parts = [this.#bytes.subarray(base, end * PAGE_BYTES)]
    for (let index = 0; index < extentCount; index++) {
      const start = head.readUInt32LE(RECORD_HEADER_BYTES + index * 8) * PAGE_BYTES
      const pages = head.readUInt32LE(RECORD_HEADER_BYTES + index * 8 + 4)
      parts.push(this.#bytes.subarray(start, start + pages * PAGE_BYTES))
    }
    const stream = Buffer.concat(parts)
    const directory = RECORD_HEADER_BYTES + Math.ceil((extentCount * 8) / LINE_BYTES) * LINE_BYTES
    const bodies = (head.readUInt32LE(RECORD_OFFSET_TOTAL_LINES) - lines) * LINE_BYTES
    return new LintRecord(kind, stream.subarray(directory), pageCount, stream.subarray(bodies))
  }

  #isBitmap(page: number): boolean {
    const { segmentPages, bitmapsPerSegment, firstBitmapPage } = this.#geometry
    const within = page < segmentPages ? page - firstBitmapPage : page % segmentPages
    return within >= 0 && within < bitmapsPerSegment
  }

  #copyFree(): { capacity: number; bitmaps: Buffer[] } {
    const capacity = this.#bytes.readUInt32LE(PAGE_ROOT * PAGE_BYTES + ROOT_OFFSET_CAPACITY_PAGES)
    const bitmaps = Array.from({ length: this.#geometry.bitmapCount(capacity) }, (_, index) => {
      const start = this.#geometry.bitmapPage(index) * PAGE_BYTES
      return Buffer.from(this.#bytes.subarray(start, start + PAGE_BYTES))
    })
    return { capacity, bitmaps }
  }
}

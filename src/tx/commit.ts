/**
 * Commit by undo log (protocol A): two fences for a transaction of any size.
 *
 *     checksums of dirty and fresh pages          staging memory only
 *     store + flush fresh pages                   free space: a crash leaves garbage nobody refers to
 *     record of pre-images, non-temporal          a crash leaves an incomplete record: ignored, nothing was changed
 *     FENCE 1                                     from here a crash is rolled back, or found finished by the post hash
 *     store + flush dirty lines
 *     FENCE 2                                     durable
 */
import { DaxkvError } from '../errors.js'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import {
  LINES_PER_PAGE,
  OP_CHECKSUM,
  OP_CHECKSUM_FRESH,
  OP_FENCE,
  OP_RECORD,
  OP_STORE,
  PAGE_BYTES,
  RECORD_UNDO,
  recordLines,
} from '../pmem/program.js'
import { type Allocator, popcount, type Run } from '../pool/allocator.js'
import type { Anchor } from '../pool/anchor.js'
import { PAGE_LOG_START } from '../pool/format.js'
import { MAX_RECORD_EXTENTS } from './log-record.js'
import { FRAME_BACKUP, FRAME_FRESH, FRAME_FREED, type PageSpace } from './page-space.js'

const NO_EXTENTS: readonly Run[] = []

export class Committer {
  /** Id of the last transaction that was handed to the executor; two u32, no BigInt on the hot path. */
  private txidLo = 0
  private txidHi = 0
  private epochLo = 0
  private epochHi = 0
  private saltLo = 0
  private saltHi = 0
  private readonly slotLines: number

  constructor(
    private readonly memory: PersistentMemory,
    private readonly space: PageSpace,
    private readonly allocator: Allocator,
    private readonly logPages: number,
    /** Makes room for an overflowing record. */
    private readonly grow: (pages: number) => void,
  ) {
    this.slotLines = logPages * LINES_PER_PAGE
  }

  /** Takes over epoch, salt and last transaction id from the anchor that was just written. */
  startEpoch(anchor: Anchor): void {
    this.txidLo = anchor.txid >>> 0
    this.txidHi = Math.floor(anchor.txid / 2 ** 32)
    this.epochLo = anchor.epoch >>> 0
    this.epochHi = Math.floor(anchor.epoch / 2 ** 32)
    this.saltLo = anchor.saltLo
    this.saltHi = anchor.saltHi
  }

  get txid(): number {
    return this.txidLo + this.txidHi * 2 ** 32
  }

  /**
   * Makes everything staged durable. Returns false, having stored nothing, when nothing was staged. Throws before the
   * first store when the record finds no room; any later failure comes from the executor and must poison the store.
   */
  commit(): boolean {
    const { space } = this
    const { flags, dirtyLo, dirtyHi } = space
    let pages = 0
    let lines = 0
    let fresh = 0
    for (let frame = 0; frame < space.frameCount; frame++) {
      const flag = flags[frame]
      if ((flag & (FRAME_BACKUP | FRAME_FREED)) !== 0) continue
      if ((flag & FRAME_FRESH) !== 0) {
        fresh++
      } else if ((dirtyLo[frame] | dirtyHi[frame]) !== 0) {
        // The checksum lies in line 0, so a dirty page always stores it.
        dirtyLo[frame] |= 1
        pages++
        lines += popcount(dirtyLo[frame]) + popcount(dirtyHi[frame])
      }
    }
    // A fresh page nobody points at cannot exist: its bitmap is dirty. So no dirty page means nothing was done.
    if (pages === 0) return false

    let extents = NO_EXTENTS
    if (recordLines(0, pages, lines) > this.slotLines) extents = this.findExtents(pages, lines)
    this.memory.run(this.buildProgram(pages, fresh, extents))
    return true
  }

  /** Commits a page image of the caller's own (growth); the frame stays the caller's. */
  nextTxid(): void {
    this.txidLo = (this.txidLo + 1) >>> 0
    if (this.txidLo === 0) this.txidHi++
  }

  /** Hot: no allocation, no closure; `bench` "durable put" would notice its loss. */
  private buildProgram(pages: number, fresh: number, extents: readonly Run[]): number {
    const { space, memory } = this
    const { flags, dirtyLo, dirtyHi, pageIds } = space
    const frameCount = space.frameCount
    const wordsNeeded = pages * 14 + fresh * 8 + extents.length * 2 + RECORD_WORDS + 2
    if (memory.program.length < wordsNeeded) memory.reserveProgram(wordsNeeded)
    const words = memory.program
    let at = 0
    for (let frame = 0; frame < frameCount; frame++) {
      const flag = flags[frame]
      if ((flag & (FRAME_BACKUP | FRAME_FREED)) !== 0) continue
      if ((flag & FRAME_FRESH) !== 0) {
        words[at] = OP_CHECKSUM_FRESH
        words[at + 1] = pageIds[frame]
        words[at + 2] = frame
        words[at + 3] = OP_STORE
        words[at + 4] = pageIds[frame]
        words[at + 5] = frame
        words[at + 6] = 0xffff_ffff
        words[at + 7] = 0xffff_ffff
        at += 8
      } else if ((dirtyLo[frame] | dirtyHi[frame]) !== 0) {
        words[at] = OP_CHECKSUM
        words[at + 1] = pageIds[frame]
        words[at + 2] = frame
        words[at + 3] = dirtyLo[frame]
        words[at + 4] = dirtyHi[frame]
        at += 5
      }
    }
    at = this.recordHeader(words, at, pages, extents)
    for (let frame = 0; frame < frameCount; frame++) {
      if ((flags[frame] & (FRAME_BACKUP | FRAME_FREED | FRAME_FRESH)) !== 0) continue
      if ((dirtyLo[frame] | dirtyHi[frame]) === 0) continue
      words[at] = pageIds[frame]
      words[at + 1] = frame
      words[at + 2] = dirtyLo[frame]
      words[at + 3] = dirtyHi[frame]
      at += 4
    }
    words[at++] = OP_FENCE
    for (let frame = 0; frame < frameCount; frame++) {
      if ((flags[frame] & (FRAME_BACKUP | FRAME_FREED | FRAME_FRESH)) !== 0) continue
      if ((dirtyLo[frame] | dirtyHi[frame]) === 0) continue
      words[at] = OP_STORE
      words[at + 1] = pageIds[frame]
      words[at + 2] = frame
      words[at + 3] = dirtyLo[frame]
      words[at + 4] = dirtyHi[frame]
      at += 5
    }
    words[at++] = OP_FENCE
    return at
  }

  /** Starts the next transaction's record; also used by growth. */
  recordHeader(words: Uint32Array, start: number, pages: number, extents: readonly Run[]): number {
    this.nextTxid()
    let at = start
    words[at] = OP_RECORD
    words[at + 1] = RECORD_UNDO
    words[at + 2] = PAGE_LOG_START
    words[at + 3] = this.logPages
    words[at + 4] = this.epochLo
    words[at + 5] = this.epochHi
    words[at + 6] = this.txidLo
    words[at + 7] = this.txidHi
    words[at + 8] = this.saltLo
    words[at + 9] = this.saltHi
    words[at + 10] = extents.length
    words[at + 11] = pages
    at += RECORD_WORDS
    for (let i = 0; i < extents.length; i++) {
      const extent = extents[i]
      words[at++] = extent.page
      words[at++] = extent.pages
    }
    return at
  }

  /**
   * Room for a record that is longer than the slot: pages that this transaction neither freed nor allocated, so that
   * writing them can destroy neither what a rollback needs nor what was just stored.
   */
  private findExtents(pages: number, lines: number): readonly Run[] {
    const total = recordLines(MAX_RECORD_EXTENTS, pages, lines)
    const pagesNeeded = Math.ceil((total - this.slotLines) / LINES_PER_PAGE)
    let runs = this.allocator.findRuns(pagesNeeded, MAX_RECORD_EXTENTS)
    // Growth commits a record of its own in the slot and then leaves a run at the end of the file, at most a segment
    // long. Twice the pages needed are enough unless the free space lies in too many pieces.
    const enough = this.space.capacityPages + 2 * pagesNeeded
    while (runs === undefined && this.space.capacityPages <= enough) {
      this.grow(Math.min(pagesNeeded, MAX_GROWTH_RUN_PAGES))
      runs = this.allocator.findRuns(pagesNeeded, MAX_RECORD_EXTENTS)
    }
    if (runs === undefined) {
      throw new DaxkvError(
        'TX_TOO_LARGE',
        `the transaction's log record needs ${pagesNeeded * PAGE_BYTES} bytes of free space in at most ` +
          `${MAX_RECORD_EXTENTS} pieces and the pool has no such space`,
        { limit: MAX_RECORD_EXTENTS, actual: pagesNeeded * PAGE_BYTES },
      )
    }
    return runs
  }
}

/** Fixed words of OP_RECORD. */
const RECORD_WORDS = 12
/** Grow for an overflowing record in pieces that fit any segment. */
const MAX_GROWTH_RUN_PAGES = 16384

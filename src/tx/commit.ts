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
  OP_STORE,
  RECORD_UNDO,
  recordLines,
} from '../pmem/program.js'
import { type Allocator, popcount, type Run } from '../pool/allocator.js'
import type { Anchor } from '../pool/anchor.js'
import { PAGE_LOG_START } from '../pool/format.js'
import { type Committer, LogEpoch, RECORD_WORDS, type StagedLines } from './committer.js'
import { FRAME_BACKUP, FRAME_FRESH, FRAME_FREED, type PageSpace } from './page-space.js'
import { findRecordExtents } from './record-extents.js'

const NO_EXTENTS: readonly Run[] = []

export class UndoCommitter implements Committer {
  readonly checkpoints = 0
  readonly hasUnfreedLog = false
  readonly checkpointDue = false
  private readonly epoch = new LogEpoch()
  private readonly slot: Run
  private readonly slotLines: number
  private anchorNow: Anchor | undefined

  constructor(
    private readonly memory: PersistentMemory,
    private readonly space: PageSpace,
    private readonly allocator: Allocator,
    logPages: number,
    /** Makes room for an overflowing record. */
    private readonly grow: (pages: number) => void,
  ) {
    this.slot = { page: PAGE_LOG_START, pages: logPages }
    this.slotLines = logPages * LINES_PER_PAGE
  }

  startEpoch(anchor: Anchor): void {
    this.anchorNow = anchor
    this.epoch.start(anchor)
  }

  get anchor(): Anchor {
    if (this.anchorNow === undefined) throw new DaxkvError('INTERNAL', 'no epoch has started')
    return this.anchorNow
  }

  get txid(): number {
    return this.epoch.txid
  }

  checkpoint(): void {
    // The second fence of every commit has made its data durable: there is never anything to free.
  }

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
    if (recordLines(0, pages, lines) > this.slotLines) {
      extents = findRecordExtents(this.space, this.allocator, this.slotLines, pages, lines, this.grow)
    }
    this.memory.run(this.buildProgram(pages, fresh, extents))
    this.epoch.advance()
    return true
  }

  commitSystem(words: readonly number[], line: StagedLines): void {
    const { memory } = this
    const { pageId, frame, maskLo, maskHi } = line
    memory.reserveProgram(words.length + RECORD_WORDS + 16)
    memory.program.set(words)
    const at = this.epoch.header(memory.program, words.length, RECORD_UNDO, this.slot, 1, NO_EXTENTS)
    const tail = [pageId, frame, maskLo, maskHi, OP_FENCE, OP_STORE, pageId, frame, maskLo, maskHi, OP_FENCE]
    memory.program.set(tail, at)
    memory.run(at + tail.length)
    this.epoch.advance()
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
    at = this.epoch.header(words, at, RECORD_UNDO, this.slot, pages, extents)
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
}

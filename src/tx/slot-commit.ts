/**
 * Commit by redo log in two alternating slots (protocol B): one fence for a transaction of any size.
 *
 *     checksums of dirty and fresh pages            staging memory only
 *     store + flush fresh pages                     free space: a crash leaves garbage nobody refers to
 *     record of post-images, non-temporal, into     a crash leaves an incomplete record, or one whose fresh hash fails: ignored.
 *       the slot that does not hold the newest      The other slot still holds the transaction before, which is replayed
 *     flush values that `put` has written
 *     FENCE                                         record and fresh pages are durable, and the lines of the transaction before
 *     store + flush dirty lines                     replayed; the next transaction's fence makes them durable
 *
 * Which pages may be filled in place although records N - 1 and N can still be replayed over them? All that the
 * allocator gives to N + 1, because nothing that recovery will replay covers them:
 * - N covers only pages that are allocated in the state it leaves, as lines of the pages it frees are neither recorded
 *   nor stored. What N + 1 allocates is free in that state.
 * - N - 1 may cover a page that N has freed and N + 1 fills. But record N + 1 goes to the slot of N - 1: when the one is whole,
 *   the other is not. Without N + 1 the page is free, and what a replay of N - 1 puts there nobody reads.
 *
 * The extents of record N stay reserved until record N + 1 is durable; a fence alone does not free them. Were they
 * overwritten earlier, record N would fail its hash, and recovery would take N - 1 for the newest and put its lines back.
 */
import { DaxkvError } from '../errors.js'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import {
  FRAME_UNLOGGED,
  LINES_PER_PAGE,
  OP_CHECKSUM,
  OP_CHECKSUM_FRESH,
  OP_FENCE,
  OP_STORE,
  PAGE_BYTES,
  RECORD_SLOT,
  recordLines,
} from '../pmem/program.js'
import { type Allocator, popcount, type Run } from '../pool/allocator.js'
import type { Anchor } from '../pool/anchor.js'
import { type Committer, LogEpoch, RECORD_ENTRY_WORDS, RECORD_WORDS, type StagedLines } from './committer.js'
import { FRAME_BACKUP, FRAME_FREED, FRAME_FRESH, type PageSpace } from './page-space.js'
import { findRecordExtents } from './record-extents.js'
import { slotOf } from './slot-recovery.js'
import { putValues } from './value-words.js'

const NO_EXTENTS: readonly Run[] = []
const NO_VALUES: ReadonlyMap<number, number> = new Map()
const ALL_LINES = 0xffff_ffff

export class SlotCommitter implements Committer {
  readonly checkpoints = 0
  // A checkpoint makes nothing of the log free for more: the slots are written again and again as they are.
  readonly hasUnfreedLog = false
  readonly checkpointDue = false
  private readonly epoch = new LogEpoch()
  /** Of transactions with even and with odd ids. */
  private readonly slots: readonly Run[]
  private readonly slotLines: number
  private anchorNow: Anchor | undefined
  /** Lines of the last transaction have been stored to their places and no fence came since. */
  private hasUnfenced = false

  constructor(
    private readonly memory: PersistentMemory,
    private readonly space: PageSpace,
    private readonly allocator: Allocator,
    logPages: number,
    /** Makes room for an overflowing record. */
    private readonly grow: (pages: number) => void,
  ) {
    this.slots = [slotOf(0, logPages), slotOf(1, logPages)]
    this.slotLines = this.slots[0].pages * LINES_PER_PAGE
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

  /** The records stay, and so do the extents of the newest: until the next one is durable, replaying must end with it. */
  checkpoint(): void {
    if (!this.hasUnfenced) return
    const { memory } = this
    memory.reserveProgram(1)
    memory.program[0] = OP_FENCE
    memory.run(1)
    this.hasUnfenced = false
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

    const values = space.hasExtents ? space.writtenExtents() : NO_VALUES
    let entries = pages + fresh
    for (const byteLength of values.values()) entries += Math.ceil(byteLength / PAGE_BYTES)
    let extents = NO_EXTENTS
    if (recordLines(0, entries, lines) > this.slotLines) {
      extents = findRecordExtents(space, this.allocator, this.slotLines, entries, lines, this.grow)
    }
    this.memory.run(this.buildProgram(pages, entries, values, extents))
    this.recorded(extents)
    return true
  }

  commitSystem(words: readonly number[], line: StagedLines, storesFresh: boolean): void {
    const { memory } = this
    const { pageId, frame, maskLo, maskHi } = line
    memory.reserveProgram(words.length + RECORD_WORDS + 16)
    const program = memory.program
    program.set(words)
    let at = words.length
    // Pages beyond the capacity: a fence of their own is rare, and saves the record from naming them.
    if (storesFresh) program[at++] = OP_FENCE
    at = this.header(program, at, 1, NO_EXTENTS)
    const tail = [pageId, frame, maskLo, maskHi, OP_FENCE, OP_STORE, pageId, frame, maskLo, maskHi]
    program.set(tail, at)
    memory.run(at + tail.length)
    this.recorded(NO_EXTENTS)
  }

  private header(words: Uint32Array, at: number, entries: number, extents: readonly Run[]): number {
    const slot = this.slots[(this.epoch.txid + 1) % 2]
    return this.epoch.header(words, at, RECORD_SLOT, slot, entries, extents)
  }

  private recorded(extents: readonly Run[]): void {
    this.epoch.advance()
    this.allocator.reserve(extents)
    this.hasUnfenced = true
  }

  /** Hot: no closure, and no allocation without extents; `bench` "durable put" would notice its loss. */
  private buildProgram(
    pages: number,
    entries: number,
    values: ReadonlyMap<number, number>,
    extents: readonly Run[],
  ): number {
    const { space, memory } = this
    const { flags, dirtyLo, dirtyHi, pageIds } = space
    const frameCount = space.frameCount
    // At most: checksum, store and entry of each page, entry and flush of each page of a value.
    const wordsNeeded = entries * 14 + extents.length * 2 + RECORD_WORDS + 2
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
        words[at + 6] = ALL_LINES
        words[at + 7] = ALL_LINES
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
    at = this.header(words, at, entries, extents)
    for (let frame = 0; frame < frameCount; frame++) {
      if ((flags[frame] & (FRAME_BACKUP | FRAME_FREED | FRAME_FRESH)) !== 0) continue
      if ((dirtyLo[frame] | dirtyHi[frame]) === 0) continue
      words[at] = pageIds[frame]
      words[at + 1] = frame
      words[at + 2] = dirtyLo[frame]
      words[at + 3] = dirtyHi[frame]
      at += RECORD_ENTRY_WORDS
    }
    if (entries !== pages) {
      for (let frame = 0; frame < frameCount; frame++) {
        if ((flags[frame] & (FRAME_BACKUP | FRAME_FREED | FRAME_FRESH)) !== FRAME_FRESH) continue
        words[at] = pageIds[frame]
        words[at + 1] = FRAME_UNLOGGED + frame
        words[at + 2] = ALL_LINES
        words[at + 3] = ALL_LINES
        at += RECORD_ENTRY_WORDS
      }
      if (values.size !== 0) {
        // Hashed first: a flush may take the lines out of the cache.
        at = putValues(words, at, values, true)
        at = putValues(words, at, values, false)
      }
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
    return at
  }
}

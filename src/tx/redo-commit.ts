/**
 * Commit by redo log (protocol C): one wait for a transaction, whatever it changes.
 *
 *     checksums of dirty and fresh pages          staging memory only
 *     record of post-images, at the ring's head   a crash leaves an incomplete record: ignored, nothing was changed
 *     FENCE                                       one msync of the record's pages and nothing else: durable
 *     store dirty and fresh lines, lazily         kernel or cache write them back when they like; replay would, too
 *
 * Checkpoint: OP_SYNC_ALL (all data), then the anchor with txid and ring position, durable: then the ring is free.
 *
 * A transaction whose record does not fit the ring even so commits by undo between two checkpoints: records of that kind
 * go on in free pages, so it may be of any size. It waits six times instead of once.
 *
 * Without the fence the record alone is written (`writeRecord`): for groups of asynchronous writes and relaxed commits, whose
 * lines are stored from the log (`applyDurable`) when a barrier has made it durable. `pipeline.ts` drives that.
 *
 * Raw extents were written to free space when the values were put. Small ones are logged from there; large ones, and
 * fresh pages of a record that does not fit the ring, are flushed and fenced before the record instead: a second wait.
 */
import { DaxkvError } from '../errors.js'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import {
  LINE_BYTES,
  LINES_PER_PAGE,
  OP_APPLY,
  OP_CHECKSUM,
  OP_CHECKSUM_FRESH,
  OP_CHECKSUM_FROM,
  OP_FENCE,
  OP_STORE,
  OP_STORE_LAZY,
  OP_SYNC_ALL,
  PAGE_BYTES,
  RECORD_FIRST_LINE,
  RECORD_REDO,
  recordLines,
} from '../pmem/program.js'
import { popcount, type Run } from '../pool/allocator.js'
import { type Anchor, encodeAnchor } from '../pool/anchor.js'
import { ANCHOR_BYTES, PAGE_LOG_START } from '../pool/format.js'
import type { UndoCommitter } from './commit.js'
import {
  type Committer,
  isPersistFailure,
  LogEpoch,
  RECORD_ENTRY_WORDS,
  RECORD_WORDS,
  type StagedLines,
} from './committer.js'
import { FRAME_BACKUP, FRAME_FREED, FRAME_FRESH, FRAME_LOGGED, type PageSpace } from './page-space.js'
import { otherAnchorPage } from './recovery.js'
import { RedoRing } from './redo-ring.js'
import { TouchedPages } from './touched-pages.js'
import { putValues } from './value-words.js'

/**
 * Values of a transaction that together are longer than this are not logged: writing them twice would cost more than the
 * second wait does (on a disk where a wait is 100 us; slower waits move it up).
 */
export const MAX_LOGGED_EXTENT_BYTES = 64 * 1024

/** Where the lines of a record that no barrier has covered yet come from: the log, one operation a record. */
const APPLY_WORDS = 4
const STORE_WORDS = 5

const NO_EXTENTS: readonly Run[] = []
const NO_VALUES: ReadonlyMap<number, number> = new Map()
const ALL_LINES = 0xffff_ffff

/** What a commit is about to write, and which of its fresh pages go past the record. */
interface Plan {
  /** Pages that existed before, and their dirty lines. */
  pages: number
  lines: number
  fresh: number
  /** Extents the transaction has written: first page -> byte length. */
  values: ReadonlyMap<number, number>
  valuePages: number
  valueLines: number
  logFresh: boolean
  logValues: boolean
}

export class RedoCommitter implements Committer {
  checkpoints = 0
  private readonly epoch = new LogEpoch()
  private readonly ring: RedoRing
  private touched = new TouchedPages()
  private anchorNow: Anchor | undefined
  /** Number of the last record written (from 1 on, of every epoch of this process), and of the last one applied. */
  records = 0
  appliedRecord = 0
  /** Number of the last record that a barrier has made durable; the pipeline says so. */
  durableRecord = 0
  /** First line and lines of each record that is not applied, oldest first, from `unappliedStart` on. */
  private readonly unapplied: number[] = []
  private unappliedStart = 0
  /** Line of the ring where recovery would go on behind the last record that was applied: the first of a page. */
  private appliedLine = 0
  /** The checkpoint under way: what the next anchor will say, and the pages that records before it cover. */
  private nextAnchor: Anchor | undefined
  private touchedBefore: TouchedPages | undefined

  constructor(
    private readonly memory: PersistentMemory,
    private readonly space: PageSpace,
    logPages: number,
    /** Takes what does not fit the ring. */
    private readonly undo: UndoCommitter,
  ) {
    this.ring = new RedoRing(logPages)
  }

  startEpoch(anchor: Anchor): void {
    this.anchorNow = anchor
    this.epoch.start(anchor)
    this.ring.restart(anchor.ringLine)
    this.appliedLine = anchor.ringLine
    this.touched.clear()
  }

  get anchor(): Anchor {
    if (this.anchorNow === undefined) throw new DaxkvError('INTERNAL', 'no epoch has started')
    return this.anchorNow
  }

  get txid(): number {
    return this.epoch.txid
  }

  get hasUnfreedLog(): boolean {
    return this.ring.usedLines > 0
  }

  get checkpointDue(): boolean {
    return this.ring.isHalfFull
  }

  get hasUnapplied(): boolean {
    return this.records !== this.appliedRecord
  }

  /** Every record has been applied when this is called. */
  commit(): boolean {
    const plan = this.plan()
    if (plan === undefined) return false
    const lines = this.choose(plan, MAX_LOGGED_EXTENT_BYTES)
    if (lines > this.ring.lengthLines) return this.commitByUndo()
    if (this.ring.place(lines) < 0 || this.writesOverTouched(plan)) {
      this.checkpointFor(lines)
      // It has synced the values as well: those that are not logged need no wait of their own.
      if (!plan.logValues) {
        plan.values = NO_VALUES
        plan.valuePages = 0
      }
    }
    const line = this.ring.place(lines)
    this.memory.run(this.buildProgram(plan, line, lines, true))
    this.recorded(line, lines, true)
    return true
  }

  /**
   * Writes the record of everything staged and nothing else: the caller sees to a barrier, and then to `applyDurable`. 'must
   * wait', having done nothing, when the record finds no room in the ring or needs something durable before it.
   */
  writeRecord(): 'written' | 'nothing' | 'must wait' {
    const plan = this.plan()
    if (plan === undefined) return 'nothing'
    const lines = this.choose(plan, (this.ring.lengthPages * PAGE_BYTES) / 8)
    if (!plan.logFresh || !plan.logValues || lines > this.ring.lengthLines) return 'must wait'
    const line = this.ring.place(lines)
    if (line < 0) return 'must wait'
    this.memory.run(this.buildProgram(plan, line, lines, false))
    this.unapplied.push(line, lines)
    this.recorded(line, lines, false)
    this.space.recorded(this.records)
    return 'written'
  }

  /**
   * A barrier over all records so far begins: the next one goes to a page of its own, which the barrier leaves alone. Until then
   * records follow each other line by line; none of them is durable, so none has to be spared.
   */
  seal(): void {
    this.ring.seal()
  }

  /**
   * Stores the lines of the records that are durable to their places: from the frames, which hold each page once, while
   * they show nothing else; those of later transactions leave only the log.
   */
  applyDurable(): void {
    const { memory, space, durableRecord, unapplied } = this
    const count = durableRecord - this.appliedRecord
    if (count <= 0) return
    const end = this.unappliedStart + 2 * count
    memory.run(this.framesAreDurable() ? this.storeFrames() : this.applyRecords(end))
    // A barrier has covered the last one, so the next lies on another page.
    this.appliedLine = pagesFor(unapplied[end - 2] + unapplied[end - 1]) * LINES_PER_PAGE
    this.unappliedStart = end
    if (end === unapplied.length) {
      unapplied.length = 0
      this.unappliedStart = 0
    }
    this.appliedRecord = durableRecord
    space.applied(durableRecord)
  }

  /** Whether the frames of the tip show the durable records, and nothing that came after them. */
  private framesAreDurable(): boolean {
    return this.space.stagedCount === 0 && this.durableRecord === this.records
  }

  /** Program that stores the records from the log. */
  private applyRecords(end: number): number {
    const { memory, unapplied } = this
    const words = ((end - this.unappliedStart) / 2) * APPLY_WORDS
    if (memory.program.length < words) memory.reserveProgram(words)
    const { program } = memory
    let at = 0
    for (let from = this.unappliedStart; from < end; from += 2) {
      const line = unapplied[from]
      program[at++] = OP_APPLY
      program[at++] = logPage(line)
      program[at++] = pagesFor((line % LINES_PER_PAGE) + unapplied[from + 1])
      program[at++] = line % LINES_PER_PAGE
    }
    return at
  }

  /** Program that stores from the frames what records have changed in them. */
  private storeFrames(): number {
    const { memory, space } = this
    const { flags, pageIds, unappliedLo, unappliedHi, frameCount } = space
    const needed = frameCount * STORE_WORDS
    if (memory.program.length < needed) memory.reserveProgram(needed)
    const { program } = memory
    let at = 0
    for (let frame = 0; frame < frameCount; frame++) {
      if ((flags[frame] & (FRAME_BACKUP | FRAME_FREED)) !== 0) continue
      if ((unappliedLo[frame] | unappliedHi[frame]) === 0) continue
      at = putLines(program, at, OP_STORE_LAZY, pageIds[frame], frame, unappliedLo[frame], unappliedHi[frame])
    }
    return at
  }

  get checkpointUnderWay(): boolean {
    return this.nextAnchor !== undefined
  }

  /** A relaxed commit should wait for the barrier under way before the ring is full. */
  get ringIsAlmostFull(): boolean {
    return this.ring.usedLines * 4 >= this.ring.lengthLines * 3
  }

  /** Whether a checkpoint begun now would free anything. */
  get canCheckpoint(): boolean {
    return this.nextAnchor === undefined && this.appliedTxid > this.anchor.txid
  }

  /**
   * Begins a checkpoint of what has been applied so far: the caller sees to a barrier over the whole file, then to
   * `storeAnchor`, another barrier, and `anchorDurable`. Records may be written in the meantime, also applied: the anchor leads
   * to them, and what of them reaches the disk early is replayed again.
   */
  beginCheckpoint(): void {
    const { anchor, appliedTxid, appliedLine } = this
    this.nextAnchor = {
      ...anchor,
      seq: anchor.seq + 1,
      txid: appliedTxid,
      ringLine: appliedLine,
      clean: false,
    }
    // Records that are written and not applied stay behind the anchor, and will be replayed over what they touch. Which pages
    // those are nobody has noted apart, so all stay marked until a checkpoint begins with every record applied.
    if (this.hasUnapplied) return
    this.touchedBefore = this.touched
    this.touched = new TouchedPages()
  }

  /** Its data is durable: from now on a barrier may make the anchor durable that says so. */
  storeAnchor(): void {
    if (this.nextAnchor === undefined) throw new DaxkvError('INTERNAL', 'an anchor without a checkpoint')
    const { memory } = this
    const frame = this.encodeNext(this.nextAnchor)
    memory.reserveProgram(8)
    memory.program.set([OP_STORE, otherAnchorPage(memory, this.anchor), frame, 3, 0])
    memory.run(5)
  }

  /** The anchor is durable: the ring is free up to where it leads. */
  anchorDurable(): void {
    const next = this.nextAnchor
    if (next === undefined) throw new DaxkvError('INTERNAL', 'an anchor without a checkpoint')
    this.anchorNow = next
    this.ring.release(next.ringLine)
    this.endCheckpoint()
  }

  private get appliedTxid(): number {
    return this.epoch.txid - (this.records - this.appliedRecord)
  }

  private endCheckpoint(): void {
    this.nextAnchor = undefined
    this.touchedBefore = undefined
    this.checkpoints++
  }

  commitSystem(words: readonly number[], staged: StagedLines, storesFresh: boolean): void {
    const { memory } = this
    const { pageId, frame, maskLo, maskHi } = staged
    const lines = recordLines(0, 1, popcount(maskLo) + popcount(maskHi))
    if (this.ring.place(lines) < 0) this.checkpointFor(lines)
    const line = this.ring.place(lines)
    memory.reserveProgram(words.length + RECORD_WORDS + 16)
    const program = memory.program
    program.set(words)
    let at = words.length
    // Pages beyond the capacity: no record can touch them, so they need not be logged.
    if (storesFresh) program[at++] = OP_FENCE
    at = this.epoch.header(program, at, recordKind(line), logRun(line, lines), 1, NO_EXTENTS)
    const tail = [pageId, frame, maskLo, maskHi, OP_FENCE, OP_STORE_LAZY, pageId, frame, maskLo, maskHi]
    program.set(tail, at)
    this.touched.mark(pageId)
    memory.run(at + tail.length)
    this.recorded(line, lines, true)
  }

  checkpoint(): void {
    if (this.hasUnfreedLog) this.checkpointFor(1)
  }

  /**
   * The checkpoint before: undo relies on everything else being durable, and its record takes the ring's place. The one
   * after: until the anchor names the ids that undo has used, its record is the newest, and a redo record with the same id
   * would be overlooked. A crash in between finds the undo record finished, or rolls it back.
   */
  private commitByUndo(): boolean {
    const { undo } = this
    this.checkpointFor(1)
    undo.startEpoch(this.anchor)
    try {
      undo.commit() // its values are durable already: the checkpoint has synced everything
    } catch (error) {
      // Nothing more is written after a failed persist. Otherwise room for the record was not found, but looked for.
      if (!isPersistFailure(error)) this.takeOverIds()
      throw error
    }
    this.takeOverIds()
    return true
  }

  private takeOverIds(): void {
    if (this.undo.txid === this.epoch.txid) return
    this.epoch.start({ ...this.anchor, txid: this.undo.txid })
    this.checkpointFor(1)
  }

  private recorded(line: number, lines: number, applied: boolean): void {
    this.epoch.advance()
    this.ring.take(line, lines)
    this.records++
    if (!applied) return
    this.durableRecord = this.records
    this.appliedRecord = this.records
    this.appliedLine = this.ring.seal()
  }

  /** Counts what is staged; undefined when that is nothing. */
  private plan(): Plan | undefined {
    const { space } = this
    const { flags, dirtyLo, dirtyHi, stagedFrames, stagedCount } = space
    let pages = 0
    let lines = 0
    let fresh = 0
    for (let i = 0; i < stagedCount; i++) {
      const frame = stagedFrames[i]
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
    if (pages === 0) return undefined
    const plan: Plan = {
      pages,
      lines,
      fresh,
      values: NO_VALUES,
      valuePages: 0,
      valueLines: 0,
      logFresh: true,
      logValues: true,
    }
    if (space.hasExtents) {
      plan.values = space.writtenExtents()
      for (const byteLength of plan.values.values()) {
        plan.valuePages += Math.ceil(byteLength / PAGE_BYTES)
        plan.valueLines += Math.ceil(byteLength / LINE_BYTES)
      }
    }
    return plan
  }

  /** Decides what is logged (C.1, C.2) and returns the lines of the record, which may be more than the ring has. */
  private choose(plan: Plan, mostLoggedBytes: number): number {
    const ringLines = this.ring.lengthLines
    plan.logValues = plan.valueLines * LINE_BYTES <= mostLoggedBytes
    let lines = linesOf(plan)
    if (lines > ringLines) {
      plan.logValues = false
      lines = linesOf(plan)
    }
    if (lines > ringLines) {
      plan.logFresh = false
      lines = linesOf(plan)
    }
    return lines
  }

  /** True when a page that is not logged is covered by a record since the checkpoint, whose replay would spoil it. */
  private writesOverTouched(plan: Plan): boolean {
    if (!plan.logValues) {
      for (const [page, byteLength] of plan.values) {
        if (this.isTouched(page, Math.ceil(byteLength / PAGE_BYTES))) return true
      }
    }
    if (plan.logFresh) return false
    const { flags, pageIds, stagedFrames, stagedCount } = this.space
    for (let i = 0; i < stagedCount; i++) {
      const frame = stagedFrames[i]
      if ((flags[frame] & (FRAME_BACKUP | FRAME_FREED | FRAME_FRESH)) !== FRAME_FRESH) continue
      if (this.isTouched(pageIds[frame], 1)) return true
    }
    return false
  }

  private isTouched(page: number, pages: number): boolean {
    return this.touched.any(page, pages) || this.touchedBefore?.any(page, pages) === true
  }

  /** Hot: no closure, and no allocation without extents; `bench` "durable put" would notice its loss. */
  private buildProgram(plan: Plan, line: number, lines: number, wait: boolean): number {
    const { space, memory, touched } = this
    const { flags, dirtyLo, dirtyHi, unappliedLo, unappliedHi, pageIds, stagedFrames, stagedCount } = space
    const wordsNeeded =
      (plan.pages + plan.fresh) * (6 + 5 + RECORD_ENTRY_WORDS) + plan.valuePages * 4 + RECORD_WORDS + 4
    if (memory.program.length < wordsNeeded) memory.reserveProgram(wordsNeeded)
    const words = memory.program
    let at = 0
    for (let i = 0; i < stagedCount; i++) {
      const frame = stagedFrames[i]
      const flag = flags[frame]
      if ((flag & (FRAME_BACKUP | FRAME_FREED)) !== 0) continue
      if ((flag & FRAME_FRESH) !== 0) {
        words[at] = OP_CHECKSUM_FRESH
        words[at + 1] = pageIds[frame]
        words[at + 2] = frame
        at += 3
        if (!plan.logFresh) at = putLines(words, at, OP_STORE, pageIds[frame], frame, ALL_LINES, ALL_LINES)
      } else if ((dirtyLo[frame] | dirtyHi[frame]) !== 0) {
        // The checksum of a page is told from that of an older version: the last record's, if a copy of it is left ...
        const differsLo = unappliedLo[frame]
        const differsHi = unappliedHi[frame]
        const copy = (differsLo | differsHi) === 0 ? -1 : space.recordedCopy(frame)
        if (copy >= 0) {
          words[at] = OP_CHECKSUM_FROM
          words[at + 1] = pageIds[frame]
          words[at + 2] = frame
          words[at + 3] = copy
          words[at + 4] = dirtyLo[frame]
          words[at + 5] = dirtyHi[frame]
          at += 6
        } else if ((flag & FRAME_LOGGED) === 0) {
          // ... or else the pool's, and then from all lines that differ from the pool.
          const maskLo = dirtyLo[frame] | differsLo
          const maskHi = dirtyHi[frame] | differsHi
          at = putLines(words, at, OP_CHECKSUM, pageIds[frame], frame, maskLo, maskHi)
        } else {
          words[at] = OP_CHECKSUM_FRESH
          words[at + 1] = pageIds[frame]
          words[at + 2] = frame
          at += 3
        }
      }
    }
    if (!plan.logValues) at = putValues(words, at, plan.values, false)
    if (!plan.logFresh || (!plan.logValues && plan.valuePages > 0)) words[at++] = OP_FENCE

    const entries = plan.pages + (plan.logFresh ? plan.fresh : 0) + (plan.logValues ? plan.valuePages : 0)
    at = this.epoch.header(words, at, recordKind(line), logRun(line, lines), entries, NO_EXTENTS)
    for (let i = 0; i < stagedCount; i++) {
      const frame = stagedFrames[i]
      if (!isLogged(flags[frame], dirtyLo[frame] | dirtyHi[frame], plan.logFresh)) continue
      words[at] = pageIds[frame]
      words[at + 1] = frame
      words[at + 2] = dirtyLo[frame]
      words[at + 3] = dirtyHi[frame]
      at += RECORD_ENTRY_WORDS
      touched.mark(pageIds[frame])
    }
    if (plan.logValues && plan.valuePages > 0) {
      for (const [page, byteLength] of plan.values) {
        for (let i = 0; i < Math.ceil(byteLength / PAGE_BYTES); i++) touched.mark(page + i)
      }
      at = putValues(words, at, plan.values, true)
    }
    if (!wait) return at
    words[at++] = OP_FENCE
    for (let i = 0; i < stagedCount; i++) {
      const frame = stagedFrames[i]
      if (!isLogged(flags[frame], dirtyLo[frame] | dirtyHi[frame], plan.logFresh)) continue
      at = putLines(words, at, OP_STORE_LAZY, pageIds[frame], frame, dirtyLo[frame], dirtyHi[frame])
    }
    return at
  }

  /**
   * Every record so far has been applied. The anchor keeps epoch and salt, since records of this
   * epoch with ids up to its txid can never be taken for the next one; while it is being written the other copy, which is
   * durable, still leads to all records, none of which has been overwritten.
   */
  private checkpointFor(lines: number): void {
    const { memory, anchor } = this
    const line = this.ring.restartLine(lines)
    const next: Anchor = {
      ...anchor,
      seq: anchor.seq + 1,
      txid: this.epoch.txid,
      ringLine: line,
      clean: false,
    }
    const frame = this.encodeNext(next)
    memory.reserveProgram(8)
    memory.program.set([OP_SYNC_ALL, OP_STORE, otherAnchorPage(memory, anchor), frame, 3, 0, OP_FENCE])
    memory.run(7)
    this.anchorNow = next
    this.ring.restart(line)
    this.appliedLine = line
    this.touched.clear()
    this.endCheckpoint()
  }

  /** The anchor in a frame of its own: it may come in the middle of a transaction, whose frames must stay as they are. */
  private encodeNext(anchor: Anchor): number {
    const { space } = this
    const frame = space.scratchFrame()
    space.point(frame)
    encodeAnchor(space.view.u8.subarray(space.base, space.base + ANCHOR_BYTES), anchor)
    return frame
  }
}

function pagesFor(lines: number): number {
  return Math.ceil(lines / LINES_PER_PAGE)
}

/** Page of the pool that holds a line of the ring. */
function logPage(line: number): number {
  return PAGE_LOG_START + Math.floor(line / LINES_PER_PAGE)
}

/** The pages on which a record lies, and the line of the first of them on which it begins as OP_RECORD wants it. */
function logRun(line: number, lines: number): Run {
  return { page: logPage(line), pages: pagesFor((line % LINES_PER_PAGE) + lines) }
}

function recordKind(line: number): number {
  return RECORD_REDO + (line % LINES_PER_PAGE) * RECORD_FIRST_LINE
}

function linesOf(plan: Plan): number {
  let { pages, lines } = plan
  if (plan.logFresh) {
    pages += plan.fresh
    lines += plan.fresh * LINES_PER_PAGE
  }
  if (plan.logValues) {
    pages += plan.valuePages
    lines += plan.valueLines
  }
  return recordLines(0, pages, lines)
}

function isLogged(flag: number, dirty: number, logFresh: boolean): boolean {
  if ((flag & (FRAME_BACKUP | FRAME_FREED)) !== 0) return false
  return (flag & FRAME_FRESH) !== 0 ? logFresh : dirty !== 0
}

/** An operation on the masked lines of a staged page. */
function putLines(
  words: Uint32Array,
  at: number,
  operation: number,
  pageId: number,
  frame: number,
  maskLo: number,
  maskHi: number,
): number {
  words[at] = operation
  words[at + 1] = pageId
  words[at + 2] = frame
  words[at + 3] = maskLo
  words[at + 4] = maskHi
  return at + 5
}

import { DaxkvError } from '../errors.js'
import { MemoryView } from '../pmem/memory-view.js'
import { STAGING_CHUNK_FRAMES, STAGING_CHUNK_SHIFT, type PersistentMemory } from '../pmem/persistent-memory.js'
import { PAGE_BYTES, PAGE_SHIFT } from '../pmem/program.js'
import { HEADER_OFFSET_PAGE_ID, PAGE_ROOT } from '../pool/format.js'
import {
  SAVE_BACKUP,
  SAVE_DIRTY_HI,
  SAVE_DIRTY_LO,
  SAVE_FLAGS,
  SAVE_FRAME,
  SAVE_LEVEL,
  SAVE_WORDS,
  SavepointStack,
} from './savepoint-stack.js'

/** Frame flags. */
export const FRAME_FRESH = 1 // the page did not exist before this transaction: no pre-image
export const FRAME_FREED = 2 // the transaction freed the page: neither recorded nor stored
export const FRAME_BACKUP = 4 // holds a savepoint's copy of another frame
export const FRAME_LOGGED = 8 // fresh in a record that is not applied: what the pool holds there means nothing

const INITIAL_FRAMES = 64

const CHUNK_MASK = STAGING_CHUNK_FRAMES - 1

/**
 * The pages as one transaction sees them: staged copies where it has touched a page, the committed pool elsewhere.
 *
 * `locate` and `stage` answer in the fields `view`, `base` (and `frame`) instead of returning an object: they run
 * several times in every operation, and an allocation each would cost more than the tree walk. Take them into locals
 * at once: the next call overwrites them. Staged views stay valid until the transaction ends; chunks only get added.
 */
export class PageSpace {
  /** Typed views holding the page located or staged last. */
  view: MemoryView
  /** Byte offset of that page in the view (a multiple of 4096). */
  base = 0
  /** Frame of the page staged last. */
  frame = 0

  /** Pages of the pool; a page id at or above it is damage. */
  capacityPages = 0
  /** Pages below it are not edited in transactions, the root page apart: identity, anchors and log. */
  firstEditablePage = 0
  /** Whether checksums and hashes are verified at each read: see `VerifiedPageSpace`. */
  readonly verifiesReads: boolean = false
  /** Whether extents are written without a flush, because a redo record or the commit takes care of them. */
  lazyExtents = false
  /** Outside transactions readers see the pool only, although something is staged: it is not durable yet. */
  hidesStaged = false
  /** The pool lacks what is durable already: reads outside transactions first call `catchUp`. */
  behind = false
  catchUp: (() => void) | undefined
  /** Changes whenever staged pages are forgotten or taken back: what was remembered of them is worth nothing. */
  generation = 0
  /** Frames in use by this transaction, backups included. */
  frameCount = 0

  /** By frame: page id, dirty-line mask, flags, and the savepoint level at which the frame was last saved. */
  pageIds: Uint32Array
  dirtyLo: Uint32Array
  dirtyHi: Uint32Array
  flags: Uint8Array
  private levels: Uint16Array
  /** By frame: lines changed by records that are not applied to the pool, and the number of the last such record. */
  unappliedLo: Uint32Array
  unappliedHi: Uint32Array
  private lastRecord: Float64Array
  /** Frames staged since the last record, so that a commit need not go through all that wait to be applied; no backups. */
  stagedFrames: Uint32Array
  stagedCount = 0
  private listed: Uint8Array

  /** Open-addressing table page id -> frame + 1; 0 is empty. Never shrinks below its frames. */
  private table: Int32Array
  private tableMask: number

  private readonly savepoints = new SavepointStack()
  /**
   * By frame: the copy (and 1) that shows it as the last record did; meant only while `recordEpochs` has the current epoch.
   * Epochs are counted in doubles, as 32 bits are through after some hours.
   */
  private recordedCopies: Uint32Array
  private recordEpochs: Float64Array
  private recordEpoch = 1
  /**
   * By frame: the epoch as of which it holds what the pool does, because the transaction that staged it was committed. The
   * epoch ends with whatever changes pages of the pool after that, and with the use of the frame.
   */
  private committedEpochs: Float64Array
  private committedEpoch = 1
  /** Frames of backups that no savepoint needs any more: the next backups go there. */
  private freeBackups: number[] = []
  /** Extents written and freed by this transaction, in order: page id and byte length (0: freed) of each. */
  private extentWords: number[] = []
  private readonly segments: MemoryView[]
  private readonly chunks: MemoryView[]
  /** Views of frames that were copied from, kept because making one costs as much as the copy. */
  private readonly frameBytes: Uint8Array[] = []
  private readonly segmentShift: number
  private readonly segmentMask: number

  constructor(
    readonly memory: PersistentMemory,
    /** Most bytes a transaction may stage. */
    private readonly stagingLimitBytes: number,
    /**
     * How many frames the tables have room for at first, a power of two. When one has to be replaced by a longer one, V8 throws
     * away all compiled code that used it.
     */
    frames = INITIAL_FRAMES,
  ) {
    this.pageIds = new Uint32Array(frames)
    this.dirtyLo = new Uint32Array(frames)
    this.dirtyHi = new Uint32Array(frames)
    this.flags = new Uint8Array(frames)
    this.levels = new Uint16Array(frames)
    this.unappliedLo = new Uint32Array(frames)
    this.unappliedHi = new Uint32Array(frames)
    this.lastRecord = new Float64Array(frames)
    this.stagedFrames = new Uint32Array(frames)
    this.listed = new Uint8Array(frames)
    this.table = new Int32Array(frames * 4)
    this.recordedCopies = new Uint32Array(frames)
    this.recordEpochs = new Float64Array(frames)
    this.committedEpochs = new Float64Array(frames)
    this.tableMask = frames * 4 - 1
    this.segments = memory.segments
    this.chunks = memory.stagingChunks
    this.segmentShift = memory.segmentShift
    this.segmentMask = 2 ** memory.segmentShift - 1
    this.view = memory.segments[0]
  }

  /** Finds a page for reading: the staged copy if there is one, else the committed page. */
  locate(pageId: number): void {
    if (this.frameCount !== 0) {
      if (this.hidesStaged) {
        if (this.behind) this.catchUp?.()
      } else {
        const frame = this.frameOf(pageId)
        if (frame >= 0) {
          this.view = this.chunks[frame >>> STAGING_CHUNK_SHIFT]
          this.base = (frame & CHUNK_MASK) << PAGE_SHIFT
          return
        }
      }
    }
    this.locateCommitted(pageId)
  }

  /** Finds the committed version of a page, whatever is staged. */
  locateCommitted(pageId: number): void {
    if (pageId >= this.capacityPages) this.failPageId(pageId)
    const index = pageId >>> this.segmentShift
    const view = this.segments[index] as MemoryView | undefined
    this.view = view === undefined ? this.memory.mapSegment(index) : view
    this.base = (pageId & this.segmentMask) << PAGE_SHIFT
  }

  /** Holds an extent against the hash in its entry, where reads are verified. */
  verifyExtent(_pageId: number, _byteLength: number, _hashLo: number, _hashHi: number): void {
    // Nothing is verified here.
  }

  /**
   * Points `view` and `base` at committed bytes that do not lie in one mapped segment: at a copy of them. Rare, as
   * mapped segments hold tens of megabytes.
   */
  gather(pageId: number, byteLength: number): void {
    const copy = new MemoryView(new ArrayBuffer(Math.ceil(byteLength / 8) * 8))
    for (let at = 0; at < byteLength;) {
      this.locateCommitted(pageId + at / PAGE_BYTES)
      const length = Math.min(byteLength - at, this.view.byteLength - this.base)
      this.view.u8.copy(copy.u8, at, this.base, this.base + length)
      at += length
    }
    this.view = copy
    this.base = 0
  }

  /** Makes a page writable: stages a copy at the first touch. Mark what is edited with `markDirty`. */
  stage(pageId: number): void {
    let frame = this.frameCount === 0 ? -1 : this.frameOf(pageId)
    if (frame < 0) {
      // A damaged tree may lead into the log, and what it finds there may look like a node.
      if (pageId < this.firstEditablePage && pageId !== PAGE_ROOT) this.failReserved(pageId)
      this.locateCommitted(pageId)
      const source = this.view
      const from = this.base
      const next = this.frameCount
      const holdsIt = this.committedEpochs[next] === this.committedEpoch && this.pageIds[next] === pageId
      frame = this.newFrame()
      this.enter(frame, pageId, 0)
      this.point(frame)
      // Puts one after the other stage the root of a tree in the same frame again and again ("durable put").
      if (holdsIt) return
      // One block copy; a word loop costs several times more, and a Buffer's subarray twice what this view costs.
      this.view.u8.set(new Uint8Array(source.buffer, from, PAGE_BYTES), this.base)
      return
    }
    if (this.listed[frame] === 0) this.list(frame)
    if (this.savepoints.depth !== 0) this.saveFrame(frame)
    this.point(frame)
  }

  /** Stages a page that did not exist before as zeros with its page id set. Only the allocator calls this. */
  stageFresh(pageId: number): void {
    let frame = this.frameCount === 0 ? -1 : this.frameOf(pageId)
    if (frame < 0) {
      frame = this.newFrame()
      this.enter(frame, pageId, FRAME_FRESH)
    } else {
      // A fresh page freed and allocated again by the same transaction.
      if (this.listed[frame] === 0) this.list(frame)
      if (this.savepoints.depth !== 0) this.saveFrame(frame)
      this.flags[frame] = FRAME_FRESH
    }
    this.point(frame)
    this.view.u8.fill(0, this.base, this.base + PAGE_BYTES)
    this.view.u32[(this.base + HEADER_OFFSET_PAGE_ID) >>> 2] = pageId
    this.dirtyLo[frame] = 0xffff_ffff
    this.dirtyHi[frame] = 0xffff_ffff
  }

  /** Remembers a value that was written to a new extent: a redo record must cover it, or a fence of its own. */
  noteExtent(pageId: number, byteLength: number): void {
    this.extentWords.push(pageId, byteLength)
  }

  /** Whether this transaction has written or dropped extents of its own. */
  get hasExtents(): boolean {
    return this.extentWords.length !== 0
  }

  /** Extents written by this transaction and not freed again: first page -> byte length. */
  writtenExtents(): Map<number, number> {
    const extents = new Map<number, number>()
    for (let i = 0; i < this.extentWords.length; i += 2) {
      if (this.extentWords[i + 1] === 0) extents.delete(this.extentWords[i])
      else extents.set(this.extentWords[i], this.extentWords[i + 1])
    }
    return extents
  }

  /** Forgets what was staged or written to a page or extent that the transaction frees: neither recorded nor stored. */
  dropFreed(pageId: number, pageCount: number): void {
    if (this.extentWords.length !== 0) this.extentWords.push(pageId, 0)
    if (pageCount !== 1) return
    const frame = this.frameCount === 0 ? -1 : this.frameOf(pageId)
    if (frame < 0) return
    if (this.savepoints.depth !== 0) this.saveFrame(frame)
    this.flags[frame] |= FRAME_FREED
  }

  /** Marks bytes [from, to) of a staged page (offsets within the page) as edited. Every store must be covered. */
  markDirty(frame: number, from: number, to: number): void {
    if (to <= from) return
    const first = from >>> 6
    const last = (to - 1) >>> 6
    if (first < 32) {
      const end = last < 31 ? last : 31
      this.dirtyLo[frame] |= (0xffff_ffff >>> (31 - end)) & (0xffff_ffff << first)
    }
    if (last >= 32) {
      const start = first > 32 ? first - 32 : 0
      this.dirtyHi[frame] |= (0xffff_ffff >>> (63 - last)) & (0xffff_ffff << start)
    }
  }

  /** The frame that stages a page, or -1. */
  frameOf(pageId: number): number {
    const table = this.table
    const mask = this.tableMask
    let index = Math.imul(pageId, 0x9e37_79b1) >>> 8
    for (;;) {
      index &= mask
      const entry = table[index]
      if (entry === 0) return -1
      if (this.pageIds[entry - 1] === pageId) return entry - 1
      index++
    }
  }

  /** Points `view`, `base` and `frame` at a frame. */
  point(frame: number): void {
    this.view = this.chunks[frame >>> STAGING_CHUNK_SHIFT]
    this.base = (frame & CHUNK_MASK) << PAGE_SHIFT
    this.frame = frame
  }

  /** A frame for private use (growth, recovery): staged nowhere, skipped by the commit. */
  scratchFrame(): number {
    const frame = this.newFrame()
    this.flags[frame] = FRAME_BACKUP
    this.pageIds[frame] = 0
    return frame
  }

  get savepointDepth(): number {
    return this.savepoints.depth
  }

  /** Sets a savepoint; `rollback` returns to it, `release` makes its edits part of what is around it. */
  setSavepoint(): void {
    // Copies of savepoints that have ended are overwritten from now on.
    if (this.savepoints.depth === 0) this.recordEpoch++
    this.savepoints.set(this.frameCount, this.extentWords.length)
  }

  /** Forgets everything staged since the last savepoint. */
  rollback(): void {
    const { savepoints } = this
    const level = savepoints.depth
    if (level === 0) throw new DaxkvError('INTERNAL', 'rollback without a savepoint')
    this.generation = (this.generation + 1) | 0
    const { words } = savepoints
    const first = savepoints.firstSaveAt(level) * SAVE_WORDS
    const end = savepoints.count * SAVE_WORDS
    for (let at = end - SAVE_WORDS; at >= first; at -= SAVE_WORDS) {
      const frame = words[at + SAVE_FRAME]
      const backup = words[at + SAVE_BACKUP]
      this.copyFrame(backup, frame)
      this.dirtyLo[frame] = words[at + SAVE_DIRTY_LO]
      this.dirtyHi[frame] = words[at + SAVE_DIRTY_HI]
      this.flags[frame] = words[at + SAVE_FLAGS]
      this.levels[frame] = words[at + SAVE_LEVEL]
      if (this.recordedCopies[frame] === backup + 1) this.recordedCopies[frame] = 0
    }
    this.dropFrames(savepoints.frameCountAt(level))
    // Backups in frames older than the savepoint came from the free list.
    for (let at = first; at < end; at += SAVE_WORDS) {
      if (words[at + SAVE_BACKUP] < this.frameCount) this.freeBackups.push(words[at + SAVE_BACKUP])
    }
    this.extentWords.length = savepoints.extentWordsAt(level)
    savepoints.end(0)
  }

  /** Merges the last savepoint into the one around it (or into the transaction). */
  release(): void {
    const { savepoints, levels } = this
    const level = savepoints.depth
    if (level === 0) throw new DaxkvError('INTERNAL', 'release without a savepoint')
    const outer = level - 1
    const outerFrames = outer === 0 ? 0 : savepoints.frameCountAt(outer)
    const { words } = savepoints
    const first = savepoints.firstSaveAt(level) * SAVE_WORDS
    const end = savepoints.count * SAVE_WORDS
    let kept = first
    for (let at = first; at < end; at += SAVE_WORDS) {
      const frame = words[at + SAVE_FRAME]
      // The outer savepoint needs this copy unless it made one of its own before.
      if (words[at + SAVE_LEVEL] < outer && frame < outerFrames) {
        levels[frame] = outer
        if (kept !== at) words.copyWithin(kept, at, at + SAVE_WORDS)
        kept += SAVE_WORDS
      } else {
        levels[frame] = words[at + SAVE_LEVEL]
        const backup = words[at + SAVE_BACKUP]
        // The next page saved under what is still open goes there. The copies of the outermost savepoint stay until the record.
        if (outer !== 0 && this.recordedCopies[frame] === backup + 1) this.recordedCopies[frame] = 0
        this.freeBackups.push(backup)
      }
    }
    // Frames made under the released savepoint now belong to the level around it; left as they were, a later
    // savepoint of the same depth would take them for saved.
    for (let frame = savepoints.frameCountAt(level); frame < this.frameCount; frame++) {
      if (levels[frame] > outer) levels[frame] = outer
    }
    savepoints.end((kept - first) / SAVE_WORDS)
  }

  /** Forgets all staging after a commit that has stored everything in its place. */
  committed(): void {
    const { stagedFrames, flags, committedEpochs } = this
    const epoch = this.committedEpoch + 1
    for (let i = 0; i < this.stagedCount; i++) {
      const frame = stagedFrames[i]
      if ((flags[frame] & (FRAME_BACKUP | FRAME_FREED)) === 0) committedEpochs[frame] = epoch
    }
    this.clear()
  }

  /** Forgets all staging. */
  clear(): void {
    this.committedEpoch++
    this.generation = (this.generation + 1) | 0
    this.savepoints.clear()
    // Making an array costs more than the rest of a small commit's clean-up.
    if (this.extentWords.length !== 0) this.extentWords = []
    const count = this.frameCount
    if (count > 256) {
      this.table.fill(0)
      this.unlist(0)
      this.frameCount = 0
      this.freeBackups = []
      // A large transaction must not pin its memory for ever, and what was given back holds nothing any more.
      this.committedEpoch++
      this.memory.trimStagingChunks(STAGING_KEEP_CHUNKS)
      const keptFrames = STAGING_KEEP_CHUNKS * STAGING_CHUNK_FRAMES
      if (this.frameBytes.length > keptFrames) this.frameBytes.length = keptFrames
      return
    }
    this.dropFrames(0)
  }

  /**
   * After a record of everything staged was written, which is not applied yet: the frames stay, and what is edited in them
   * from now on belongs to the next record. No savepoint may be open.
   */
  recorded(record: number): void {
    const { flags, dirtyLo, dirtyHi, stagedFrames } = this
    this.recordEpoch++
    for (let i = 0; i < this.stagedCount; i++) {
      const frame = stagedFrames[i]
      const flag = flags[frame]
      this.listed[frame] = 0
      if ((flag & FRAME_FRESH) !== 0) flags[frame] = (flag & ~FRAME_FRESH) | FRAME_LOGGED
      else if ((dirtyLo[frame] | dirtyHi[frame]) === 0) continue
      this.unappliedLo[frame] |= dirtyLo[frame]
      this.unappliedHi[frame] |= dirtyHi[frame]
      dirtyLo[frame] = 0
      dirtyHi[frame] = 0
      this.lastRecord[frame] = record
    }
    this.stagedCount = 0
    if (this.extentWords.length !== 0) this.extentWords = []
  }

  /**
   * A frame that shows a staged page as its last record did, which is not applied yet; -1 when there is none, as after
   * several savepoints that have edited the page since.
   */
  recordedCopy(frame: number): number {
    return this.recordEpochs[frame] === this.recordEpoch ? this.recordedCopies[frame] - 1 : -1
  }

  /** After the records up to this one have been applied to the pool: frames that only they have changed equal it. */
  applied(record: number): void {
    this.committedEpoch++
    for (let frame = 0; frame < this.frameCount; frame++) {
      if (this.lastRecord[frame] > record) continue
      this.unappliedLo[frame] = 0
      this.unappliedHi[frame] = 0
      this.flags[frame] &= ~FRAME_LOGGED
    }
  }

  /**
   * Drops the frames that equal the pool, and backups; the others move together. Views of staged pages are void afterwards. No
   * savepoint may be open.
   */
  sweep(): void {
    let kept = 0
    this.recordEpoch++
    this.unlist(0)
    for (let frame = 0; frame < this.frameCount; frame++) {
      const drop = (this.flags[frame] & (FRAME_BACKUP | FRAME_FREED)) !== 0
      const changed = this.dirtyLo[frame] | this.dirtyHi[frame] | this.unappliedLo[frame] | this.unappliedHi[frame]
      if (drop || changed === 0) continue
      if (kept !== frame) {
        this.copyFrame(frame, kept)
        this.pageIds[kept] = this.pageIds[frame]
        this.flags[kept] = this.flags[frame]
        this.dirtyLo[kept] = this.dirtyLo[frame]
        this.dirtyHi[kept] = this.dirtyHi[frame]
        this.unappliedLo[kept] = this.unappliedLo[frame]
        this.unappliedHi[kept] = this.unappliedHi[frame]
        this.lastRecord[kept] = this.lastRecord[frame]
        this.levels[kept] = 0
      }
      if ((this.dirtyLo[kept] | this.dirtyHi[kept]) !== 0) this.list(kept)
      kept++
    }
    this.frameCount = kept
    this.freeBackups = []
    this.table.fill(0)
    for (let frame = 0; frame < kept; frame++) this.tableInsert(this.pageIds[frame], frame)
  }

  /** Copies the bytes [from, to) of the committed page over every staged or saved copy of it. */
  refreshFromCommitted(pageId: number, from: number, to: number): void {
    this.committedEpoch++
    if (this.frameCount === 0) return
    this.locateCommitted(pageId)
    const { view, base } = this
    for (let frame = 0; frame < this.frameCount; frame++) {
      if (this.pageIds[frame] !== pageId) continue
      this.point(frame)
      this.view.u8.set(view.u8.subarray(base + from, base + to), this.base + from)
    }
  }

  private newFrame(): number {
    const frame = this.frameCount
    if (frame >= this.pageIds.length) this.growFrames()
    if (frame >>> STAGING_CHUNK_SHIFT >= this.chunks.length) {
      const actual = (frame + 1) * PAGE_BYTES
      if (actual > this.stagingLimitBytes) {
        throw new DaxkvError(
          'TX_TOO_LARGE',
          `transaction stages ${actual} bytes of pages, the limit is ${this.stagingLimitBytes}: ` +
            'commit smaller transactions or raise stagingLimitBytes',
          { limit: this.stagingLimitBytes, actual },
        )
      }
      this.memory.addStagingChunk()
    }
    this.frameCount = frame + 1
    this.dirtyLo[frame] = 0
    this.dirtyHi[frame] = 0
    this.unappliedLo[frame] = 0
    this.unappliedHi[frame] = 0
    this.lastRecord[frame] = 0
    this.levels[frame] = this.savepoints.depth
    this.committedEpochs[frame] = 0
    return frame
  }

  private enter(frame: number, pageId: number, flags: number): void {
    this.pageIds[frame] = pageId
    this.flags[frame] = flags
    this.list(frame)
    if (this.frameCount * 2 > this.table.length) this.growTable()
    this.tableInsert(pageId, frame)
  }

  private list(frame: number): void {
    this.listed[frame] = 1
    this.stagedFrames[this.stagedCount++] = frame
  }

  /** Takes the frames from `keep` on off the list. */
  private unlist(keep: number): void {
    const { stagedFrames, listed } = this
    let kept = 0
    for (let i = 0; i < this.stagedCount; i++) {
      const frame = stagedFrames[i]
      if (frame < keep) stagedFrames[kept++] = frame
      else listed[frame] = 0
    }
    this.stagedCount = kept
  }

  private tableInsert(pageId: number, frame: number): void {
    let index = Math.imul(pageId, 0x9e37_79b1) >>> 8
    for (;;) {
      index &= this.tableMask
      if (this.table[index] === 0) break
      index++
    }
    this.table[index] = frame + 1
  }

  private growTable(): void {
    this.table = new Int32Array(this.table.length * 4)
    this.tableMask = this.table.length - 1
    // The frame being entered is inserted by the caller.
    for (let frame = 0; frame < this.frameCount - 1; frame++) {
      if ((this.flags[frame] & FRAME_BACKUP) === 0) this.tableInsert(this.pageIds[frame], frame)
    }
  }

  private growFrames(): void {
    const length = this.pageIds.length * 2
    const grow = <T extends Uint32Array | Uint16Array | Uint8Array | Float64Array>(to: T, from: T): T => {
      to.set(from)
      return to
    }
    this.pageIds = grow(new Uint32Array(length), this.pageIds)
    this.dirtyLo = grow(new Uint32Array(length), this.dirtyLo)
    this.dirtyHi = grow(new Uint32Array(length), this.dirtyHi)
    this.flags = grow(new Uint8Array(length), this.flags)
    this.levels = grow(new Uint16Array(length), this.levels)
    this.unappliedLo = grow(new Uint32Array(length), this.unappliedLo)
    this.unappliedHi = grow(new Uint32Array(length), this.unappliedHi)
    this.lastRecord = grow(new Float64Array(length), this.lastRecord)
    this.recordedCopies = grow(new Uint32Array(length), this.recordedCopies)
    this.recordEpochs = grow(new Float64Array(length), this.recordEpochs)
    this.committedEpochs = grow(new Float64Array(length), this.committedEpochs)
    this.stagedFrames = grow(new Uint32Array(length), this.stagedFrames)
    this.listed = grow(new Uint8Array(length), this.listed)
  }

  /** Before the first edit of a frame under a savepoint: keep what it holds now. */
  private saveFrame(frame: number): void {
    const { savepoints } = this
    const level = savepoints.depth
    if (this.levels[frame] >= level) return
    const backup = this.freeBackups.pop() ?? this.newFrame()
    this.pageIds[backup] = this.pageIds[frame]
    this.flags[backup] = FRAME_BACKUP
    this.copyFrame(frame, backup)
    if ((this.dirtyLo[frame] | this.dirtyHi[frame]) === 0 && this.recordedCopy(frame) < 0) {
      this.recordedCopies[frame] = backup + 1
      this.recordEpochs[frame] = this.recordEpoch
    }
    savepoints.save(frame, backup, this.dirtyLo[frame], this.dirtyHi[frame], this.flags[frame], this.levels[frame])
    this.levels[frame] = level
  }

  private copyFrame(from: number, to: number): void {
    const target = this.chunks[to >>> STAGING_CHUNK_SHIFT]
    target.u8.set(this.frameBytes[from] ?? this.viewFrame(from), (to & CHUNK_MASK) << PAGE_SHIFT)
  }

  private viewFrame(frame: number): Uint8Array {
    // Without holes, which would make the array a slow one.
    for (let next = this.frameBytes.length; next <= frame; next++) {
      const { buffer } = this.chunks[next >>> STAGING_CHUNK_SHIFT]
      this.frameBytes.push(new Uint8Array(buffer, (next & CHUNK_MASK) << PAGE_SHIFT, PAGE_BYTES))
    }
    return this.frameBytes[frame]
  }

  private dropFrames(keep: number): void {
    // Newest first: removing entries in reverse order of insertion keeps linear probing chains whole.
    for (let frame = this.frameCount - 1; frame >= keep; frame--) this.tableRemoveLast(frame)
    if (this.stagedCount !== 0) this.unlist(keep)
    this.frameCount = keep
    if (this.freeBackups.length !== 0) this.freeBackups = this.freeBackups.filter((frame) => frame < keep)
  }

  /** Removes the entry of a frame; legal because all frames entered later are gone already (probing chains stay whole). */
  private tableRemoveLast(frame: number): void {
    if ((this.flags[frame] & FRAME_BACKUP) !== 0) return
    let index = Math.imul(this.pageIds[frame], 0x9e37_79b1) >>> 8
    for (;;) {
      index &= this.tableMask
      const entry = this.table[index]
      if (entry === frame + 1) break
      if (entry === 0) return
      index++
    }
    this.table[index] = 0
  }

  private failReserved(pageId: number): never {
    throw new DaxkvError('CORRUPT', `page ${pageId} belongs to the log or the anchors, not to a tree; run check()`, {
      offset: pageId * PAGE_BYTES,
      length: PAGE_BYTES,
    })
  }

  private failPageId(pageId: number): never {
    throw new DaxkvError('CORRUPT', `page ${pageId} lies outside the pool of ${this.capacityPages} pages`, {
      offset: pageId * PAGE_BYTES,
      length: PAGE_BYTES,
      limit: this.capacityPages,
      actual: pageId,
    })
  }
}

/** Chunks kept after a large transaction: 16 MiB of frames. */
const STAGING_KEEP_CHUNKS = 32

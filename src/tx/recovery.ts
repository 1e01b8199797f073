/**
 * The open procedure of the commit protocols: the same steps at every open, clean or not, in every granularity.
 * Each step is durable before the next one starts, and the step numbers are those of `docs/internals.md`.
 */
import { DaxkvError } from '../errors.js'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import { LINE_BYTES, LINES_PER_PAGE, RECORD_REDO, RECORD_SLOT, RECORD_UNDO } from '../pmem/program.js'
import { type Anchor, decodeAnchor, encodeAnchor } from '../pool/anchor.js'
import { ANCHOR_BYTES, PAGE_ANCHOR_A, PAGE_ANCHOR_B, PAGE_LOG_START } from '../pool/format.js'
import type { Geometry } from '../pool/geometry.js'
import { ProgramBuilder } from '../pool/program-builder.js'
import { eachLine, type LogRecord, pageBytes, peekRecord, postImageMatches, readRecord } from './log-record.js'
import { findRedoRecords, RECOVERY_BATCH_FRAMES, restoreRecords } from './redo-recovery.js'
import { findSlotRecords, restoreFreshLines } from './slot-recovery.js'

/** What the open procedure found and did. */
export interface Recovery {
  /**
   * `clean`: the pool had been closed. `nothing`: not closed, but no complete record of the last epoch.
   * `finished`: the last transaction was complete, its lines were made durable again. `rolled-back`: it was torn, its
   * pre-images were restored. `replayed`: the complete redo records since the last checkpoint were applied again.
   */
  readonly outcome: 'clean' | 'nothing' | 'finished' | 'rolled-back' | 'replayed'
  /** Transaction the (last) record belonged to, 0 without one. */
  readonly txid: number
  /** Lines stored again. */
  readonly lines: number
}

/** Both anchor copies as found; index 0 is page 2. */
export function readAnchors(memory: PersistentMemory): (Anchor | undefined)[] {
  return [PAGE_ANCHOR_A, PAGE_ANCHOR_B].map((page) => {
    const { view, base } = pageBytes(memory, page)
    return decodeAnchor(Buffer.from(view.u8.subarray(base, base + ANCHOR_BYTES)))
  })
}

/** The copy that counts, or undefined when neither is valid. */
export function newestAnchor(anchors: (Anchor | undefined)[]): Anchor | undefined {
  const [a, b] = anchors
  if (a === undefined) return b
  if (b === undefined) return a
  return a.seq >= b.seq ? a : b
}

/**
 * Runs steps 1 to 5 of the open procedure and returns the anchor they were based on. `checkFault` throws when the mapping
 * has faulted: an unreadable log page reads as zeros, and must not be taken for a log without records.
 */
export function recover(
  memory: PersistentMemory,
  geometry: Geometry,
  path: string,
  checkFault: () => void,
): { anchor: Anchor; recovery: Recovery } {
  const anchors = readAnchors(memory)
  const anchor = newestAnchor(anchors)
  checkFault()
  if (anchor === undefined) {
    throw new DaxkvError('CORRUPT', `${path}: both anchor pages fail their checksum; restore the pool from a backup`, {
      path,
      offset: PAGE_ANCHOR_A * 4096,
      length: 2 * 4096,
    })
  }

  // 1. The copy we decided by may be only in the CPU's or the page cache: made durable before anything depends on it.
  //    An invalid copy is never touched: a crash while rewriting it could not make things better.
  const builder = new ProgramBuilder(memory)
  anchors.forEach((copy, i) => {
    if (copy === undefined) return
    const page = i === 0 ? PAGE_ANCHOR_A : PAGE_ANCHOR_B
    const { view, base } = pageBytes(memory, page)
    const { frame, bytes } = builder.frame()
    view.u8.copy(bytes, 0, base, base + ANCHOR_BYTES)
    builder.store(page, frame, 3, 0)
  })
  builder.fence().run()

  // 2. Records of the current epoch: whichever way the pool was used last, all three kinds are looked for. An epoch has
  //    records of one kind, apart from the undo record of a transaction that was too large for the ring.
  const log = { page: PAGE_LOG_START, pages: geometry.logPages }
  const record = readRecord(memory, geometry, anchor, log)
  const isRedo = record?.kind === RECORD_REDO || record?.kind === RECORD_SLOT
  const isUndo = record !== undefined && record.txid > anchor.txid && !isRedo
  let redo: readonly LogRecord[] = isUndo ? [] : findRedoRecords(memory, geometry, anchor)
  if (!isUndo && redo.length === 0) {
    const slots = findSlotRecords(memory, geometry, anchor)
    if (slots.unknown !== undefined) refuseKind(slots.unknown, path)
    redo = slots.records
  }
  checkFault()
  if (anchors.includes(undefined)) {
    const last = redo.length > 0 ? redo[redo.length - 1].txid : isUndo ? record.txid : anchor.txid
    refuseRottenAnchor(memory, geometry, anchor, last, path)
  }
  let recovery = nothingFound(anchor)
  // 3. Redo. 4. Undo.
  if (redo.length > 0) {
    // Durable before the first line is replayed: else a crash could leave half of it and no record.
    restoreFreshLines(builder, memory, redo[redo.length - 1])
    restoreRecords(builder, redo)
    recovery = replay(builder, redo)
  } else if (isUndo) {
    recovery = resolve(memory, builder, record, anchor, path)
  }

  // What was compared with the record may have been zeros, too; the epoch must not move on then.
  checkFault()
  // 5. Everything durable before the anchor makes the record dead (rule "rollback fenced before the epoch bump").
  builder.syncAll().run()
  return { anchor, recovery }
}

/**
 * With one anchor copy invalid, tells a torn write of it (legal, nothing depended on it yet) from rot of the newer copy,
 * which would make the store forget everything since: the log then holds records that the older copy does not know of.
 * A torn last record bears the id after the last found; a header beyond that proves an anchor that has been lost.
 */
export function refuseRottenAnchor(
  memory: PersistentMemory,
  geometry: Geometry,
  anchor: Anchor,
  lastTxid: number,
  path: string,
): void {
  for (let page = PAGE_LOG_START; page < PAGE_LOG_START + geometry.logPages; page++) {
    const header = peekRecord(memory, page)
    if (header === undefined) continue
    // Under undo the anchor stays as it was at open and the slot keeps one record: a torn one may be of any transaction.
    const known = header.kind === RECORD_UNDO || header.txid <= lastTxid + 1
    if (header.epoch < anchor.epoch || (header.epoch === anchor.epoch && known)) continue
    throw new DaxkvError(
      'CORRUPT',
      `${path}: one anchor page fails its checksum, and the log knows of transaction ${header.txid} of epoch ${header.epoch}, ` +
        `which the other one (epoch ${anchor.epoch}, transaction ${lastTxid}) does not lead to: restore the pool from a backup`,
      { path, offset: PAGE_ANCHOR_A * 4096, length: 2 * 4096 },
    )
  }
}

function nothingFound(anchor: Anchor): Recovery {
  return { outcome: anchor.clean ? 'clean' : 'nothing', txid: 0, lines: 0 }
}

function refuseKind({ kind }: LogRecord, path: string): never {
  throw new DaxkvError('UNSUPPORTED_FORMAT', `${path}: log record of unknown kind ${kind}: upgrade daxkv`, { path })
}

function resolve(
  memory: PersistentMemory,
  builder: ProgramBuilder,
  record: LogRecord,
  anchor: Anchor,
  path: string,
): Recovery {
  if (record.kind !== RECORD_UNDO) refuseKind(record, path)
  const finished = postImageMatches(memory, record, anchor)
  // Finished: every line is stored again with its own bytes, because the cache may know more than the medium. A kill
  // between store and flush leaves that, and so does a failed msync, after which the kernel calls the pages clean.
  storeLines(builder, record, finished ? memory : undefined)
  return { outcome: finished ? 'finished' : 'rolled-back', txid: record.txid, lines: record.lineCount }
}

/** Applies records in their order. */
function replay(builder: ProgramBuilder, records: readonly LogRecord[]): Recovery {
  let lines = 0
  let txid = 0
  for (const record of records) {
    storeLines(builder, record)
    lines += record.lineCount
    txid = record.txid
  }
  return { outcome: 'replayed', txid, lines }
}

/**
 * Stores and flushes every line of a record, equal or not, because an equal line may be equal in the cache only: with
 * the record's bytes, or (`source`) with those the pool has.
 */
function storeLines(builder: ProgramBuilder, record: LogRecord, source?: PersistentMemory): void {
  let current: { frame: number; bytes: Buffer } | undefined
  let pageOfFrame = -1
  let maskLo = 0
  let maskHi = 0
  const finishPage = (): void => {
    if (current !== undefined) builder.store(pageOfFrame, current.frame, maskLo, maskHi)
    current = undefined
    maskLo = 0
    maskHi = 0
    if (builder.frameCount >= RECOVERY_BATCH_FRAMES) builder.run()
  }
  eachLine(record, (pageId, line, index) => {
    if (pageId !== pageOfFrame) {
      finishPage()
      pageOfFrame = pageId
    }
    current ??= builder.frame()
    const at = line * LINE_BYTES
    if (source !== undefined) {
      const { view, base } = pageBytes(source, pageId)
      view.u8.copy(current.bytes, at, base + at, base + at + LINE_BYTES)
    } else {
      record.bodies.copy(current.bytes, at, index * LINE_BYTES, (index + 1) * LINE_BYTES)
    }
    if (line < LINES_PER_PAGE / 2) maskLo |= 1 << line
    else maskHi |= 1 << (line - 32)
  })
  finishPage()
}

/** Page of the anchor copy that does not hold `current`: the one that is written next. */
export function otherAnchorPage(memory: PersistentMemory, current: Anchor): number {
  return readAnchors(memory)[0]?.seq === current.seq ? PAGE_ANCHOR_B : PAGE_ANCHOR_A
}

/**
 * Step 6: writes the copy that does not hold `current`, with the next epoch and a new salt, and makes it durable. From
 * then on every older record is dead. A crash before leaves the old anchor, whose recovery would do the same again.
 */
export function writeNextAnchor(
  memory: PersistentMemory,
  current: Anchor,
  next: { txid: number; clean: boolean; unsafeShutdowns: number; bootId: string; ringLine: number },
  random: (words: Uint32Array) => void,
): Anchor {
  const page = otherAnchorPage(memory, current)
  const salt = new Uint32Array(2)
  random(salt)
  const anchor: Anchor = { ...next, seq: current.seq + 1, epoch: current.epoch + 1, saltLo: salt[0], saltHi: salt[1] }
  const builder = new ProgramBuilder(memory)
  const { frame, bytes } = builder.frame()
  encodeAnchor(bytes, anchor)
  builder.store(page, frame, 3, 0).fence().run()
  return anchor
}

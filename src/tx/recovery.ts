/**
 * The open procedure of the commit protocols: the same steps at every open, clean or not, in every granularity.
 * Each step is durable before the next one starts, and the step numbers are those of `docs/internals.md`.
 */
import { DaxkvError } from '../errors.js'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import { LINE_BYTES, LINES_PER_PAGE, RECORD_UNDO } from '../pmem/program.js'
import { type Anchor, decodeAnchor, encodeAnchor } from '../pool/anchor.js'
import { ANCHOR_BYTES, PAGE_ANCHOR_A, PAGE_ANCHOR_B } from '../pool/format.js'
import type { Geometry } from '../pool/geometry.js'
import { ProgramBuilder } from '../pool/program-builder.js'
import { eachLine, type LogRecord, pageBytes, postImageMatches, readRecord } from './log-record.js'

/** What the open procedure found and did. */
export interface Recovery {
  /**
   * `clean`: the pool had been closed. `nothing`: not closed, but no complete record of the last epoch.
   * `finished`: the last transaction was complete, its lines were made durable again. `rolled-back`: it was torn, its
   * pre-images were restored.
   */
  readonly outcome: 'clean' | 'nothing' | 'finished' | 'rolled-back'
  /** Transaction the record belonged to, 0 without one. */
  readonly txid: number
  /** Lines stored again. */
  readonly lines: number
}

/** Frames a recovery fills before it runs its program. */
const RECOVERY_BATCH_FRAMES = 128

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

/** Runs steps 1 to 5 of the open procedure and returns the anchor they were based on. */
export function recover(
  memory: PersistentMemory,
  geometry: Geometry,
  path: string,
): { anchor: Anchor; recovery: Recovery } {
  const anchors = readAnchors(memory)
  const anchor = newestAnchor(anchors)
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

  // 2. Records of the current epoch. 4. Undo.
  const record = readRecord(memory, geometry, anchor)
  const recovery = record === undefined ? nothingFound(anchor) : resolve(memory, builder, record, anchor, path)

  // 5. Everything durable before the anchor makes the record dead (rule "rollback fenced before the epoch bump").
  builder.syncAll().run()
  return { anchor, recovery }
}

function nothingFound(anchor: Anchor): Recovery {
  return { outcome: anchor.clean ? 'clean' : 'nothing', txid: 0, lines: 0 }
}

function resolve(
  memory: PersistentMemory,
  builder: ProgramBuilder,
  record: LogRecord,
  anchor: Anchor,
  path: string,
): Recovery {
  if (record.kind !== RECORD_UNDO) {
    throw new DaxkvError('UNSUPPORTED_FORMAT', `${path}: log record of unknown kind ${record.kind}: upgrade daxkv`, { path })
  }
  const finished = postImageMatches(memory, record, anchor)
  // Finished: every line is stored again with its own bytes, because the cache may know more than the medium. A kill
  // between store and flush leaves that, and so does a failed msync, after which the kernel calls the pages clean.
  // Torn: every pre-image is stored, equal or not, because an equal line may be equal in the cache only.
  let frame: { frame: number; bytes: Buffer } | undefined
  let pageOfFrame = -1
  let maskLo = 0
  let maskHi = 0
  const finishPage = (): void => {
    if (frame !== undefined) builder.store(pageOfFrame, frame.frame, maskLo, maskHi)
    frame = undefined
    maskLo = 0
    maskHi = 0
    if (builder.frameCount >= RECOVERY_BATCH_FRAMES) builder.run()
  }
  eachLine(record, (pageId, line, index) => {
    if (pageId !== pageOfFrame) {
      finishPage()
      pageOfFrame = pageId
    }
    frame ??= builder.frame()
    const at = line * LINE_BYTES
    if (finished) {
      const { view, base } = pageBytes(memory, pageId)
      view.u8.copy(frame.bytes, at, base + at, base + at + LINE_BYTES)
    } else {
      record.bodies.copy(frame.bytes, at, index * LINE_BYTES, (index + 1) * LINE_BYTES)
    }
    if (line < LINES_PER_PAGE / 2) maskLo |= 1 << line
    else maskHi |= 1 << (line - 32)
  })
  finishPage()
  return { outcome: finished ? 'finished' : 'rolled-back', txid: record.txid, lines: record.lineCount }
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
  const anchors = readAnchors(memory)
  const page = anchors[0]?.seq === current.seq ? PAGE_ANCHOR_B : PAGE_ANCHOR_A
  const salt = new Uint32Array(2)
  random(salt)
  const anchor: Anchor = { ...next, seq: current.seq + 1, epoch: current.epoch + 1, saltLo: salt[0], saltHi: salt[1] }
  const builder = new ProgramBuilder(memory)
  const { frame, bytes } = builder.frame()
  encodeAnchor(bytes, anchor)
  builder.store(page, frame, 3, 0).fence().run()
  return anchor
}

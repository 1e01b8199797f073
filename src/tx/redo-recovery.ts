/** Finding redo records in the ring, and making redo records of both kinds durable before they are replayed. */
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import { LINE_BYTES, LINES_PER_PAGE, RECORD_OFFSET_EXTENT_COUNT, RECORD_REDO } from '../pmem/program.js'
import type { Anchor } from '../pool/anchor.js'
import { PAGE_LOG_START } from '../pool/format.js'
import type { Geometry } from '../pool/geometry.js'
import type { ProgramBuilder } from '../pool/program-builder.js'
import { type LogRecord, peekRecord, readRecord } from './log-record.js'

/** Frames a recovery fills before it runs its program. */
export const RECOVERY_BATCH_FRAMES = 128

/**
 * The complete records since the checkpoint, ascending. The search starts where the anchor says and expects each record on
 * the line after the one before (no barrier came in between), or at the start of the page after it, or once, from the end of
 * the ring, at its start. What an older record has left there has another id. The search stops at the first that is not there
 * or not whole: that one was never acknowledged, so none behind it was either.
 *
 * Headers are looked at in each of these places, and whole records read only where a header names the expected one: besides
 * the records found at most three that are not whole, so four ring lengths in all, whatever the log says.
 */
export function findRedoRecords(memory: PersistentMemory, geometry: Geometry, anchor: Anchor): LogRecord[] {
  const records: LogRecord[] = []
  const tail = Math.floor(anchor.ringLine / LINES_PER_PAGE)
  let at = tail * LINES_PER_PAGE
  let endPage = geometry.logPages
  let wrapped = false
  let torn = 0
  while (torn < 3) {
    const record = next(at)
    if (record !== undefined) {
      records.push(record)
      at += record.bytes.length / LINE_BYTES
    } else if (at % LINES_PER_PAGE !== 0) {
      at = Math.ceil(at / LINES_PER_PAGE) * LINES_PER_PAGE
    } else if (wrapped) {
      return records
    } else {
      wrapped = true
      at = 0
      endPage = Math.min(tail, geometry.logPages)
    }
  }
  return records

  function next(line: number): LogRecord | undefined {
    const page = Math.floor(line / LINES_PER_PAGE)
    if (page >= endPage) return undefined
    const room = { page: PAGE_LOG_START + page, pages: endPage - page }
    const header = peekRecord(memory, room.page, line % LINES_PER_PAGE)
    if (header?.kind !== RECORD_REDO || header.txid !== anchor.txid + records.length + 1) return undefined
    const record = readRecord(memory, geometry, anchor, room, line % LINES_PER_PAGE)
    if (record === undefined) torn++
    // Redo records have no extents; their bytes are restored to one run of pages.
    return record?.bytes.readUInt32LE(RECORD_OFFSET_EXTENT_COUNT) === 0 ? record : undefined
  }
}

/**
 * Stores the records' own bytes over themselves and makes them durable. They may be in the cache only: after a kill, or
 * after a failed msync, which leaves pages clean that never reached the disk.
 */
export function restoreRecords(builder: ProgramBuilder, records: readonly LogRecord[]): void {
  for (const { logPage, firstLine, logPages, extents, bytes } of records) {
    let page = logPage
    let endPage = logPage + logPages
    let nextExtent = 0
    let line = firstLine
    for (let offset = 0; offset < bytes.length; page++, line = 0) {
      if (page === endPage) {
        page = extents[nextExtent].page
        endPage = page + extents[nextExtent].pages
        nextExtent++
      }
      const { frame, bytes: target } = builder.frame()
      const length = bytes.copy(target, line * LINE_BYTES, offset)
      const end = line + length / LINE_BYTES
      builder.store(page, frame, linesBelow(end) & ~linesBelow(line), linesBelow(end - 32) & ~linesBelow(line - 32))
      offset += length
      if (builder.frameCount >= RECOVERY_BATCH_FRAMES) builder.run()
    }
  }
  builder.fence().run()
}

/** Mask of the lines before one, of the 32 that a word of a mask stands for. */
function linesBelow(line: number): number {
  if (line <= 0) return 0
  return line >= 32 ? 0xffff_ffff : 2 ** line - 1
}

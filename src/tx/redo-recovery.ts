/** Finding redo records in the ring, and making them durable before they are replayed. */
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import { LINE_BYTES, LINES_PER_PAGE, PAGE_BYTES, RECORD_OFFSET_EXTENT_COUNT, RECORD_REDO } from '../pmem/program.js'
import type { Anchor } from '../pool/anchor.js'
import { PAGE_LOG_START } from '../pool/format.js'
import type { Geometry } from '../pool/geometry.js'
import type { ProgramBuilder } from '../pool/program-builder.js'
import { type LogRecord, readRecord } from './log-record.js'

/** Frames a recovery fills before it runs its program. */
export const RECOVERY_BATCH_FRAMES = 128

/**
 * The complete records since the checkpoint, ascending. The search starts where the anchor says and expects each record on
 * the page after the one before, or once, from the end of the ring, at its start. It stops at the first that is not there
 * or not whole: that one was never acknowledged, so none behind it was either. At most one ring length is read.
 */
export function findRedoRecords(memory: PersistentMemory, geometry: Geometry, anchor: Anchor): LogRecord[] {
  const records: LogRecord[] = []
  const tail = Math.floor(anchor.ringLine / LINES_PER_PAGE)
  let at = tail
  let end = geometry.logPages
  let wrapped = false
  for (;;) {
    const record = at < end ? next(at, end) : undefined
    if (record !== undefined) {
      records.push(record)
      at += Math.ceil(record.bytes.length / PAGE_BYTES)
    } else if (wrapped) {
      return records
    } else {
      wrapped = true
      at = 0
      end = Math.min(tail, geometry.logPages)
    }
  }

  function next(page: number, endPage: number): LogRecord | undefined {
    const room = { page: PAGE_LOG_START + page, pages: endPage - page }
    const record = readRecord(memory, geometry, anchor, room)
    const expected = anchor.txid + records.length + 1
    if (record?.kind !== RECORD_REDO || record.txid !== expected) return undefined
    // Redo records have no extents; their bytes are restored to one run of pages.
    return record.bytes.readUInt32LE(RECORD_OFFSET_EXTENT_COUNT) === 0 ? record : undefined
  }
}

/**
 * Stores the records' own bytes over themselves and makes them durable. They may be in the cache only: after a kill, or
 * after a failed msync, which leaves pages clean that never reached the disk.
 */
export function restoreRecords(builder: ProgramBuilder, records: readonly LogRecord[]): void {
  for (const { logPage, bytes } of records) {
    for (let offset = 0; offset < bytes.length; offset += PAGE_BYTES) {
      const piece = bytes.subarray(offset, offset + PAGE_BYTES)
      const lines = piece.length / LINE_BYTES
      const { frame, bytes: target } = builder.frame()
      piece.copy(target)
      const maskLo = lines >= 32 ? 0xffff_ffff : 2 ** lines - 1
      const maskHi = lines <= 32 ? 0 : 2 ** (lines - 32) - 1
      builder.store(logPage + offset / PAGE_BYTES, frame, maskLo, maskHi)
      if (builder.frameCount >= RECOVERY_BATCH_FRAMES) builder.run()
    }
  }
  builder.fence().run()
}

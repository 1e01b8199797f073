/** The two slots of protocol B: where they lie, which of their records count, and what of them is not in the log. */
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import { LINE_BYTES, LINES_PER_PAGE, RECORD_REDO, RECORD_SLOT, RECORD_UNDO } from '../pmem/program.js'
import type { Run } from '../pool/allocator.js'
import type { Anchor } from '../pool/anchor.js'
import { PAGE_LOG_START } from '../pool/format.js'
import type { Geometry } from '../pool/geometry.js'
import type { ProgramBuilder } from '../pool/program-builder.js'
import { eachLine, freshLinesMatch, type LogRecord, pageBytes, readRecord } from './log-record.js'
import { RECOVERY_BATCH_FRAMES } from './redo-recovery.js'

/** Pages of a log that can be divided. */
export const MIN_SLOT_LOG_PAGES = 2

/**
 * The half of the log that holds the record of a transaction: by turns, so that the record before stays whole until this one is
 * durable.
 */
export function slotOf(txid: number, logPages: number): Run {
  const pages = Math.floor(logPages / 2)
  return { page: PAGE_LOG_START + (txid % 2) * pages, pages }
}

/** What the slots hold for recovery. */
export interface SlotRecords {
  /** The records that count, ascending: none, one, or two that follow each other. */
  readonly records: readonly LogRecord[]
  /** A complete record of this epoch whose kind nobody knows. */
  readonly unknown: LogRecord | undefined
}

/**
 * The newest record N counts if it is whole and its fresh lines stand in their places. The one before it counts if it is
 * N - 1: its lines in place are durable only since the fence of N, which a crash may have come before.
 *
 * Only the newest is asked for its fresh lines. Those of N - 1 were durable before N was begun, and N may have changed them
 * since, legitimately. If N fails, N - 1 is the newest that was acknowledged, and no line of N was stored in place.
 *
 * A record that is whole and not N - 1 is one that the memory has kept instead of a later one: replaying it could only do harm.
 */
export function findSlotRecords(memory: PersistentMemory, geometry: Geometry, anchor: Anchor): SlotRecords {
  let unknown: LogRecord | undefined
  const found: LogRecord[] = []
  if (geometry.logPages < MIN_SLOT_LOG_PAGES) return { records: found, unknown }
  for (const parity of [0, 1]) {
    const record = readRecord(memory, geometry, anchor, slotOf(parity, geometry.logPages))
    if (record === undefined || record.txid <= anchor.txid) continue
    if (record.kind === RECORD_SLOT && record.txid % 2 === parity) found.push(record)
    if (record.kind !== RECORD_SLOT && record.kind !== RECORD_UNDO && record.kind !== RECORD_REDO) unknown = record
  }
  found.sort((left, right) => left.txid - right.txid)
  if (found.length === 2 && found[1].txid !== found[0].txid + 1) found.shift()
  if (found.length > 0 && !freshLinesMatch(memory, found[found.length - 1], anchor)) found.pop()
  return { records: found, unknown }
}

/**
 * Stores the fresh lines of a record over themselves, as the record itself is: they may be in the cache only. The newest
 * record's; those of the one before are durable since its own fence. The caller makes them durable.
 */
export function restoreFreshLines(builder: ProgramBuilder, memory: PersistentMemory, record: LogRecord): void {
  let current: { frame: number; bytes: Buffer } | undefined
  let page = -1
  let masks: [number, number] = [0, 0]
  const finishPage = (): void => {
    if (current !== undefined) builder.store(page, current.frame, ...masks)
    current = undefined
    masks = [0, 0]
    if (builder.frameCount >= RECOVERY_BATCH_FRAMES) builder.run()
  }
  eachLine(
    record,
    (pageId, line) => {
      if (pageId !== page) finishPage()
      page = pageId
      current ??= builder.frame()
      const { view, base } = pageBytes(memory, pageId)
      view.u8.copy(current.bytes, line * LINE_BYTES, base + line * LINE_BYTES, base + (line + 1) * LINE_BYTES)
      masks[line < LINES_PER_PAGE / 2 ? 0 : 1] |= 1 << (line & 31)
    },
    true,
  )
  finishPage()
}

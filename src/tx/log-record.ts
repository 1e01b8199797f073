/**
 * Reading log records. Nothing a record says is believed before its whole hash, seeded with the epoch's salt, has
 * matched; until then every number in it is only checked against bounds (protocol "Common to all").
 */
import type { MemoryView } from '../pmem/memory-view.js'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import {
  DIRECTORY_UNLOGGED,
  LINE_BYTES,
  LINES_PER_PAGE,
  PAGE_BYTES,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  RECORD_OFFSET_EPOCH,
  RECORD_OFFSET_EXTENT_COUNT,
  RECORD_OFFSET_FRESH_HASH,
  RECORD_OFFSET_HASH,
  RECORD_OFFSET_KIND,
  RECORD_OFFSET_LINE_COUNT,
  RECORD_OFFSET_MAGIC,
  RECORD_OFFSET_PAGE_COUNT,
  RECORD_OFFSET_POST_HASH,
  RECORD_OFFSET_TOTAL_LINES,
  RECORD_OFFSET_TXID,
  RECORD_SLOT,
  recordLines,
} from '../pmem/program.js'
import { xxh64 } from '../pmem/xxh64.js'
import { popcount, type Run } from '../pool/allocator.js'
import { type Anchor, MAX_COUNTER } from '../pool/anchor.js'
import { PAGE_LOG_START, PAGE_ROOT, PAGE_VOLATILE } from '../pool/format.js'
import type { Geometry } from '../pool/geometry.js'

/** Most extents a record may continue in: header and extent table lie in the first page of the slot. */
export const MAX_RECORD_EXTENTS = 256

/** A complete record: its hash has matched. */
export interface LogRecord {
  readonly kind: number
  /** Page of the log it begins on, and the line of that page. */
  readonly logPage: number
  readonly firstLine: number
  /** Pages of the log it may fill, and the extents it goes on in. */
  readonly logPages: number
  readonly extents: readonly Run[]
  readonly txid: number
  readonly pageCount: number
  readonly lineCount: number
  readonly postHashLo: number
  readonly postHashHi: number
  readonly freshHashLo: number
  readonly freshHashHi: number
  /** Directory, four words an entry: page id, maskLo, maskHi, and 0 or (slot records only) DIRECTORY_UNLOGGED. */
  readonly directory: Uint32Array
  /** Line bodies in directory order. */
  readonly bodies: Buffer
  /** The whole record as it lies in the log. */
  readonly bytes: Buffer
}

/** Copies bytes of the pool, from a line of a page on, across as many mapped segments as they lie in. */
export function copyPages(
  memory: PersistentMemory,
  pageId: number,
  target: Buffer,
  start: number,
  end: number,
  firstLine = 0,
): void {
  let page = pageId
  let within = firstLine * LINE_BYTES
  for (let at = start; at < end;) {
    const { view, base } = pageBytes(memory, page)
    const length = Math.min(end - at, view.byteLength - base - within)
    view.u8.copy(target, at, base + within, base + within + length)
    at += length
    page += (within + length) / PAGE_BYTES
    within = 0
  }
}

/** Byte offset of a pool page in its segment view. */
export function pageBytes(memory: PersistentMemory, pageId: number): { view: MemoryView; base: number } {
  const index = pageId >>> memory.segmentShift
  const view = (memory.segments[index] as MemoryView | undefined) ?? memory.mapSegment(index)
  return { view, base: (pageId & ((1 << memory.segmentShift) - 1)) * PAGE_BYTES }
}

/**
 * Reads the record at the start of some pages of the log, or on a later line of the first of them, if it is a complete one of
 * the anchor's epoch. Only one that begins on the first line may have extents.
 * Bounded by the file: at most the bytes of these pages and of extents that exist are read, each once.
 */
export function readRecord(
  memory: PersistentMemory,
  geometry: Geometry,
  anchor: Anchor,
  log: Run,
  firstLine = 0,
): LogRecord | undefined {
  const slot = pageBytes(memory, log.page)
  // The header and the extent table lie in the first page.
  const head = slot.view.u8.subarray(slot.base + firstLine * LINE_BYTES, slot.base + PAGE_BYTES)
  if (head.readUInt32LE(RECORD_OFFSET_MAGIC) !== RECORD_MAGIC) return undefined
  if (readU64(head, RECORD_OFFSET_EPOCH) !== anchor.epoch) return undefined
  const txid = readU64(head, RECORD_OFFSET_TXID)
  // As with the anchor: nobody has written such a number, and the next one could not be.
  if (txid >= MAX_COUNTER) return undefined
  const pageCount = head.readUInt32LE(RECORD_OFFSET_PAGE_COUNT)
  const lineCount = head.readUInt32LE(RECORD_OFFSET_LINE_COUNT)
  const extentCount = head.readUInt32LE(RECORD_OFFSET_EXTENT_COUNT)
  const totalLines = head.readUInt32LE(RECORD_OFFSET_TOTAL_LINES)
  const kind = head.readUInt32LE(RECORD_OFFSET_KIND)
  if (extentCount > (firstLine === 0 ? MAX_RECORD_EXTENTS : 0) || pageCount === 0) return undefined
  // Of the pages of a slot record all but one may be without a body.
  if (lineCount < (kind === RECORD_SLOT ? 1 : pageCount) || lineCount > pageCount * LINES_PER_PAGE) return undefined
  if (totalLines !== recordLines(extentCount, pageCount, lineCount)) return undefined
  const extents = readExtents(memory, geometry, head, extentCount)
  const stream = extents && gather(memory, log, firstLine, extents, totalLines * LINE_BYTES)
  if (extents === undefined || stream === undefined) return undefined

  const hashLo = stream.readUInt32LE(RECORD_OFFSET_HASH)
  const hashHi = stream.readUInt32LE(RECORD_OFFSET_HASH + 4)
  stream.fill(0, RECORD_OFFSET_HASH, RECORD_OFFSET_HASH + 8)
  const hash = new Uint32Array(2)
  xxh64(stream, anchor.saltLo, anchor.saltHi, hash)
  if (hash[0] !== hashLo || hash[1] !== hashHi) return undefined
  stream.writeUInt32LE(hashLo, RECORD_OFFSET_HASH)
  stream.writeUInt32LE(hashHi, RECORD_OFFSET_HASH + 4)

  const directoryOffset = RECORD_HEADER_BYTES + Math.ceil((extentCount * 8) / LINE_BYTES) * LINE_BYTES
  const directory = new Uint32Array(pageCount * 4)
  let lines = 0
  for (let i = 0; i < pageCount * 4; i++) directory[i] = stream.readUInt32LE(directoryOffset + i * 4)
  const seen = new Set<number>()
  const filePages = memory.sizeBytes / PAGE_BYTES
  for (let i = 0; i < pageCount; i++) {
    const pageId = directory[i * 4]
    if (kind !== RECORD_SLOT) directory[i * 4 + 3] = 0
    if (!isUnlogged(directory, i)) lines += popcount(directory[i * 4 + 1]) + popcount(directory[i * 4 + 2])
    // Volatile words, identity, anchors and the log itself are never covered by a record.
    if (pageId < PAGE_ROOT || pageId === PAGE_VOLATILE || pageId >= filePages || seen.has(pageId)) return undefined
    if (pageId >= PAGE_LOG_START && pageId < geometry.firstBitmapPage) return undefined
    seen.add(pageId)
  }
  if (lines !== lineCount) return undefined
  return {
    kind,
    logPage: log.page,
    firstLine,
    logPages: log.pages,
    extents,
    txid,
    pageCount,
    lineCount,
    postHashLo: stream.readUInt32LE(RECORD_OFFSET_POST_HASH),
    postHashHi: stream.readUInt32LE(RECORD_OFFSET_POST_HASH + 4),
    freshHashLo: stream.readUInt32LE(RECORD_OFFSET_FRESH_HASH),
    freshHashHi: stream.readUInt32LE(RECORD_OFFSET_FRESH_HASH + 4),
    directory,
    bodies: stream.subarray((totalLines - lineCount) * LINE_BYTES),
    bytes: stream,
  }
}

/** What the header on a line of a page claims, unproved; undefined where there is none. */
export function peekRecord(
  memory: PersistentMemory,
  pageId: number,
  line = 0,
): { kind: number; epoch: number; txid: number } | undefined {
  const { view, base } = pageBytes(memory, pageId)
  const at = base + line * LINE_BYTES
  const head = view.u8.subarray(at, at + RECORD_HEADER_BYTES)
  if (head.readUInt32LE(RECORD_OFFSET_MAGIC) !== RECORD_MAGIC) return undefined
  return {
    kind: head.readUInt32LE(RECORD_OFFSET_KIND),
    epoch: readU64(head, RECORD_OFFSET_EPOCH),
    txid: readU64(head, RECORD_OFFSET_TXID),
  }
}

/** The extent table behind a header; undefined when it cannot be one. */
function readExtents(
  memory: PersistentMemory,
  geometry: Geometry,
  head: Buffer,
  extentCount: number,
): readonly Run[] | undefined {
  const filePages = memory.sizeBytes / PAGE_BYTES
  const extents: Run[] = []
  for (let i = 0; i < extentCount; i++) {
    const page = head.readUInt32LE(RECORD_HEADER_BYTES + i * 8)
    const pages = head.readUInt32LE(RECORD_HEADER_BYTES + i * 8 + 4)
    const within = page % geometry.segmentPages
    const outside =
      pages === 0 ||
      page + pages > filePages ||
      within < geometry.reservedPages(Math.floor(page / geometry.segmentPages)) ||
      within + pages > geometry.segmentPages
    if (outside) return undefined
    if (extents.some((other) => page < other.page + other.pages && other.page < page + pages)) return undefined
    extents.push({ page, pages })
  }
  return extents
}

/** Copies the record's bytes from the slot and its extents into one buffer; undefined when there is no room for them. */
function gather(
  memory: PersistentMemory,
  log: Run,
  firstLine: number,
  extents: readonly Run[],
  totalBytes: number,
): Buffer | undefined {
  const slotBytes = log.pages * PAGE_BYTES - firstLine * LINE_BYTES
  let room = slotBytes
  for (const { pages } of extents) room += pages * PAGE_BYTES
  if (totalBytes > room) return undefined
  const stream = Buffer.allocUnsafe(totalBytes)
  let filled = Math.min(slotBytes, totalBytes)
  copyPages(memory, log.page, stream, 0, filled, firstLine)
  for (const extent of extents) {
    const end = Math.min(totalBytes, filled + extent.pages * PAGE_BYTES)
    copyPages(memory, extent.page, stream, filled, end)
    filled = end
  }
  return stream
}

function isUnlogged(directory: Uint32Array, entry: number): boolean {
  return (directory[entry * 4 + 3] & DIRECTORY_UNLOGGED) !== 0
}

/** Calls `visit` for each line whose body is in a record, in the order of the bodies; or for each that is only in its fresh hash. */
export function eachLine(
  record: LogRecord,
  visit: (pageId: number, line: number, index: number) => void,
  unlogged = false,
): void {
  let index = 0
  for (let i = 0; i < record.pageCount; i++) {
    if (isUnlogged(record.directory, i) !== unlogged) continue
    const pageId = record.directory[i * 4]
    for (let line = 0; line < LINES_PER_PAGE; line++) {
      const word = record.directory[i * 4 + (line < 32 ? 1 : 2)]
      if (((word >>> (line & 31)) & 1) === 1) visit(pageId, line, index++)
    }
  }
}

/** Whether the pool's lines hold the record's post-images: then the transaction had been applied completely. */
export function postImageMatches(memory: PersistentMemory, record: LogRecord, anchor: Anchor): boolean {
  const hash = hashLines(memory, record, anchor, record.lineCount, false)
  return hash[0] === record.postHashLo && hash[1] === record.postHashHi
}

/** Whether the lines of a slot record that are not in it stand in their places: else its fence had not been passed. */
export function freshLinesMatch(memory: PersistentMemory, record: LogRecord, anchor: Anchor): boolean {
  let lines = 0
  eachLine(record, () => lines++, true)
  const hash = hashLines(memory, record, anchor, lines, true)
  return hash[0] === record.freshHashLo && hash[1] === record.freshHashHi
}

/** Hash of the pool's lines, seeded with the salt. */
function hashLines(
  memory: PersistentMemory,
  record: LogRecord,
  { saltLo, saltHi }: Anchor,
  lines: number,
  unlogged: boolean,
): Uint32Array {
  const bytes = Buffer.allocUnsafe(lines * LINE_BYTES)
  eachLine(
    record,
    (pageId, line, index) => {
      const { view, base } = pageBytes(memory, pageId)
      view.u8.copy(bytes, index * LINE_BYTES, base + line * LINE_BYTES, base + (line + 1) * LINE_BYTES)
    },
    unlogged,
  )
  const hash = new Uint32Array(2)
  xxh64(bytes, saltLo, saltHi, hash)
  return hash
}

function readU64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * 2 ** 32
}

import { DaxkvError } from '../errors.js'
import { MemoryView } from './memory-view.js'
import { STAGING_CHUNK_FRAMES, STAGING_CHUNK_SHIFT } from './persistent-memory.js'
import { popCount, RECORD_OP_HEADER_WORDS, validateProgram } from './program-validator.js'
import {
  DIRECTORY_UNLOGGED,
  FRAME_IN_POOL,
  FRAME_UNLOGGED,
  LINE_BYTES,
  LINES_PER_PAGE,
  OP_APPLY,
  OP_CHECKSUM,
  OP_CHECKSUM_FRESH,
  OP_CHECKSUM_FROM,
  OP_FENCE,
  OP_FLUSH,
  OP_RECORD,
  OP_STORE,
  OP_STORE_LAZY,
  OP_SYNC_ALL,
  PAGE_BYTES,
  PAGE_SHIFT,
  RECORD_FIRST_LINE,
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
  RECORD_REDO,
  RECORD_SLOT,
  RECORD_UNDO,
  recordLines,
} from './program.js'
import { lineHash, pageChecksum, xxh64 } from './xxh64.js'

const LINE_SHIFT = 6

/** What a runner works on: the pool and staging memory, and the five effects a program can have on the medium. */
export interface ProgramTarget {
  readonly segments: readonly (MemoryView | undefined)[]
  readonly segmentShift: number
  /** Fills an entry of `segments` that is still undefined, and returns it. */
  mapSegment(index: number): MemoryView
  sizeBytes(): number
  readonly stagingChunks: readonly MemoryView[]
  /** Stores the 64 bytes at `offset` (a multiple of 4) of `source`. */
  storeLine(pageId: number, line: number, source: MemoryView, offset: number): void
  /** The same, past the cache: durable at the next fence without a flush. */
  storeLineNonTemporal(pageId: number, line: number, source: MemoryView, offset: number): void
  flushLine(pageId: number, line: number): void
  fence(): void
  syncAll(): void
}

/** Copies one line between views; sixteen words are copied faster by a loop than by `set`. */
export function copyLine(target: MemoryView, targetOffset: number, source: MemoryView, sourceOffset: number): void {
  const to = target.u32
  const from = source.u32
  const toWord = targetOffset >>> 2
  const fromWord = sourceOffset >>> 2
  for (let word = 0; word < LINE_BYTES / 4; word++) to[toWord + word] = from[fromWord + word]
}

/**
 * The meaning of every operation of a persist program, for executors written in TypeScript (simulated, portable). The
 * native executor does the same in C; a differential test holds the two equal byte for byte.
 */
export class ProgramRunner {
  /** Position of the running operation in its program, from 0 on. */
  operation = 0
  readonly #target: ProgramTarget
  readonly #line = new MemoryView(new ArrayBuffer(LINE_BYTES))
  readonly #hash = new Uint32Array(2)
  #record = new MemoryView(new ArrayBuffer(0))
  #hashed = new MemoryView(new ArrayBuffer(0))

  constructor(target: ProgramTarget) {
    this.#target = target
  }

  /** Checks all operands of a program; see `validateProgram`. */
  validate(program: Uint32Array, words: number): void {
    const pageCount = this.#target.sizeBytes() / PAGE_BYTES
    const frameCount = this.#target.stagingChunks.length * STAGING_CHUNK_FRAMES
    validateProgram(program, words, { pageCount, frameCount })
  }

  /** Runs the first `words` words of a program that `validate` has accepted. */
  run(program: Uint32Array, words: number): void {
    const target = this.#target
    this.operation = 0
    for (let at = 0; at < words; this.operation++) {
      switch (program[at]) {
        case OP_FENCE:
          target.fence()
          at += 1
          break
        case OP_CHECKSUM:
          this.#checksum(program[at + 1], program[at + 2], program[at + 3], program[at + 4])
          at += 5
          break
        case OP_CHECKSUM_FRESH:
          this.#checksumFresh(program[at + 1], program[at + 2])
          at += 3
          break
        case OP_CHECKSUM_FROM:
          this.#checksumFrom(program[at + 1], program[at + 2], program[at + 3], program[at + 4], program[at + 5])
          at += 6
          break
        case OP_STORE:
          this.#store(program[at + 1], program[at + 2], program[at + 3], program[at + 4])
          at += 5
          break
        case OP_STORE_LAZY:
          this.#storeLazy(program[at + 1], program[at + 2], program[at + 3], program[at + 4])
          at += 5
          break
        case OP_FLUSH:
          for (let line = 0; line < LINES_PER_PAGE; line++) {
            if (hasLine(program[at + 2], program[at + 3], line)) target.flushLine(program[at + 1], line)
          }
          at += 4
          break
        case OP_RECORD:
          this.#writeRecord(program, at)
          at += RECORD_OP_HEADER_WORDS + program[at + 10] * 2 + program[at + 11] * 4
          break
        case OP_APPLY:
          this.#applyRecord(program[at + 1], program[at + 2], program[at + 3])
          at += 4
          break
        case OP_SYNC_ALL:
          target.syncAll()
          at += 1
          break
      }
    }
  }

  /** See `PersistentMemory.writeExtent`. The rest of the last line keeps its content. */
  writeExtent(pageId: number, bytes: Uint8Array, hashOut: Uint32Array, lazily: boolean): void {
    this.#checkExtent(pageId, bytes.length)
    const scratch = this.#line
    for (let offset = 0; offset < bytes.length; offset += LINE_BYTES) {
      const page = pageId + Math.floor(offset / PAGE_BYTES)
      const line = (offset % PAGE_BYTES) >>> LINE_SHIFT
      const part = bytes.subarray(offset, offset + LINE_BYTES)
      if (part.length === LINE_BYTES) {
        scratch.u8.set(part)
        if (lazily) this.#target.storeLine(page, line, scratch, 0)
        else this.#target.storeLineNonTemporal(page, line, scratch, 0)
      } else {
        copyLine(scratch, 0, this.#pageView(page), this.#pageBase(page) + line * LINE_BYTES)
        scratch.u8.set(part)
        this.#target.storeLine(page, line, scratch, 0)
        if (!lazily) this.#target.flushLine(page, line)
      }
    }
    xxh64(bytes, 0, 0, hashOut)
  }

  /** See `PersistentMemory.hashExtent`. */
  hashExtent(pageId: number, byteLength: number, hashOut: Uint32Array): void {
    this.#checkExtent(pageId, byteLength)
    if (byteLength === 0) {
      xxh64(this.#line.u8.subarray(0, 0), 0, 0, hashOut)
      return
    }
    const pages = Math.ceil(byteLength / PAGE_BYTES)
    const { segmentShift } = this.#target
    if (pageId >>> segmentShift === (pageId + pages - 1) >>> segmentShift) {
      const base = this.#pageBase(pageId)
      xxh64(this.#pageView(pageId).u8.subarray(base, base + byteLength), 0, 0, hashOut)
      return
    }
    const bytes = Buffer.allocUnsafe(pages * PAGE_BYTES)
    for (let index = 0; index < pages; index++) {
      const base = this.#pageBase(pageId + index)
      this.#pageView(pageId + index).u8.copy(bytes, index * PAGE_BYTES, base, base + PAGE_BYTES)
    }
    xxh64(bytes.subarray(0, byteLength), 0, 0, hashOut)
  }

  /** See `PersistentMemory.verifyPage`. */
  verifyPage(pageId: number): boolean {
    this.#checkExtent(pageId, PAGE_BYTES)
    const view = this.#pageView(pageId)
    const base = this.#pageBase(pageId)
    pageChecksum(view.u8, base, pageId, this.#hash)
    return view.u32[base >>> 2] === this.#hash[0] && view.u32[(base >>> 2) + 1] === this.#hash[1]
  }

  #checksum(pageId: number, frame: number, maskLo: number, maskHi: number): void {
    this.#updateChecksum(pageId, frame, this.#pageView(pageId), this.#pageBase(pageId), maskLo, maskHi)
  }

  #checksumFrom(pageId: number, frame: number, baseFrame: number, maskLo: number, maskHi: number): void {
    this.#updateChecksum(pageId, frame, this.#frameView(baseFrame), frameBase(baseFrame), maskLo, maskHi)
  }

  /** From a version of the page whose checksum is right, and which differs in the masked lines only. */
  #updateChecksum(
    pageId: number,
    frame: number,
    version: MemoryView,
    versionBase: number,
    maskLo: number,
    maskHi: number,
  ): void {
    const staged = this.#frameView(frame)
    const stagedBase = frameBase(frame)
    const hash = this.#hash
    let lo = version.u32[versionBase >>> 2]
    let hi = version.u32[(versionBase >>> 2) + 1]
    for (let line = 0; line < LINES_PER_PAGE; line++) {
      if (!hasLine(maskLo, maskHi, line)) continue
      lineHash(version.u8, versionBase, pageId, line, hash)
      lo ^= hash[0]
      hi ^= hash[1]
      lineHash(staged.u8, stagedBase, pageId, line, hash)
      lo ^= hash[0]
      hi ^= hash[1]
    }
    staged.u32[stagedBase >>> 2] = lo
    staged.u32[(stagedBase >>> 2) + 1] = hi
  }

  #checksumFresh(pageId: number, frame: number): void {
    const staged = this.#frameView(frame)
    const base = frameBase(frame)
    pageChecksum(staged.u8, base, pageId, this.#hash)
    staged.u32.set(this.#hash, base >>> 2)
  }

  #store(pageId: number, frame: number, maskLo: number, maskHi: number): void {
    const view = this.#frameView(frame)
    const base = frameBase(frame)
    // A whole page is not worth its place in the cache.
    const wholePage = (maskLo & maskHi) >>> 0 === 0xffffffff
    for (let line = 0; line < LINES_PER_PAGE; line++) {
      if (wholePage) this.#target.storeLineNonTemporal(pageId, line, view, base + line * LINE_BYTES)
      if (wholePage || !hasLine(maskLo, maskHi, line)) continue
      this.#target.storeLine(pageId, line, view, base + line * LINE_BYTES)
      this.#target.flushLine(pageId, line)
    }
  }

  #storeLazy(pageId: number, frame: number, maskLo: number, maskHi: number): void {
    const view = this.#frameView(frame)
    const base = frameBase(frame)
    for (let line = 0; line < LINES_PER_PAGE; line++) {
      if (hasLine(maskLo, maskHi, line)) this.#target.storeLine(pageId, line, view, base + line * LINE_BYTES)
    }
  }

  /** Builds the record in scratch memory, then streams it into the log slot and the extents; the header goes last. */
  #writeRecord(program: Uint32Array, at: number): void {
    const extentCount = program[at + 10]
    const extents = at + RECORD_OP_HEADER_WORDS
    const totalLines = this.#buildRecord(program, at)
    const firstLine = Math.floor(program[at + 1] / RECORD_FIRST_LINE)
    let page = program[at + 2]
    let line = firstLine
    let linesLeft = program[at + 3] * LINES_PER_PAGE - line
    for (let index = 0, extent = 0; index < totalLines; index++, line++, linesLeft--) {
      if (linesLeft === 0 && extent < extentCount) {
        page = program[extents + extent * 2]
        linesLeft = program[extents + extent * 2 + 1] * LINES_PER_PAGE
        line = 0
        extent++
      }
      if (index > 0) this.#storeRecordLine(page + (line >>> LINE_SHIFT), line % LINES_PER_PAGE, index)
    }
    this.#storeRecordLine(program[at + 2], firstLine, 0)
  }

  /** The program wrote the record itself; that it is still there is checked before the first store. */
  #applyRecord(logPage: number, logPages: number, firstLine: number): void {
    const start = firstLine * LINE_BYTES
    const word = (byte: number): number => {
      const page = logPage + Math.floor((start + byte) / PAGE_BYTES)
      return this.#pageView(page).u32[(this.#pageBase(page) + ((start + byte) % PAGE_BYTES)) >>> 2]
    }
    const totalLines = word(RECORD_OFFSET_TOTAL_LINES)
    const pageCount = word(RECORD_OFFSET_PAGE_COUNT)
    const lineCount = word(RECORD_OFFSET_LINE_COUNT)
    const sound =
      word(RECORD_OFFSET_MAGIC) === RECORD_MAGIC &&
      word(RECORD_OFFSET_KIND) === RECORD_REDO &&
      word(RECORD_OFFSET_EXTENT_COUNT) === 0 &&
      totalLines <= logPages * LINES_PER_PAGE - firstLine &&
      recordLines(0, pageCount, lineCount) === totalLines
    if (!sound) throw lostRecord(logPage)
    let covered = 0
    for (let entry = RECORD_HEADER_BYTES, index = 0; index < pageCount; index++, entry += 16) {
      const pageId = word(entry)
      const inLog = pageId >= logPage && pageId < logPage + logPages
      if (inLog || pageId >= this.#target.sizeBytes() / PAGE_BYTES) throw lostRecord(logPage)
      covered += popCount(word(entry + 4)) + popCount(word(entry + 8))
    }
    if (covered !== lineCount) throw lostRecord(logPage)
    let body = start + (totalLines - lineCount) * LINE_BYTES
    for (let entry = RECORD_HEADER_BYTES, index = 0; index < pageCount; index++, entry += 16) {
      const pageId = word(entry)
      for (let line = 0; line < LINES_PER_PAGE; line++) {
        if (!hasLine(word(entry + 4), word(entry + 8), line)) continue
        const page = logPage + Math.floor(body / PAGE_BYTES)
        this.#target.storeLine(pageId, line, this.#pageView(page), this.#pageBase(page) + (body % PAGE_BYTES))
        body += LINE_BYTES
      }
    }
  }

  #storeRecordLine(pageId: number, line: number, index: number): void {
    this.#target.storeLineNonTemporal(pageId, line, this.#record, index * LINE_BYTES)
  }

  /** Builds a record (layout: `program.ts`) in `#record` and returns its length in lines. */
  #buildRecord(program: Uint32Array, at: number): number {
    const kind = program[at + 1] % RECORD_FIRST_LINE
    const saltLo = program[at + 8]
    const saltHi = program[at + 9]
    const extentCount = program[at + 10]
    const pageCount = program[at + 11]
    const extents = at + RECORD_OP_HEADER_WORDS
    const directory = extents + extentCount * 2
    let bodyLines = 0
    let freshLines = 0
    for (let item = directory; item < directory + pageCount * 4; item += 4) {
      const lines = popCount(program[item + 2]) + popCount(program[item + 3])
      if (isUnlogged(kind, program[item + 1])) freshLines += lines
      else bodyLines += lines
    }
    const totalLines = recordLines(extentCount, pageCount, bodyLines)
    const bodyOffset = (totalLines - bodyLines) * LINE_BYTES
    if (this.#record.byteLength < totalLines * LINE_BYTES) this.#record = scratchView(totalLines * LINE_BYTES)
    const record = this.#record
    const words = record.u32
    words.fill(0, 0, bodyOffset / 4)
    words[RECORD_OFFSET_MAGIC / 4] = RECORD_MAGIC
    words[RECORD_OFFSET_KIND / 4] = kind
    words.set(program.subarray(at + 4, at + 6), RECORD_OFFSET_EPOCH / 4)
    words.set(program.subarray(at + 6, at + 8), RECORD_OFFSET_TXID / 4)
    words[RECORD_OFFSET_PAGE_COUNT / 4] = pageCount
    words[RECORD_OFFSET_LINE_COUNT / 4] = bodyLines
    words[RECORD_OFFSET_EXTENT_COUNT / 4] = extentCount
    words[RECORD_OFFSET_TOTAL_LINES / 4] = totalLines
    words.set(program.subarray(extents, directory), RECORD_HEADER_BYTES / 4)
    let entry = (RECORD_HEADER_BYTES + Math.ceil((extentCount * 8) / LINE_BYTES) * LINE_BYTES) / 4
    for (let index = 0; index < pageCount; index++, entry += 4) {
      const item = directory + index * 4
      words[entry] = program[item]
      words[entry + 1] = program[item + 2]
      words[entry + 2] = program[item + 3]
      if (isUnlogged(kind, program[item + 1])) words[entry + 3] = DIRECTORY_UNLOGGED
    }
    const entries: RecordEntries = { program, directory, pageCount, kind }
    this.#copyLines(entries, false, kind === RECORD_UNDO, record, bodyOffset)
    if (kind !== RECORD_REDO) {
      const hashedLines = kind === RECORD_UNDO ? bodyLines : freshLines
      if (this.#hashed.byteLength < hashedLines * LINE_BYTES) this.#hashed = scratchView(hashedLines * LINE_BYTES)
      const hashed = this.#hashed
      this.#copyLines(entries, kind === RECORD_SLOT, false, hashed, 0)
      xxh64(hashed.u8.subarray(0, hashedLines * LINE_BYTES), saltLo, saltHi, this.#hash)
      words.set(this.#hash, (kind === RECORD_UNDO ? RECORD_OFFSET_POST_HASH : RECORD_OFFSET_FRESH_HASH) / 4)
    }
    xxh64(record.u8.subarray(0, totalLines * LINE_BYTES), saltLo, saltHi, this.#hash)
    words.set(this.#hash, RECORD_OFFSET_HASH / 4)
    return totalLines
  }

  /** Copies the logged or the unlogged lines in the order of the directory, from the pool or from the frames. */
  #copyLines(
    { program, directory, pageCount, kind }: RecordEntries,
    unlogged: boolean,
    fromPool: boolean,
    target: MemoryView,
    targetOffset: number,
  ): void {
    for (let index = 0, item = directory; index < pageCount; index++, item += 4) {
      if (isUnlogged(kind, program[item + 1]) !== unlogged) continue
      const inPool = fromPool || program[item + 1] === FRAME_IN_POOL
      const frame = inPool ? 0 : program[item + 1] - (unlogged ? FRAME_UNLOGGED : 0)
      const view = inPool ? this.#pageView(program[item]) : this.#frameView(frame)
      const base = inPool ? this.#pageBase(program[item]) : frameBase(frame)
      for (let line = 0; line < LINES_PER_PAGE; line++) {
        if (!hasLine(program[item + 2], program[item + 3], line)) continue
        copyLine(target, targetOffset, view, base + line * LINE_BYTES)
        targetOffset += LINE_BYTES
      }
    }
  }

  #checkExtent(pageId: number, byteLength: number): void {
    const limit = this.#target.sizeBytes()
    const inside = Number.isInteger(pageId) && pageId >= 0 && Number.isInteger(byteLength) && byteLength >= 0
    const actual = pageId * PAGE_BYTES + byteLength
    if (!inside || actual > limit) {
      throw new DaxkvError('INTERNAL', `${byteLength} bytes at page ${pageId} leave the pool of ${limit} bytes`, {
        limit,
        actual,
      })
    }
  }

  #pageView(pageId: number): MemoryView {
    const index = pageId >>> this.#target.segmentShift
    return this.#target.segments[index] ?? this.#target.mapSegment(index)
  }

  #pageBase(pageId: number): number {
    return (pageId & ((1 << this.#target.segmentShift) - 1)) << PAGE_SHIFT
  }

  #frameView(frame: number): MemoryView {
    return this.#target.stagingChunks[frame >>> STAGING_CHUNK_SHIFT]
  }
}

/** Where the entries of an OP_RECORD stand. */
interface RecordEntries {
  readonly program: Uint32Array
  readonly directory: number
  readonly pageCount: number
  readonly kind: number
}

/** Whether the lines of an entry are hashed instead of logged. */
function isUnlogged(kind: number, frame: number): boolean {
  return kind === RECORD_SLOT && frame >= FRAME_UNLOGGED
}

function lostRecord(logPage: number): DaxkvError {
  return new DaxkvError('PERSIST_FAILED', `the log record at page ${logPage} is not what was written there`)
}

function frameBase(frame: number): number {
  return (frame & (STAGING_CHUNK_FRAMES - 1)) << PAGE_SHIFT
}

function hasLine(maskLo: number, maskHi: number, line: number): boolean {
  return (((line < 32 ? maskLo : maskHi) >>> (line & 31)) & 1) === 1
}

/** Scratch memory grows by doubling, so that records of similar size share it. */
function scratchView(byteLength: number): MemoryView {
  let size = PAGE_BYTES
  while (size < byteLength) size *= 2
  return new MemoryView(new ArrayBuffer(size))
}

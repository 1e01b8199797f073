import { DaxkvError } from '../errors.js'
import {
  FRAME_IN_POOL,
  FRAME_UNLOGGED,
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
  RECORD_FIRST_LINE,
  RECORD_REDO,
  RECORD_SLOT,
  RECORD_UNDO,
  recordLines,
} from './program.js'

/** What the operands of a program are checked against. */
export interface ProgramLimits {
  /** Pages of the pool that exist now. */
  readonly pageCount: number
  /** Staging frames that exist now. */
  readonly frameCount: number
}

/** Words of OP_RECORD before its two tables. */
export const RECORD_OP_HEADER_WORDS = 12

/** Number of set bits of a 32-bit mask. */
export function popCount(mask: number): number {
  let bits = mask - ((mask >>> 1) & 0x55555555)
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333)
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

/**
 * Checks every operand of the first `words` words of `program`, so that an executor may then run it without any
 * further check. A program that fails here has stored nothing: it is a defect of the code that built it, reported as
 * `INTERNAL`. The native executor makes the same checks in C.
 */
export function validateProgram(program: Uint32Array, words: number, limits: ProgramLimits): void {
  if (!Number.isInteger(words) || words < 0 || words > program.length) {
    throw new DaxkvError('INTERNAL', `persist program of ${words} words does not fit its buffer of ${program.length}`, {
      limit: program.length,
      actual: words,
    })
  }
  let at = 0
  while (at < words) at += validateOperation(program, at, words, limits)
}

/** Checks the operation at word `at` and returns its length in words. */
function validateOperation(program: Uint32Array, at: number, words: number, limits: ProgramLimits): number {
  switch (program[at]) {
    case OP_FENCE:
    case OP_SYNC_ALL:
      return 1
    case OP_CHECKSUM:
      needWords(at, 5, words)
      checkPage(at, program[at + 1], limits)
      checkFrame(at, program[at + 2], limits)
      checkChecksumMask(at, program[at + 3], program[at + 4])
      return 5
    case OP_CHECKSUM_FROM:
      needWords(at, 6, words)
      checkPage(at, program[at + 1], limits)
      checkFrame(at, program[at + 2], limits)
      checkFrame(at, program[at + 3], limits)
      checkChecksumMask(at, program[at + 4], program[at + 5])
      return 6
    case OP_CHECKSUM_FRESH:
      needWords(at, 3, words)
      checkPage(at, program[at + 1], limits)
      checkFrame(at, program[at + 2], limits)
      return 3
    case OP_STORE:
    case OP_STORE_LAZY:
      needWords(at, 5, words)
      checkPage(at, program[at + 1], limits)
      checkFrame(at, program[at + 2], limits)
      checkMask(at, program[at + 3], program[at + 4])
      return 5
    case OP_FLUSH:
      needWords(at, 4, words)
      checkPage(at, program[at + 1], limits)
      checkMask(at, program[at + 2], program[at + 3])
      return 4
    case OP_APPLY:
      needWords(at, 4, words)
      checkedSpan(at, program[at + 1], program[at + 2], limits)
      checkLine(at, program[at + 3])
      return 4
    case OP_RECORD:
      return validateRecord(program, at, words, limits)
    default:
      return fail(at, `unknown operation ${program[at]}`)
  }
}

function validateRecord(program: Uint32Array, at: number, words: number, limits: ProgramLimits): number {
  needWords(at, RECORD_OP_HEADER_WORDS, words)
  const kind = program[at + 1] % RECORD_FIRST_LINE
  const firstLine = Math.floor(program[at + 1] / RECORD_FIRST_LINE)
  const extentCount = program[at + 10]
  const pageCount = program[at + 11]
  const length = RECORD_OP_HEADER_WORDS + extentCount * 2 + pageCount * 4
  needWords(at, length, words)
  if (kind !== RECORD_UNDO && kind !== RECORD_REDO && kind !== RECORD_SLOT) fail(at, `unknown record kind ${kind}`)
  checkLine(at, firstLine)
  if (firstLine > 0 && extentCount > 0) fail(at, 'a record with extents begins on the first line of its slot')
  if (firstLine > 0 && kind === RECORD_SLOT) fail(at, 'a slot record begins on the first line of its slot')
  // An empty transaction writes nothing: a record of no pages could be mistaken for a zeroed log.
  if (pageCount === 0) fail(at, 'the record covers no page')
  const spans = recordSpans(program, at, extentCount, limits)
  let bodyLines = 0
  for (let entry = at + length - pageCount * 4; entry < at + length; entry += 4) {
    checkPage(at, program[entry], limits)
    const isUnlogged = kind === RECORD_SLOT && program[entry + 1] >= FRAME_UNLOGGED
    const isInPool = kind !== RECORD_UNDO && program[entry + 1] === FRAME_IN_POOL
    if (!isInPool) checkFrame(at, program[entry + 1] - (isUnlogged ? FRAME_UNLOGGED : 0), limits)
    checkMask(at, program[entry + 2], program[entry + 3])
    // A covered page under the record itself would destroy the image that recovery needs.
    if (holdsPage(spans, program[entry]))
      fail(at, `page ${program[entry]} is covered by the record and part of its log`)
    if (!isUnlogged) bodyLines += popCount(program[entry + 2]) + popCount(program[entry + 3])
  }
  // Fresh pages that no line of an older one leads to would belong to nobody.
  if (bodyLines === 0) fail(at, 'the record logs no line')
  let capacityLines = -firstLine
  for (const span of spans) capacityLines += (span.end - span.first) * LINES_PER_PAGE
  const totalLines = recordLines(extentCount, pageCount, bodyLines)
  // The total is a u32 field of the header.
  const limit = Math.min(capacityLines, 0xffffffff)
  if (totalLines > limit)
    fail(at, `a record of ${totalLines} lines does not fit its ${limit} lines of log`, limit, totalLines)
  return length
}

/** Pages from `first` to `end` (exclusive). */
interface PageSpan {
  readonly first: number
  readonly end: number
}

/** The log slot and the extents of a record in ascending order, once it is sure that they do not overlap. */
function recordSpans(program: Uint32Array, at: number, extentCount: number, limits: ProgramLimits): PageSpan[] {
  const spans = [checkedSpan(at, program[at + 2], program[at + 3], limits)]
  const extents = at + RECORD_OP_HEADER_WORDS
  for (let extent = extents; extent < extents + extentCount * 2; extent += 2) {
    spans.push(checkedSpan(at, program[extent], program[extent + 1], limits))
  }
  spans.sort((left, right) => left.first - right.first)
  for (let index = 1; index < spans.length; index++) {
    if (spans[index].first < spans[index - 1].end)
      fail(at, `page ${spans[index].first} is twice in the log of the record`)
  }
  return spans
}

function holdsPage(spans: readonly PageSpan[], pageId: number): boolean {
  let low = 0
  let high = spans.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (spans[middle].end <= pageId) low = middle + 1
    else high = middle
  }
  return low < spans.length && spans[low].first <= pageId
}

function needWords(at: number, length: number, words: number): void {
  if (at + length > words) fail(at, `the operation needs ${length} words, ${words - at} are left`, words - at, length)
}

function checkPage(at: number, pageId: number, limits: ProgramLimits): void {
  if (pageId >= limits.pageCount) {
    fail(at, `page ${pageId} is outside the pool of ${limits.pageCount} pages`, limits.pageCount, pageId)
  }
}

function checkFrame(at: number, frame: number, limits: ProgramLimits): void {
  if (frame >= limits.frameCount) {
    fail(at, `frame ${frame} is outside the staging area of ${limits.frameCount} frames`, limits.frameCount, frame)
  }
}

function checkLine(at: number, line: number): void {
  if (line >= LINES_PER_PAGE) fail(at, `a page has no line ${line}`, LINES_PER_PAGE - 1, line)
}

function checkMask(at: number, maskLo: number, maskHi: number): void {
  if ((maskLo | maskHi) === 0) fail(at, 'the mask names no line')
}

/** The checksum itself lives in line 0: without it in the mask the new value would never reach the pool. */
function checkChecksumMask(at: number, maskLo: number, maskHi: number): void {
  checkMask(at, maskLo, maskHi)
  if ((maskLo & 1) === 0) fail(at, 'the mask of a checksum lacks line 0')
}

/** The sum of two u32 is exact in a double, so a range cannot wrap round to a small page. */
function checkedSpan(at: number, page: number, pages: number, limits: ProgramLimits): PageSpan {
  if (pages === 0) fail(at, `the log range at page ${page} is empty`)
  const end = page + pages
  if (end > limits.pageCount) {
    fail(at, `pages ${page} to ${end - 1} leave the pool of ${limits.pageCount} pages`, limits.pageCount, end)
  }
  return { first: page, end }
}

function fail(at: number, what: string, limit?: number, actual?: number): never {
  const details = limit === undefined || actual === undefined ? {} : { limit, actual }
  throw new DaxkvError('INTERNAL', `persist program, word ${at}: ${what}; nothing was stored`, details)
}

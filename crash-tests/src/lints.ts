import {
  EVENT_BARRIER_END,
  EVENT_BARRIER_START,
  EVENT_FENCE,
  EVENT_FLUSH,
  EVENT_GROW,
  EVENT_MARK,
  EVENT_STORE,
  EVENT_STORE_NON_TEMPORAL,
  EVENT_SYNC_ALL,
} from '../../src/pmem/event-log.js'
import type { EventLog, Trace } from '../../src/pmem/event-log.js'
import { LINE_BYTES, PAGE_BYTES, RECORD_SLOT, RECORD_UNDO } from '../../src/pmem/program.js'
import { ANCHOR_BYTES } from '../../src/pool/format.js'
import { LintPool } from './lint-pool.js'
import type { LintRecord } from './lint-pool.js'
import { MARK_ACKNOWLEDGED } from './marks.js'

/** What can be wrong with the order of stores, flushes and fences, whether or not a crash shows it. */
export const LINTS = {
  'not durable when acknowledged': 'what the protocol promises durable at an acknowledgement is not',
  'store after flush':
    'a line is stored to that was flushed and not yet fenced: which of the two becomes durable is open',
  'flush of a clean line': 'a line is flushed that was not stored to since it was flushed last',
  'empty fence': 'a fence with nothing to make durable',
  'store outside': 'a store to a line that no durable record covers, in a page that was not free',
  budget: 'a transaction has more or fewer fences, flushes or lines than its record asks for',
} as const

export type LintName = keyof typeof LINTS

export interface LintFinding {
  readonly lint: LintName
  /** Event that it was found at. */
  readonly event: number
  readonly message: string
}

/** A trace that breaks a lint. */
export class LintError extends Error {
  constructor(readonly findings: readonly LintFinding[]) {
    super(findings.map(({ lint, event, message }) => `${lint} at event ${event}: ${message}`).join('\n'))
  }
}

interface LineState {
  /** Stored to since it was last flushed. */
  dirty: boolean
  /** Flushed, or stored past the cache, and not yet fenced. */
  flushed: boolean
  /** Of the store, for messages. */
  event: number
}

/** Throws `LintError` with all findings of a trace of the commit protocols. */
export function lint(trace: Trace): void {
  const findings = lintTrace(trace)
  if (findings.length > 0) throw new LintError(findings)
}

/**
 * Goes through a trace of the commit protocols (undo, redo in a ring and in slots, growth, checkpoints, open, close). Recovery is what runs between the
 * marks `opening` and `opened`; it stores whatever a record covers and the anchors, equal or not, so that only the order
 * of its flushes and fences is looked at.
 */
export function lintTrace(trace: Trace): LintFinding[] {
  return new Linter(trace).run()
}

/** Counts of one program of a commit, checkpoint, growth or close. */
interface ProgramCounts {
  /** Undefined until the record is whole: its header is stored last. */
  record: LintRecord | undefined
  /** Since the record; in a program without one, since its beginning. */
  stores: number
  flushes: number
  fences: number
  fencesBeforeRecord: number
}

class Linter {
  readonly #events: EventLog
  readonly #pool: LintPool
  /** Lines by byte offset that are not surely durable. */
  readonly #pending = new Map<number, LineState>()
  readonly #findings: LintFinding[] = []
  /** Flushes and non-temporal stores since the last fence. Before the trace began there may have been some. */
  #unfenced = 1
  #recovering = false
  #program = 0
  #counts = noCounts()
  /**
   * Lines of values that a checkpoint in the middle of their transaction (growth may need one) has made durable already. The
   * commit flushes them with the others.
   */
  readonly #syncedValues = new Set<number>()
  /** Lines that a barrier in the background is making durable, with the events that stored them. */
  /** Of a barrier, and of one that covers the whole file: where it found what. */
  readonly #syncing = [new Map<number, number>(), new Map<number, number>()]
  /**
   * Durable redo records since everything was synced last; the lines they cover need not be durable themselves. Of those in slots
   * the newest alone: its fence has made the lines of the one before durable.
   */
  #covering: LintRecord[] = []

  constructor(trace: Trace) {
    this.#events = trace.events
    this.#pool = new LintPool(trace.image)
  }

  run(): LintFinding[] {
    const events = this.#events
    for (let event = 0; event < events.count; event++) {
      const program = events.program(event)
      if (program !== this.#program) this.#beginProgram(program, event)
      switch (events.kind(event)) {
        case EVENT_STORE:
        case EVENT_STORE_NON_TEMPORAL:
          this.#store(event)
          break
        case EVENT_FLUSH:
          this.#flush(event)
          break
        case EVENT_FENCE:
          this.#fence(event)
          break
        case EVENT_SYNC_ALL:
          for (const [offset, { event: stored }] of this.#pending) {
            if (events.program(stored) === 0) this.#syncedValues.add(offset)
          }
          this.#pending.clear()
          this.#unfenced = 0
          this.#covering = []
          break
        case EVENT_BARRIER_START:
          this.#beginBarrier(events.pageId(event) === 1)
          this.#unfenced = 0
          break
        case EVENT_BARRIER_END:
          // Durable now is what it found when it began, unless it was stored to since.
          for (const [offset, stored] of this.#syncing[events.pageId(event)]) {
            if (this.#pending.get(offset)?.event === stored) this.#pending.delete(offset)
          }
          break
        case EVENT_GROW:
          this.#pool.grow(events.pageCount(event))
          break
        case EVENT_MARK:
          this.#mark(event)
          break
      }
    }
    this.#beginProgram(0, events.count)
    return this.#findings
  }

  #find(lint: LintName, event: number, message: string): void {
    this.#findings.push({ lint, event, message })
  }

  /** Between programs memory holds a committed state: what was committed is stored to in programs only, and those are whole. */
  #beginProgram(program: number, event: number): void {
    if (this.#program !== 0 && !this.#recovering) this.#checkBudget(event - 1)
    this.#program = program
    this.#counts = noCounts()
    this.#pool.rememberFree()
  }

  #store(event: number): void {
    const events = this.#events
    const offset = offsetOf(events, event)
    const nonTemporal = events.kind(event) === EVENT_STORE_NON_TEMPORAL
    const before = this.#pending.get(offset)
    if (!this.#recovering) {
      // What an aborted transaction has left in free space (outside programs) is nobody's.
      if (before?.flushed === true && events.program(before.event) !== 0) {
        this.#find('store after flush', event, `${events.describe(event)}, flushed after event ${before.event}`)
      }
      this.#checkPlace(event, offset)
    }
    this.#pool.store(offset, events.bytes(event))
    this.#pending.set(offset, { dirty: !nonTemporal, flushed: nonTemporal, event })
    if (nonTemporal) this.#unfenced++
    if (this.#recovering) return
    this.#counts.stores++
    // Past the cache there is nothing to flush.
    if (nonTemporal) this.#counts.flushes++
    const isHeader = nonTemporal && events.line(event) === 0
    const record = isHeader ? this.#pool.recordAt(events.pageId(event)) : undefined
    if (record !== undefined) this.#counts = { ...noCounts(), record, fencesBeforeRecord: this.#counts.fences }
  }

  #checkPlace(event: number, offset: number): void {
    if (this.#pool.region(offset) !== 'data' || this.#pool.wasFree(this.#events.pageId(event))) return
    const { record, fences } = this.#counts
    if (record === undefined || fences === 0 || !record.covers(offset)) {
      this.#find('store outside', event, this.#events.describe(event))
    }
  }

  #flush(event: number): void {
    const offset = offsetOf(this.#events, event)
    const state = this.#pending.get(offset)
    if (state?.dirty !== true) {
      if (!this.#syncedValues.has(offset)) this.#find('flush of a clean line', event, this.#events.describe(event))
    } else {
      state.dirty = false
      state.flushed = true
    }
    this.#unfenced++
    // Values that stand in their places are flushed behind the record that has their hash.
    if (this.#counts.fences > 0 || this.#counts.record?.hashes(offset) !== true) this.#counts.flushes++
  }

  #fence(event: number): void {
    if (this.#unfenced === 0) this.#find('empty fence', event, this.#events.describe(event))
    this.#unfenced = 0
    for (const [offset, { flushed }] of this.#pending) if (flushed) this.#pending.delete(offset)
    const { record, fences } = this.#counts
    if (fences === 0 && record !== undefined && record.kind !== RECORD_UNDO) {
      if (record.kind === RECORD_SLOT) this.#covering = []
      this.#covering.push(record)
    }
    this.#counts.fences++
  }

  #beginBarrier(wholeFile: boolean): void {
    const syncing = this.#syncing[wholeFile ? 1 : 0]
    syncing.clear()
    for (const [offset, { flushed, event }] of this.#pending) if (wholeFile || flushed) syncing.set(offset, event)
  }

  #mark(event: number): void {
    const { label } = this.#events.mark(event)
    if (label === 'opening') this.#recovering = true
    if (label === 'opened') this.#recovering = false
    if (label !== MARK_ACKNOWLEDGED && label !== 'opened' && label !== 'closed') return
    this.#syncedValues.clear()
    this.#pool.rememberFree()
    for (const [offset, { event: stored }] of this.#pending) {
      // The anchor of a checkpoint in the background: until it is durable the other copy counts.
      if (label === MARK_ACKNOWLEDGED && this.#pool.region(offset) === 'anchor') continue
      // Whatever an aborted transaction has left in free space is nobody's.
      if (this.#isCovered(offset) || this.#pool.wasFree(this.#events.pageId(stored)) || this.#isRest(offset, stored))
        continue
      this.#find(
        'not durable when acknowledged',
        event,
        `${this.#events.describe(stored)} (event ${stored}), at ${label}`,
      )
    }
  }

  #isCovered(offset: number): boolean {
    return this.#covering.some((record) => record.covers(offset))
  }

  /**
   * Behind the end of a value there may be lines of one that an abort or a rollback has taken back. Values begin at the start of a
   * page, so that the first line of each of their pages is as safe as the others.
   */
  #isRest(offset: number, stored: number): boolean {
    if (this.#events.program(stored) !== 0) return false
    const first = offset - (offset % PAGE_BYTES)
    return !this.#pending.has(first) || this.#isCovered(first)
  }

  /**
   * Undo: the record and fresh lines, a fence, every line of the record once, each flushed, a fence. Redo: the record, a fence
   * (and one before it where fresh lines go past the record), then the lines, none twice and none flushed; afterwards memory
   * holds what the record says (a value in an extent stands there already). Slots: fresh lines and the record, a fence, every line
   * of the record once, each flushed; only growth has a fence before. Without a record: the two lines of an anchor.
   */
  #checkBudget(lastEvent: number): void {
    const { record, stores, flushes, fences, fencesBeforeRecord } = this.#counts
    const wrong: string[] = []
    if (record === undefined) {
      if (stores > ANCHOR_LINES) wrong.push(`${stores} lines stored without a record`)
      if (fences > 1) wrong.push(`${fences} fences without a record`)
    } else if (record.kind === RECORD_UNDO) {
      if (fencesBeforeRecord > 0) wrong.push(`${fencesBeforeRecord} fences before the record`)
      if (fences !== 2) wrong.push(`${fences} fences from the record on instead of 2`)
      if (stores !== record.lineCount) wrong.push(`${stores} lines stored, ${record.lineCount} recorded`)
      if (flushes !== record.lineCount) wrong.push(`${flushes} lines flushed, ${record.lineCount} recorded`)
    } else {
      if (fencesBeforeRecord > 1) wrong.push(`${fencesBeforeRecord} fences before the record`)
      if (fences !== 1) wrong.push(`${fences} fences from the record on instead of 1`)
      if (stores > record.lineCount) wrong.push(`${stores} lines stored, ${record.lineCount} recorded`)
      const expected = record.kind === RECORD_SLOT ? record.lineCount : 0
      if (flushes !== expected) wrong.push(`${flushes} lines flushed instead of ${expected}`)
      const differing = record.differing(this.#pool)
      if (differing > 0) wrong.push(`${differing} lines of the record have not been stored`)
    }
    if (wrong.length > 0) this.#find('budget', lastEvent, wrong.join(', '))
  }
}

const ANCHOR_LINES = ANCHOR_BYTES / LINE_BYTES

function noCounts(): ProgramCounts {
  return { record: undefined, stores: 0, flushes: 0, fences: 0, fencesBeforeRecord: 0 }
}

function offsetOf(events: EventLog, event: number): number {
  return events.pageId(event) * PAGE_BYTES + events.line(event) * LINE_BYTES
}

import { LINE_BYTES } from './program.js'

/** An ordinary store of one line. */
export const EVENT_STORE = 1
/** A non-temporal store of one line. */
export const EVENT_STORE_NON_TEMPORAL = 2
export const EVENT_FLUSH = 3
export const EVENT_FENCE = 4
/** A fence and an fdatasync of the whole file. */
export const EVENT_SYNC_ALL = 5
/** Zeros were written from page `pageId` up to `EventLog.pageCount` and synced. */
export const EVENT_GROW = 6
/** Something the caller wants to find again, such as the acknowledgement of a transaction. */
export const EVENT_MARK = 7

/** A barrier has begun that nobody waits for; its page is 1 when it covers the whole file. */
export const EVENT_BARRIER_START = 8
/** That barrier has ended, of those that cover the whole file (page 1) or that do not: what it covered is durable. */
export const EVENT_BARRIER_END = 9

export type EventKind = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9

/** Names for messages; index = kind. */
export const EVENT_NAMES = [
  'none',
  'store',
  'nt-store',
  'flush',
  'fence',
  'sync-all',
  'grow',
  'mark',
  'barrier-start',
  'barrier-end',
] as const

/** A marker the caller added to the log. */
export interface Mark {
  readonly label: string
  readonly data: unknown
}

const WORDS_PER_EVENT = 5
const WORD_KIND = 0 // kind in the low byte, line above it
const WORD_PAGE = 1
const WORD_PROGRAM = 2
const WORD_OPERATION = 3
const WORD_PAYLOAD = 4 // stores: 64-byte block of the pool; grow: pages; mark: index

/**
 * Everything that reached the medium of a simulated pool, in program order: one entry a store, flush or fence. The
 * sequence number of an event is its index. Entries are five words in one typed array, the stored lines lie in one
 * byte pool: some hundred transactions cost a few megabytes and no garbage.
 */
export class EventLog {
  #words = new Uint32Array(WORDS_PER_EVENT * 256)
  #lines = Buffer.alloc(LINE_BYTES * 256)
  #lineCount = 0
  readonly #marks: Mark[] = []
  #count = 0

  /** Number of events so far. */
  get count(): number {
    return this.#count
  }

  /** Adds a store of the 64 bytes at `offset` of `source`. */
  appendStore(
    kind: typeof EVENT_STORE | typeof EVENT_STORE_NON_TEMPORAL,
    pageId: number,
    line: number,
    source: Uint8Array,
    offset: number,
    program: number,
    operation: number,
  ): void {
    const start = this.#lineCount * LINE_BYTES
    if (start === this.#lines.length) {
      const larger = Buffer.alloc(start * 2)
      larger.set(this.#lines)
      this.#lines = larger
    }
    this.#lines.set(source.subarray(offset, offset + LINE_BYTES), start)
    this.append(kind, pageId, line, program, operation, this.#lineCount++)
  }

  /** Adds an event without data. */
  append(kind: EventKind, pageId: number, line: number, program: number, operation: number, payload = 0): void {
    const at = this.#count * WORDS_PER_EVENT
    if (at === this.#words.length) {
      const larger = new Uint32Array(at * 2)
      larger.set(this.#words)
      this.#words = larger
    }
    this.#words[at + WORD_KIND] = kind | (line << 8)
    this.#words[at + WORD_PAGE] = pageId
    this.#words[at + WORD_PROGRAM] = program
    this.#words[at + WORD_OPERATION] = operation
    this.#words[at + WORD_PAYLOAD] = payload
    this.#count++
  }

  /** Adds a marker of the caller. */
  appendMark(label: string, data: unknown, program: number): void {
    this.append(EVENT_MARK, 0, 0, program, 0, this.#marks.length)
    this.#marks.push({ label, data })
  }

  /** Copies events `from` (inclusive) to `to` (exclusive) of another log behind the events of this one. */
  appendFrom(other: EventLog, from = 0, to = other.count): void {
    for (let event = from; event < to; event++) {
      const kind = other.kind(event)
      const program = other.program(event)
      if (kind === EVENT_STORE || kind === EVENT_STORE_NON_TEMPORAL) {
        const [pageId, line] = [other.pageId(event), other.line(event)]
        this.appendStore(kind, pageId, line, other.bytes(event), 0, program, other.operation(event))
      } else if (kind === EVENT_MARK) {
        const { label, data } = other.mark(event)
        this.appendMark(label, data, program)
      } else {
        const [pageId, line, payload] = [other.pageId(event), other.line(event), other.#word(event, WORD_PAYLOAD)]
        this.append(kind, pageId, line, program, other.operation(event), payload)
      }
    }
  }

  kind(event: number): EventKind {
    return (this.#word(event, WORD_KIND) & 0xff) as EventKind
  }

  pageId(event: number): number {
    return this.#word(event, WORD_PAGE)
  }

  line(event: number): number {
    return this.#word(event, WORD_KIND) >>> 8
  }

  /** Number of the program that caused the event, from 1 on; 0 outside programs (extents, growth). */
  program(event: number): number {
    return this.#word(event, WORD_PROGRAM)
  }

  /** Position of the operation in its program, from 0 on. */
  operation(event: number): number {
    return this.#word(event, WORD_OPERATION)
  }

  /** The 64 bytes of a store: a view, valid until the next event is added. */
  bytes(event: number): Buffer {
    const start = this.#word(event, WORD_PAYLOAD) * LINE_BYTES
    return this.#lines.subarray(start, start + LINE_BYTES)
  }

  /** Pages of the pool after a grow event. */
  pageCount(event: number): number {
    return this.#word(event, WORD_PAYLOAD)
  }

  mark(event: number): Mark {
    return this.#marks[this.#word(event, WORD_PAYLOAD)]
  }

  /** Markers among the first `count` events, oldest first: what the caller had been told when the power failed. */
  marksBefore(count: number): Mark[] {
    const found: Mark[] = []
    for (let event = 0; event < count; event++) {
      if (this.kind(event) === EVENT_MARK) found.push(this.mark(event))
    }
    return found
  }

  /** One line about an event, for messages. */
  describe(event: number): string {
    const kind = this.kind(event)
    const name = EVENT_NAMES[kind]
    if (kind === EVENT_MARK) return `mark ${this.mark(event).label}`
    if (kind === EVENT_BARRIER_START || kind === EVENT_BARRIER_END)
      return `${name}${this.pageId(event) === 1 ? ' (whole file)' : ''}`
    if (kind === EVENT_GROW) return `grow from ${this.pageId(event)} to ${this.pageCount(event)} pages`
    const where = `program ${this.program(event)} operation ${this.operation(event)}`
    if (kind === EVENT_FENCE || kind === EVENT_SYNC_ALL) return `${name} (${where})`
    return `${name} ${this.pageId(event)}:${this.line(event)} (${where})`
  }

  #word(event: number, word: number): number {
    return this.#words[event * WORDS_PER_EVENT + word]
  }
}

/** A recorded run: what the medium held before, and everything that was done to it since. */
export interface Trace {
  /** Content of the medium when recording began, all of it durable. */
  readonly image: Uint8Array
  readonly events: EventLog
}

/**
 * The trace of a process that was killed after `count` events of `first`, and of what its successor did (`second`),
 * on a machine that stayed up: what the first process left in the cache is still there, and still volatile.
 */
export function joinTraces(first: Trace, count: number, second: Trace): Trace {
  const events = new EventLog()
  events.appendFrom(first.events, 0, count)
  events.appendFrom(second.events)
  return { image: first.image, events }
}

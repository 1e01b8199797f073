import { DaxkvError } from '../errors.js'
import {
  EVENT_BARRIER_END,
  EVENT_BARRIER_START,
  EVENT_FENCE,
  EVENT_FLUSH,
  EVENT_GROW,
  EVENT_STORE,
  EVENT_STORE_NON_TEMPORAL,
  EVENT_SYNC_ALL,
  EventLog,
} from './event-log.js'
import type { EventKind, Trace } from './event-log.js'
import { MemoryView } from './memory-view.js'
import { STAGING_CHUNK_FRAMES } from './persistent-memory.js'
import type { Granularity, MappingFault, PersistCounters, Persistence, PersistentMemory } from './persistent-memory.js'
import { copyLine, ProgramRunner } from './program-runner.js'
import type { ProgramTarget } from './program-runner.js'
import { LINE_BYTES, PAGE_BYTES, PAGE_SHIFT } from './program.js'

const INITIAL_PROGRAM_WORDS = 1024
/** Large enough to come from the kernel as untouched pages: smaller ones are zeroed by hand, which takes longer. */
const FIRST_SEGMENT_BYTES = 1024 * 1024

export interface SimulatedMemoryOptions {
  /** A multiple of 4096. */
  readonly sizeBytes: number
  /** log2 of the pages in a segment. */
  readonly segmentShift: number
  /** Granularity to behave as. Default `cache-line`. */
  readonly granularity?: Granularity
  /** Whether the granularity was asked for by `forceGranularity`. Default false. */
  readonly forced?: boolean
  /** Keep an event log, from which crash images can be made. Default false. */
  readonly record?: boolean
  /** First content of the medium, such as a crash image (copied). The rest is zero. */
  readonly image?: Uint8Array
}

/**
 * The simulated executor: plain memory in the place of the mapping. It serves `open(':memory:')`, where it must open
 * in well under 0.1 ms (so nothing is filled or allocated that the kernel does not hand out lazily), and the crash
 * laboratory, for which it records every store, flush and fence.
 */
export class SimulatedMemory implements PersistentMemory {
  readonly persistence: Persistence
  readonly segments: MemoryView[] = []
  readonly segmentShift: number
  readonly faultWords = new Uint32Array(1)
  readonly stagingChunks: MemoryView[] = []
  readonly counters: PersistCounters = {
    fences: 0,
    flushedLines: 0,
    nonTemporalLines: 0,
    syncs: 0,
    programs: 0,
    backgroundSyncs: 0,
  }
  #program = new Uint32Array(INITIAL_PROGRAM_WORDS)
  #sizeBytes = 0
  /** Beyond this nothing was ever stored: memory from here on is still zero. */
  #writtenBytes: number
  readonly #granularity: Granularity
  readonly #runner: ProgramRunner
  #events: EventLog | undefined
  #initialImage: Uint8Array = new Uint8Array(0)
  #failAt = Infinity
  /** Number of the running program for the event log; 0 between programs. */
  #runningProgram = 0
  #unsyncedLines = false
  #closed = false
  /** Called when the barrier under way ends. */
  #barrierEnded: ((error: DaxkvError | undefined) => void) | undefined
  #barrierCoversFile = false
  #dataSyncEnded: ((error: DaxkvError | undefined) => void) | undefined
  /** Whether data syncs are made beside barriers; else checkpoints take a barrier. */
  syncsBeside = true
  /**
   * When a barrier ends that nobody waits for: on the event loop's next turn, or (tests) when `endBarrier` is called.
   */
  barriersEnd: 'soon' | 'on demand' = 'soon'

  constructor(options: SimulatedMemoryOptions) {
    const { sizeBytes, segmentShift, granularity = 'cache-line', forced = false, record = false, image } = options
    checkSize(sizeBytes)
    this.segmentShift = segmentShift
    this.#granularity = granularity
    this.persistence = {
      granularity,
      detectedGranularity: 'cache-line',
      forced,
      flushInstruction: 'none',
      persistenceDomain: 'unknown',
      mapSync: false,
      executor: 'simulated',
      reason: 'the store is in memory only: nothing outlives the process',
    }
    this.#resize(sizeBytes)
    this.#writtenBytes = sizeBytes
    if (image !== undefined) this.#load(image)
    this.#runner = new ProgramRunner(this.#target())
    if (record) this.startRecording()
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  mapSegment(index: number): MemoryView {
    return this.segments[index]
  }

  get program(): Uint32Array {
    return this.#program
  }

  reserveProgram(words: number): void {
    if (words <= this.#program.length) return
    const larger = new Uint32Array(Math.max(words, this.#program.length * 2))
    larger.set(this.#program)
    this.#program = larger
  }

  addStagingChunk(): void {
    this.stagingChunks.push(new MemoryView(new ArrayBuffer(STAGING_CHUNK_FRAMES * PAGE_BYTES)))
  }

  trimStagingChunks(keep: number): void {
    if (keep < this.stagingChunks.length) this.stagingChunks.length = keep
  }

  run(words: number): void {
    this.#checkOpen()
    this.#runner.validate(this.#program, words)
    this.#runningProgram = ++this.counters.programs
    try {
      this.#runner.run(this.#program, words)
    } finally {
      this.#runningProgram = 0
      this.#runner.operation = 0
    }
  }

  startBarrier(wholeFile: boolean, ended: (error: DaxkvError | undefined) => void): void {
    this.#checkOpen()
    if (this.#barrierEnded !== undefined) throw new DaxkvError('INTERNAL', 'a barrier is under way already')
    this.#note(EVENT_BARRIER_START, wholeFile ? 1 : 0, 0)
    this.counters.fences++
    if (wholeFile || (this.#granularity === 'page' && this.#unsyncedLines)) this.counters.syncs++
    this.#unsyncedLines = false
    this.#barrierCoversFile = wholeFile
    this.#barrierEnded = ended
    if (this.barriersEnd === 'on demand') return
    setImmediate(() => {
      // Another one may be under way, if somebody has waited for this one.
      if (this.#barrierEnded === ended) this.endBarrier()
    })
  }

  finishBarrier(): boolean {
    this.#checkOpen()
    if (this.#barrierEnded === undefined) return false
    this.#barrierEnded = undefined
    this.#note(EVENT_BARRIER_END, this.#barrierCoversFile ? 1 : 0, 0)
    return true
  }

  startDataSync(ended: (error: DaxkvError | undefined) => void): boolean {
    this.#checkOpen()
    if (!this.syncsBeside) return false
    if (this.#dataSyncEnded !== undefined) throw new DaxkvError('INTERNAL', 'a data sync is under way already')
    this.#note(EVENT_BARRIER_START, 1, 0)
    this.counters.fences++
    this.counters.syncs++
    this.#dataSyncEnded = ended
    if (this.barriersEnd === 'on demand') return true
    setImmediate(() => {
      if (this.#dataSyncEnded === ended) this.endDataSync()
    })
    return true
  }

  finishDataSync(wait: boolean): boolean {
    this.#checkOpen()
    if (this.#dataSyncEnded === undefined || !(wait || this.barriersEnd === 'soon')) return false
    this.#dataSyncEnded = undefined
    this.#note(EVENT_BARRIER_END, 1, 0)
    return true
  }

  get dataSyncUnderWay(): boolean {
    return this.#dataSyncEnded !== undefined
  }

  /** Lets the data sync under way end, as the worker thread does. */
  endDataSync(): void {
    const ended = this.#dataSyncEnded
    if (ended === undefined || this.#closed) return
    let failure: DaxkvError | undefined
    try {
      this.finishDataSync(true)
      this.counters.backgroundSyncs++
    } catch (error) {
      failure = error as DaxkvError // `#note` throws no other
    }
    ended(failure)
  }

  /** True while a barrier is under way. */
  get barrierUnderWay(): boolean {
    return this.#barrierEnded !== undefined
  }

  /** Lets the barrier under way end, as the worker thread does. */
  endBarrier(): void {
    const ended = this.#barrierEnded
    if (ended === undefined || this.#closed) return
    let failure: DaxkvError | undefined
    try {
      this.finishBarrier()
      this.counters.backgroundSyncs++
    } catch (error) {
      failure = error as DaxkvError // `#note` throws no other
    }
    ended(failure)
  }

  writeExtent(pageId: number, bytes: Uint8Array, hashOut: Uint32Array, lazily = false): void {
    this.#checkOpen()
    this.#runner.writeExtent(pageId, bytes, hashOut, lazily)
  }

  hashExtent(pageId: number, byteLength: number, hashOut: Uint32Array): void {
    this.#checkOpen()
    this.#runner.hashExtent(pageId, byteLength, hashOut)
  }

  verifyPage(pageId: number): boolean {
    this.#checkOpen()
    return this.#runner.verifyPage(pageId)
  }

  /** Nothing is written ahead: `grow` does all of it, as after a preparation that was lost. */
  prepareGrowth(newSizeBytes: number, ended: (prepared: boolean) => void): boolean {
    this.#checkOpen()
    const size = this.#sizeBytes
    if (newSizeBytes <= size) return false
    setImmediate(() => {
      if (!this.#closed && this.#sizeBytes === size) ended(true)
    })
    return true
  }

  grow(newSizeBytes: number): void {
    this.#checkOpen()
    checkSize(newSizeBytes)
    const oldSizeBytes = this.#sizeBytes
    if (newSizeBytes < oldSizeBytes) {
      throw new DaxkvError('INVALID_ARGUMENT', `a pool cannot shrink from ${oldSizeBytes} to ${newSizeBytes} bytes`, {
        limit: oldSizeBytes,
        actual: newSizeBytes,
      })
    }
    // Before the change: an injected failure leaves the size as it was, as a full disk does.
    this.#note(EVENT_GROW, oldSizeBytes / PAGE_BYTES, 0, newSizeBytes / PAGE_BYTES)
    this.#resize(newSizeBytes)
    this.#clear(oldSizeBytes, Math.min(newSizeBytes, this.#writtenBytes))
    this.#writtenBytes = Math.max(this.#writtenBytes, newSizeBytes)
  }

  limitTo(sizeBytes: number): void {
    this.#checkOpen()
    checkSize(sizeBytes)
    if (sizeBytes > this.#sizeBytes) {
      throw new DaxkvError('INTERNAL', `${sizeBytes} bytes are more than the pool has`, {
        limit: this.#sizeBytes,
        actual: sizeBytes,
      })
    }
    this.#sizeBytes = sizeBytes
  }

  takeFault(): MappingFault | undefined {
    return undefined
  }

  /** Detaches all views, as unmapping does: a stale view has length 0 afterwards. A trace stays readable. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const view of [...this.segments, ...this.stagingChunks]) {
      const buffer = view.u32.buffer as ArrayBuffer // MemoryView is made from one
      structuredClone(buffer, { transfer: [buffer] })
    }
    this.segments.length = 0
    this.stagingChunks.length = 0
    this.#program = new Uint32Array(0)
  }

  /** Begins a new trace; everything stored so far is taken as durable. */
  startRecording(): void {
    this.#initialImage = this.image()
    this.#events = new EventLog()
  }

  /** What was recorded since the last `startRecording`. The log keeps growing while the memory is used. */
  trace(): Trace {
    if (this.#events === undefined) throw new DaxkvError('INTERNAL', 'this memory was created without `record`')
    return { image: this.#initialImage, events: this.#events }
  }

  /** Adds a marker to the trace, such as the acknowledgement of a transaction. Without recording, nothing happens. */
  mark(label: string, data?: unknown): void {
    this.#events?.appendMark(label, data, this.#runningProgram)
  }

  /** Lets the executor fail with PERSIST_FAILED in place of the event that follows `count` more events. */
  failAfterEvents(count: number): void {
    this.#failAt = this.trace().events.count + count
  }

  /** A copy of the whole file, also of what `limitTo` cut off: what another process would read now. */
  image(): Buffer {
    const bytes = Buffer.alloc(this.#writtenBytes)
    const segmentBytes = PAGE_BYTES << this.segmentShift
    for (let index = 0; index < this.segments.length; index++) this.segments[index].u8.copy(bytes, index * segmentBytes)
    return bytes
  }

  /** The effects of a program on plain memory: only ordinary stores change anything, the rest is counted and noted. */
  #target(): ProgramTarget {
    return {
      segments: this.segments,
      segmentShift: this.segmentShift,
      mapSegment: (index) => this.segments[index],
      stagingChunks: this.stagingChunks,
      sizeBytes: () => this.#sizeBytes,
      storeLine: (pageId, line, source, offset) => {
        this.#noteStore(EVENT_STORE, pageId, line, source, offset)
        this.#copyToPool(pageId, line, source, offset)
      },
      storeLineNonTemporal: (pageId, line, source, offset) => {
        this.#noteStore(EVENT_STORE_NON_TEMPORAL, pageId, line, source, offset)
        this.counters.nonTemporalLines++
        this.#unsyncedLines = true
        this.#copyToPool(pageId, line, source, offset)
      },
      flushLine: (pageId, line) => {
        this.#note(EVENT_FLUSH, pageId, line)
        // With eADR there is nothing to flush.
        if (this.#granularity === 'byte') return
        this.counters.flushedLines++
        this.#unsyncedLines = true
      },
      fence: () => {
        this.#note(EVENT_FENCE, 0, 0)
        this.counters.fences++
        if (this.#granularity === 'page' && this.#unsyncedLines) this.counters.syncs++
        this.#unsyncedLines = false
      },
      syncAll: () => {
        this.#note(EVENT_SYNC_ALL, 0, 0)
        this.counters.fences++
        this.counters.syncs++
        this.#unsyncedLines = false
      },
    }
  }

  #copyToPool(pageId: number, line: number, source: MemoryView, offset: number): void {
    const base = (pageId & ((1 << this.segmentShift) - 1)) << PAGE_SHIFT
    copyLine(this.segments[pageId >>> this.segmentShift], base + line * LINE_BYTES, source, offset)
  }

  #noteStore(
    kind: typeof EVENT_STORE | typeof EVENT_STORE_NON_TEMPORAL,
    pageId: number,
    line: number,
    source: MemoryView,
    offset: number,
  ): void {
    if (this.#events === undefined) return
    this.#checkFailure(this.#events)
    this.#events.appendStore(kind, pageId, line, source.u8, offset, this.#runningProgram, this.#runner.operation)
  }

  #note(kind: EventKind, pageId: number, line: number, payload = 0): void {
    if (this.#events === undefined) return
    this.#checkFailure(this.#events)
    this.#events.append(kind, pageId, line, this.#runningProgram, this.#runner.operation, payload)
  }

  #checkFailure(events: EventLog): void {
    if (events.count < this.#failAt) return
    this.#failAt = Infinity
    throw new DaxkvError('PERSIST_FAILED', `simulated failure in place of event ${events.count}`)
  }

  #checkOpen(): void {
    if (this.#closed) throw new DaxkvError('CLOSED', 'the pool is closed')
  }

  #load(image: Uint8Array): void {
    const segmentBytes = PAGE_BYTES << this.segmentShift
    const end = Math.min(image.length, this.#sizeBytes)
    for (let start = 0; start < end; start += segmentBytes) {
      this.segments[start / segmentBytes].u8.set(image.subarray(start, Math.min(start + segmentBytes, end)))
    }
  }

  #clear(start: number, end: number): void {
    const segmentBytes = PAGE_BYTES << this.segmentShift
    for (let at = start; at < end; at += PAGE_BYTES) {
      const inSegment = at % segmentBytes
      this.segments[Math.floor(at / segmentBytes)].u8.fill(0, inSegment, inSegment + PAGE_BYTES)
    }
  }

  #resize(sizeBytes: number): void {
    const segmentBytes = PAGE_BYTES << this.segmentShift
    for (let index = 0; index * segmentBytes < sizeBytes; index++) {
      const needed = Math.min(segmentBytes, sizeBytes - index * segmentBytes)
      const before = this.segments[index] as MemoryView | undefined
      if (before !== undefined && before.byteLength >= needed) continue
      // A whole segment at once would be cheap memory (nothing is touched), but V8 takes it for garbage to collect.
      const doubled = Math.max(needed, 2 * (before?.byteLength ?? 0), FIRST_SEGMENT_BYTES)
      const view = new MemoryView(new ArrayBuffer(Math.min(segmentBytes, doubled)))
      if (before !== undefined) view.u8.set(before.u8)
      this.segments[index] = view
    }
    this.#sizeBytes = sizeBytes
  }
}

function checkSize(sizeBytes: number): void {
  if (Number.isSafeInteger(sizeBytes) && sizeBytes > 0 && sizeBytes % PAGE_BYTES === 0) return
  throw new DaxkvError(
    'INVALID_ARGUMENT',
    `the size of a pool is a multiple of ${PAGE_BYTES} bytes, not ${sizeBytes}`,
    {
      actual: sizeBytes,
    },
  )
}

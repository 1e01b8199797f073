import { DaxkvError } from '../../src/errors.js'
import { MemoryView } from '../../src/pmem/memory-view.js'
import { STAGING_CHUNK_FRAMES } from '../../src/pmem/persistent-memory.js'
import type { Granularity, MappingFault, Persistence, PersistentMemory } from '../../src/pmem/persistent-memory.js'
import { copyLine, ProgramRunner } from '../../src/pmem/program-runner.js'
import { LINE_BYTES, PAGE_BYTES } from '../../src/pmem/program.js'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { ReadTracker } from './read-tracker.js'

/** A recording memory that outlives the engines opened on it, as a file outlives processes. */
export class RecordingMemory extends SimulatedMemory {
  override close(): void {
    // The next engine takes over where this one has stopped.
  }
}

/**
 * Memory for recovering crash images by the hundred thousand: one allocation for all of them, nothing recorded. It runs
 * the programs with the same runner as the simulated executor.
 */
export class ReplayMemory implements PersistentMemory {
  readonly persistence: Persistence
  readonly segments: MemoryView[] = []
  readonly stagingChunks: MemoryView[] = []
  readonly faultWords = new Uint32Array(1)
  readonly counters = { fences: 0, flushedLines: 0, nonTemporalLines: 0, syncs: 0, programs: 0, backgroundSyncs: 0 }
  program = new Uint32Array(1024)
  sizeBytes = 0
  /** Bytes of the file, also those that `limitTo` cut off. */
  fileBytes = 0
  /** What was read of the file since `load`, when asked for. */
  readonly tracker = new ReadTracker()
  #tracking = false
  readonly #spares: MemoryView[] = []
  readonly #trackedSpares: MemoryView[] = []
  readonly #chunks: MemoryView[] = []
  readonly #runner: ProgramRunner
  #barrierUnderWay = false

  constructor(
    readonly segmentShift: number,
    granularity: Granularity,
  ) {
    this.persistence = {
      granularity,
      detectedGranularity: granularity,
      forced: false,
      flushInstruction: 'none',
      persistenceDomain: 'unknown',
      mapSync: false,
      executor: 'simulated',
      reason: 'crash images are recovered in plain memory',
    }
    const count = (): void => {
      this.counters.fences++
    }
    const store = (pageId: number, line: number, source: MemoryView, offset: number): void => {
      const base = (pageId & ((1 << segmentShift) - 1)) * PAGE_BYTES
      copyLine(this.segments[pageId >>> segmentShift], base + line * LINE_BYTES, source, offset)
    }
    this.#runner = new ProgramRunner({
      segments: this.segments,
      segmentShift,
      mapSegment: (index) => this.segments[index],
      stagingChunks: this.stagingChunks,
      sizeBytes: () => this.sizeBytes,
      storeLine: store,
      storeLineNonTemporal: store,
      flushLine: () => {
        this.counters.flushedLines++
      },
      fence: count,
      syncAll: count,
    })
  }

  /** Takes an image as the content of the file. With `tracked`, `tracker` knows afterwards what was read of it. */
  load(image: Uint8Array, tracked = false): void {
    this.fileBytes = image.length
    if (tracked !== this.#tracking) this.segments.length = 0
    this.#tracking = tracked
    this.#resize(image.length)
    const segmentBytes = PAGE_BYTES << this.segmentShift
    for (let start = 0; start < image.length; start += segmentBytes) {
      this.#spares[start / segmentBytes].u8.set(image.subarray(start, start + segmentBytes))
    }
    if (tracked) this.tracker.reset(image.length)
  }

  /** The memory of a segment, whose reads are not tracked. */
  rawSegment(index: number): MemoryView {
    return this.#spares[index]
  }

  /** Makes the whole file visible again, as a process that opens it anew sees it. */
  reopen(): void {
    this.#resize(this.fileBytes)
  }

  /** A copy of the whole file. */
  image(): Buffer {
    const bytes = Buffer.alloc(this.fileBytes)
    this.segments.forEach((_, index) => this.#spares[index].u8.copy(bytes, index * (PAGE_BYTES << this.segmentShift)))
    return bytes
  }

  reserveProgram(words: number): void {
    if (words <= this.program.length) return
    const larger = new Uint32Array(Math.max(words, this.program.length * 2))
    larger.set(this.program)
    this.program = larger
  }

  addStagingChunk(): void {
    const index = this.stagingChunks.length
    this.#chunks[index] ??= new MemoryView(new ArrayBuffer(STAGING_CHUNK_FRAMES * PAGE_BYTES))
    this.stagingChunks.push(this.#chunks[index])
  }

  trimStagingChunks(keep: number): void {
    if (keep < this.stagingChunks.length) this.stagingChunks.length = keep
  }

  mapSegment(index: number): MemoryView {
    return this.segments[index]
  }

  run(words: number): void {
    this.counters.programs++
    this.#runner.validate(this.program, words)
    this.#runner.run(this.program, words)
  }

  startBarrier(): void {
    // Nothing needs to be made durable here, and explorations do not wait: it ends when somebody waits for it, or not at all.
    this.#barrierUnderWay = true
  }

  finishBarrier(): boolean {
    const underWay = this.#barrierUnderWay
    this.#barrierUnderWay = false
    return underWay
  }

  writeExtent(pageId: number, bytes: Uint8Array, hashOut: Uint32Array, lazily = false): void {
    this.#runner.writeExtent(pageId, bytes, hashOut, lazily)
  }

  hashExtent(pageId: number, byteLength: number, hashOut: Uint32Array): void {
    this.#runner.hashExtent(pageId, byteLength, hashOut)
  }

  verifyPage(pageId: number): boolean {
    return this.#runner.verifyPage(pageId)
  }

  grow(newSizeBytes: number): void {
    const old = this.sizeBytes
    if (newSizeBytes < old) throw new DaxkvError('INVALID_ARGUMENT', 'a pool cannot shrink')
    this.#resize(newSizeBytes)
    this.fileBytes = Math.max(this.fileBytes, newSizeBytes)
    const segmentBytes = PAGE_BYTES << this.segmentShift
    for (let at = old; at < newSizeBytes; at += PAGE_BYTES) {
      const within = at % segmentBytes
      this.segments[Math.floor(at / segmentBytes)].u8.fill(0, within, within + PAGE_BYTES)
    }
  }

  limitTo(sizeBytes: number): void {
    this.sizeBytes = sizeBytes
  }

  takeFault(): MappingFault | undefined {
    return undefined
  }

  close(): void {
    // Used again for the next image.
  }

  #resize(sizeBytes: number): void {
    const count = Math.ceil(sizeBytes / (PAGE_BYTES << this.segmentShift))
    for (let index = this.#spares.length; index < count; index++) {
      this.#spares.push(new MemoryView(new ArrayBuffer(PAGE_BYTES << this.segmentShift)))
    }
    this.segments.length = Math.min(this.segments.length, count)
    for (let index = this.segments.length; index < count; index++) {
      this.segments.push(this.#tracking ? this.#trackedSpare(index) : this.#spares[index])
    }
    this.sizeBytes = sizeBytes
  }

  #trackedSpare(index: number): MemoryView {
    return (this.#trackedSpares[index] ??= this.tracker.view(
      this.#spares[index],
      index * (PAGE_BYTES << this.segmentShift),
    ))
  }
}

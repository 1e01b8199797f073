import { markAsUntransferable } from 'node:worker_threads'
import { DaxkvError } from '../errors.js'
import { closeQuietly, statFile } from './file-calls.js'
import { decidePersistence, granularityRank, readPersistenceDomain } from './granularity.js'
import { MemoryView } from './memory-view.js'
import {
  CALL_BYTE_LENGTH,
  CALL_HASH_HI,
  CALL_HASH_LO,
  CALL_LAZILY,
  CALL_PAGE_ID,
  CALL_RESULT,
  CALL_WORDS,
  CONTROL_CALL,
  CONTROL_CALL_OFFSET,
  CONTROL_COUNTERS,
  CONTROL_COUNTERS_OFFSET,
  CONTROL_FAULT_WORDS,
  CONTROL_STATUS,
  CONTROL_STATUS_OFFSET,
  FAULT_KIND_BUS,
  REFUSALS,
  RUN_CLOSED,
  RUN_MEDIA_ERROR,
  RUN_OK,
  RUN_PERSIST_FAILED,
  RUN_READ_ONLY,
  STATUS_CODE,
  STATUS_ERROR,
  STATUS_KIND,
  STATUS_LENGTH,
  STATUS_OFFSET,
  STATUS_REFUSAL,
  STATUS_WORD_INDEX,
  errnoName,
  nativeAddon,
  systemError,
  WINDOW_SHIFT,
} from './native-binding.js'
import type { NativePool } from './native-binding.js'
import { growthError, probeMapSync } from './native-file.js'
import type { Granularity, MappingFault, PersistCounters, Persistence, PersistentMemory } from './persistent-memory.js'
import { PAGE_BYTES } from './program.js'

/** How to map a pool. */
export interface NativeMemoryOptions {
  /** For messages only. */
  readonly path: string
  /** Capacity: a multiple of 4096, not beyond the end of the file. */
  readonly sizeBytes: number
  /** log2 of the pages in a segment; 18 (1 GiB) is the largest and the normal value. */
  readonly segmentShift: number
  readonly readOnly: boolean
  /** Coarsest acceptable granularity. */
  readonly requireGranularity?: Granularity | undefined
  /** Test override, visible in `persistence.forced`. */
  readonly forceGranularity?: Granularity | undefined
  /** Root of sysfs; tests give another one. */
  readonly sysfsRoot?: string | undefined
}

/** 2^32 page ids. */
const MAX_SIZE_BYTES = 2 ** 32 * PAGE_BYTES
const MAX_SEGMENT_SHIFT = 18
/** 8 MiB each. */
const EAGER_WINDOWS = 1

/** Counters that live in the addon's control block; own enumerable properties, so that they can be copied by spreading. */
function countersOver(words: Float64Array): PersistCounters {
  const counters = { fences: 0, flushedLines: 0, nonTemporalLines: 0, syncs: 0, programs: 0, backgroundSyncs: 0 }
  // enum counter of native/pool.h has this order
  Object.keys(counters).forEach((name, index) => {
    const set = (value: number): void => {
      words[index] = value
    }
    Object.defineProperty(counters, name, { get: () => words[index], set, enumerable: true, configurable: true })
  })
  return counters
}

/** A pool mapped by the native addon. It owns the descriptor, the lock and the mappings until `close`. */
export class NativeMemory implements PersistentMemory {
  readonly persistence: Persistence
  readonly segments: MemoryView[] = []
  readonly segmentShift: number
  readonly stagingChunks: MemoryView[] = []
  readonly faultWords: Uint32Array
  readonly path: string
  readonly readOnly: boolean
  counters: PersistCounters
  sizeBytes: number
  program: Uint32Array
  readonly #pool: NativePool
  readonly #status: Float64Array
  readonly #call: Uint32Array
  readonly #run: () => void
  #closed = false

  private constructor(pool: NativePool, options: NativeMemoryOptions, persistence: Persistence) {
    this.persistence = persistence
    this.segmentShift = Math.min(options.segmentShift, WINDOW_SHIFT)
    this.path = options.path
    this.readOnly = options.readOnly
    this.sizeBytes = options.sizeBytes
    this.#pool = pool
    this.#run = pool.run
    const control = owned(pool.control)
    this.faultWords = new Uint32Array(control, 0, CONTROL_FAULT_WORDS)
    this.counters = countersOver(new Float64Array(control, CONTROL_COUNTERS_OFFSET, CONTROL_COUNTERS))
    this.#status = new Float64Array(control, CONTROL_STATUS_OFFSET, CONTROL_STATUS)
    this.#call = new Uint32Array(control, CONTROL_CALL_OFFSET, CONTROL_CALL)
    this.program = new Uint32Array(owned(pool.program))
    this.#coverWindows()
  }

  /**
   * Maps the pool behind `fd` and takes the descriptor over (it is closed here; the addon keeps a duplicate, to which
   * the lock belongs as well). If this throws, the descriptor and the lock are still the caller's.
   * @throws DaxkvError GRANULARITY_UNAVAILABLE, TRUNCATED, UNSUPPORTED_TARGET, NATIVE_UNAVAILABLE, IO_ERROR.
   */
  static open(fd: number, options: NativeMemoryOptions): NativeMemory {
    checkOptions(options)
    checkFileSize(fd, options)
    const addon = nativeAddon()
    const mapSync = probeMapSync(fd, options.path, options.readOnly)
    const persistence = decidePersistence(
      {
        path: options.path,
        mapSync: mapSync.granted,
        ...(mapSync.errno === undefined ? {} : { mapSyncErrno: mapSync.errno }),
        persistenceDomain: readPersistenceDomain(options.sysfsRoot),
        flushInstruction: addon.flushInstruction(),
      },
      options,
    )
    const rank = granularityRank(persistence.granularity)
    const pool = openPool(fd, options, mapSync.granted, rank)
    let memory: NativeMemory
    try {
      memory = new NativeMemory(pool, options, persistence)
    } catch (error) {
      pool.close()
      throw error
    }
    closeQuietly(fd)
    return memory
  }

  reserveProgram(words: number): void {
    this.#assertOpen()
    if (words <= this.program.length) return
    // doubling: a transaction that grows word by word must not copy each time
    const buffer = this.#pool.reserveProgram(Math.max(words, this.program.length * 2))
    if (typeof buffer === 'number') throw systemError('reserving program memory', this.path, buffer)
    this.program = new Uint32Array(owned(buffer))
  }

  addStagingChunk(): void {
    this.#assertOpen()
    const chunk = this.#pool.addChunk()
    if (typeof chunk === 'number') throw systemError('reserving staging memory', this.path, chunk)
    this.stagingChunks.push(new MemoryView(owned(chunk)))
  }

  trimStagingChunks(keep: number): void {
    this.#assertOpen()
    if (keep >= this.stagingChunks.length) return
    // what the addon could not let go of stays in use: both lists must name the same frames
    this.stagingChunks.length = this.#pool.trimChunks(keep)
  }

  // Hot path: no argument crosses into native code and no result comes back, everything is in the control block.
  run(words: number): void {
    if (this.#closed) throw this.#closedError()
    this.#call[CALL_WORDS] = words
    this.#run()
    if (this.#status[STATUS_CODE] !== RUN_OK) throw this.#failure()
  }

  startBarrier(wholeFile: boolean, ended: (error: DaxkvError | undefined) => void): void {
    this.#assertOpen()
    const errno = this.#pool.startBarrier(wholeFile, (result) => {
      ended(result === 0 ? undefined : this.#barrierFailure(result))
    })
    // What was noted for it may be lost to any later barrier.
    if (errno !== 0) throw this.#barrierFailure(errno)
  }

  finishBarrier(): boolean {
    this.#assertOpen()
    const errno = this.#pool.finishBarrier()
    if (errno > 0) throw this.#barrierFailure(errno)
    return errno === 0
  }

  startDataSync(ended: (error: DaxkvError | undefined) => void): boolean {
    this.#assertOpen()
    const errno = this.#pool.startDataSync((result) => {
      ended(result === 0 ? undefined : this.#barrierFailure(result))
    })
    return errno === 0
  }

  finishDataSync(wait: boolean): boolean {
    this.#assertOpen()
    const errno = this.#pool.finishDataSync(wait)
    if (errno > 0) throw this.#barrierFailure(errno)
    return errno === 0
  }

  writeExtent(pageId: number, bytes: Uint8Array, hashOut: Uint32Array, lazily = false): void {
    this.#assertOpen()
    this.#call[CALL_PAGE_ID] = pageId
    this.#call[CALL_LAZILY] = lazily ? 1 : 0
    this.#pool.writeExtent(bytes)
    if (this.#status[STATUS_CODE] !== RUN_OK) throw this.#failure()
    hashOut[0] = this.#call[CALL_HASH_LO]
    hashOut[1] = this.#call[CALL_HASH_HI]
  }

  hashExtent(pageId: number, byteLength: number, hashOut: Uint32Array): void {
    this.#assertOpen()
    // the word would wrap, and a short hash be taken for that of the whole
    if (byteLength > 0xffffffff) {
      throw new DaxkvError('INTERNAL', `an extent of ${byteLength} bytes cannot exist`, {
        path: this.path,
        actual: byteLength,
      })
    }
    this.#call[CALL_PAGE_ID] = pageId
    this.#call[CALL_BYTE_LENGTH] = byteLength
    this.#pool.hashExtent()
    if (this.#status[STATUS_CODE] !== RUN_OK) throw this.#failure()
    hashOut[0] = this.#call[CALL_HASH_LO]
    hashOut[1] = this.#call[CALL_HASH_HI]
  }

  verifyPage(pageId: number): boolean {
    this.#assertOpen()
    this.#call[CALL_PAGE_ID] = pageId
    this.#pool.verifyPage()
    if (this.#status[STATUS_CODE] !== RUN_OK) throw this.#failure()
    return this.#call[CALL_RESULT] === 1
  }

  grow(newSizeBytes: number): void {
    this.#assertOpen()
    if (this.readOnly) throw this.#readOnlyError()
    checkSize('newSizeBytes', newSizeBytes, this.path)
    if (newSizeBytes < this.sizeBytes) {
      throw new DaxkvError('INVALID_ARGUMENT', `a pool cannot shrink from ${this.sizeBytes} to ${newSizeBytes} bytes`, {
        path: this.path,
      })
    }
    const errno = this.#pool.grow(newSizeBytes)
    if (errno !== 0) throw growthError(this.path, this.sizeBytes, newSizeBytes, errno)
    this.sizeBytes = newSizeBytes
    this.#coverWindows()
  }

  prepareGrowth(newSizeBytes: number, ended: (prepared: boolean) => void): boolean {
    this.#assertOpen()
    checkSize('newSizeBytes', newSizeBytes, this.path)
    return (
      this.#pool.prepareGrowth(newSizeBytes, (errno) => {
        ended(errno === 0)
      }) === 0
    )
  }

  mapSegment(index: number): MemoryView {
    this.#assertOpen()
    const window = this.#pool.window(index)
    if (typeof window === 'number') throw systemError(`mapping window ${index}`, this.path, window)
    return (this.segments[index] = new MemoryView(owned(window)))
  }

  limitTo(sizeBytes: number): void {
    this.#assertOpen()
    checkSize('sizeBytes', sizeBytes, this.path)
    if (this.#pool.limitTo(sizeBytes) !== 0) {
      throw new DaxkvError(
        'INTERNAL',
        `${this.path} has ${this.sizeBytes} bytes and cannot be limited to ${sizeBytes}`,
        {
          path: this.path,
          limit: this.sizeBytes,
          actual: sizeBytes,
        },
      )
    }
    this.sizeBytes = sizeBytes
  }

  takeFault(): MappingFault | undefined {
    if (this.#closed) return undefined
    const taken = this.#pool.takeFault()
    if (taken === 0) return undefined
    if (taken < 0) throw systemError('mapping a page again after a fault', this.path, -taken)
    return this.#reportedFault()
  }

  close(): void {
    if (this.#closed) return
    // the control block goes away with the views; the last values stay readable
    this.counters = { ...this.counters }
    const errno = this.#pool.close()
    if (errno !== 0) throw systemError('detaching the views of the pool', this.path, errno)
    this.#closed = true
    this.segments.length = 0
    this.stagingChunks.length = 0
  }

  /**
   * Makes room in the table of windows, and the windows themselves while there are few: made one after the other at the
   * opening of a large pool they would start a collection.
   */
  #coverWindows(): void {
    const count = Math.max(1, Math.ceil(this.sizeBytes / (PAGE_BYTES << this.segmentShift)))
    for (let index = this.segments.length; index < count; index++) {
      if (index < EAGER_WINDOWS) this.mapSegment(index)
      else this.segments.push(undefined as unknown as MemoryView) // filled by mapSegment; see `segments`
    }
  }

  #reportedFault(): MappingFault {
    return {
      kind: this.#status[STATUS_KIND] === FAULT_KIND_BUS ? 'bus' : 'write',
      offset: this.#status[STATUS_OFFSET],
      length: this.#status[STATUS_LENGTH],
    }
  }

  #failure(): DaxkvError {
    const { path } = this
    switch (this.#status[STATUS_CODE]) {
      case RUN_PERSIST_FAILED:
        return this.#barrierFailure(this.#status[STATUS_ERROR])
      case RUN_MEDIA_ERROR:
        return this.#mediaError()
      case RUN_READ_ONLY:
        return this.#readOnlyError()
      case RUN_CLOSED:
        return this.#closedError()
      default: {
        const reason = REFUSALS[this.#status[STATUS_REFUSAL]] ?? 'unknown reason'
        const word = this.#status[STATUS_WORD_INDEX]
        return new DaxkvError('INTERNAL', `persist program refused at word ${word}: ${reason}; nothing was stored`, {
          path,
        })
      }
    }
  }

  #barrierFailure(code: number): DaxkvError {
    const { path } = this
    const errno = errnoName(code)
    return new DaxkvError('PERSIST_FAILED', `making a commit of ${path} durable failed: ${errno}`, { path, errno })
  }

  #mediaError(): DaxkvError {
    const { kind, offset, length } = this.#reportedFault()
    // the fault that fails this call must not be reported a second time by the next operation
    try {
      while (this.takeFault() !== undefined);
    } catch {
      // Mapping the page again failed: it stays unreadable, and the next operation is told.
    }
    const what = kind === 'bus' ? 'cannot be read or written' : 'was written to through the read-only mapping'
    return new DaxkvError('MEDIA_ERROR', `${length} bytes at offset ${offset} of ${this.path} ${what}`, {
      path: this.path,
      offset,
      length,
    })
  }

  #readOnlyError(): DaxkvError {
    return new DaxkvError('READ_ONLY', `${this.path} is open read-only`, { path: this.path })
  }

  #closedError(): DaxkvError {
    return new DaxkvError('CLOSED', `${this.path} is closed`, { path: this.path })
  }

  #assertOpen(): void {
    if (this.#closed) throw this.#closedError()
  }
}

/** Posting one of these to another thread would detach it here and leave the addon's memory with a stranger. */
function owned(buffer: ArrayBuffer): ArrayBuffer {
  markAsUntransferable(buffer)
  return buffer
}

function openPool(fd: number, options: NativeMemoryOptions, mapSync: boolean, rank: number): NativePool {
  const { path, sizeBytes, segmentShift, readOnly } = options
  let pool: number | NativePool
  try {
    pool = nativeAddon().openPool(fd, sizeBytes, segmentShift, readOnly, mapSync, rank)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EXTERNAL_BUFFERS_FORBIDDEN') throw cause
    throw new DaxkvError(
      'UNSUPPORTED_TARGET',
      'this runtime (Electron, or another with a V8 memory cage) forbids ArrayBuffers over mapped memory, which a pool ' +
        'needs; run the store in a Node.js process beside it',
      { path, cause },
    )
  }
  if (typeof pool === 'number') throw systemError('mapping the pool', path, pool)
  return pool
}

function checkSize(name: string, sizeBytes: number, path: string): void {
  if (Number.isSafeInteger(sizeBytes) && sizeBytes > 0 && sizeBytes % PAGE_BYTES === 0 && sizeBytes <= MAX_SIZE_BYTES)
    return
  throw new DaxkvError(
    'INVALID_ARGUMENT',
    `${name} must be a positive multiple of 4096 up to 16 TiB, not ${sizeBytes}`,
    {
      path,
      limit: MAX_SIZE_BYTES,
      actual: sizeBytes,
    },
  )
}

function checkOptions(options: NativeMemoryOptions): void {
  const { path, sizeBytes, segmentShift } = options
  checkSize('sizeBytes', sizeBytes, path)
  if (!Number.isInteger(segmentShift) || segmentShift < 0 || segmentShift > MAX_SEGMENT_SHIFT) {
    throw new DaxkvError('INVALID_ARGUMENT', `segmentShift must be 0 to ${MAX_SEGMENT_SHIFT}, not ${segmentShift}`, {
      path,
      limit: MAX_SEGMENT_SHIFT,
      actual: segmentShift,
    })
  }
}

function checkFileSize(fd: number, options: NativeMemoryOptions): void {
  const { path, sizeBytes } = options
  const actual = statFile(fd, path).size
  if (actual >= sizeBytes) return
  throw new DaxkvError('TRUNCATED', `${path} has ${actual} bytes, its capacity is ${sizeBytes}: it was cut short`, {
    path,
    limit: sizeBytes,
    actual,
  })
}

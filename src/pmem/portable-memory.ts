import fs from 'node:fs'
import { DaxkvError } from '../errors.js'
import { MemoryView } from './memory-view.js'
import { errnoInMessage, loadMmapIo, PROT_READ, PROT_READ_WRITE } from './mmap-io.js'
import type { MmapIo } from './mmap-io.js'
import { errnoName } from './native-binding.js'
import { STAGING_CHUNK_FRAMES } from './persistent-memory.js'
import type { Granularity, MappingFault, PersistCounters, Persistence, PersistentMemory } from './persistent-memory.js'
import { zeroFillPortably } from './portable-file.js'
import { copyLine, ProgramRunner } from './program-runner.js'
import type { ProgramTarget } from './program-runner.js'
import { LINE_BYTES, PAGE_BYTES, PAGE_SHIFT } from './program.js'

const INITIAL_PROGRAM_WORDS = 1024

/** mmap-io takes sizes and offsets as int32: what lies beyond 2 GiB cannot be mapped. */
export const PORTABLE_MAX_BYTES = 2 ** 31

/**
 * log2 of the pages in a window, 1 MiB. V8 takes mapped bytes for garbage to come: with windows of 8 MiB every second open
 * started a collection. A barrier over two windows is an fdatasync instead of an msync.
 */
export const PORTABLE_WINDOW_SHIFT = 8

export interface PortableMemoryOptions {
  readonly path: string
  /** Capacity: a multiple of 4096, not beyond the end of the file. */
  readonly sizeBytes: number
  /** log2 of the pages in a segment of the pool; it is mapped in windows of at most 1 MiB. */
  readonly segmentShift: number
  readonly readOnly: boolean
  /** Why this executor runs: the first half of `persistence.reason`. */
  readonly why: string
  readonly requireGranularity?: Granularity | undefined
  readonly forceGranularity?: Granularity | undefined
  /** Gives the pool's lock back; called once, by `close`. */
  readonly unlock?: (() => void) | undefined
  /** Tests: the package, or one that fails on purpose. */
  readonly mmapIo?: MmapIo | undefined
  /** Tests: behave as on this platform. Default: the one this process runs on. */
  readonly platform?: NodeJS.Platform | undefined
}

/**
 * The portable executor: a pool mapped by the npm package mmap-io, the persist programs run in TypeScript, every barrier
 * an msync. The one place where JavaScript stores into a mapping. Each window of the file is mapped twice: read-only for
 * everybody else (a stray write ends the process instead of corrupting the pool), writable for the stores of programs.
 *
 * What it cannot do, compared with the native executor: pools above 2 GiB, any granularity but `page`, surviving a
 * SIGBUS, msync off the main thread. Views are not detached by `close`; the garbage collector unmaps them.
 */
export class PortableMemory implements PersistentMemory {
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
  readonly path: string
  readonly readOnly: boolean
  program = new Uint32Array(INITIAL_PROGRAM_WORDS)
  sizeBytes: number
  readonly #fd: number
  readonly #mmapIo: MmapIo
  readonly #runner: ProgramRunner
  /** One barrier reaches the whole file with an fdatasync; elsewhere POSIX promises that for msync only. */
  readonly #fileSyncCoversMappings: boolean
  readonly #unlock: (() => void) | undefined
  /** Writable mappings of the same windows as `segments`, made at the first store. */
  readonly #writable: ({ readonly mapping: Buffer; readonly view: MemoryView } | undefined)[] = []
  /** Windows stored to since the last sync of the whole file; kept only where a file sync does not cover mappings. */
  readonly #touched = new Set<number>()
  /** Pages flushed since the last barrier; empty when first > last. */
  #firstDirty = Infinity
  #lastDirty = -1
  /** A barrier that `startBarrier` has finished already, and nobody has been told yet. */
  #barrier: { readonly failure: DaxkvError | undefined } | undefined
  #closed = false

  private constructor(fd: number, options: PortableMemoryOptions, mmapIo: MmapIo, persistence: Persistence) {
    this.persistence = persistence
    this.path = options.path
    this.readOnly = options.readOnly
    this.sizeBytes = options.sizeBytes
    this.segmentShift = Math.min(options.segmentShift, PORTABLE_WINDOW_SHIFT)
    this.#fd = fd
    this.#mmapIo = mmapIo
    this.#unlock = options.unlock
    this.#fileSyncCoversMappings = (options.platform ?? process.platform) === 'linux'
    this.#runner = new ProgramRunner(this.#target())
    this.#coverWindows()
    this.mapSegment(0)
  }

  get maxSizeBytes(): number {
    return PORTABLE_MAX_BYTES
  }

  /**
   * Maps the pool behind `fd` and takes the descriptor and the lock over. If this throws, they are still the caller's.
   * @throws DaxkvError PORTABLE_UNAVAILABLE, GRANULARITY_UNAVAILABLE, INVALID_ARGUMENT, UNSUPPORTED_TARGET (above 2 GiB,
   * Electron), TRUNCATED, IO_ERROR.
   */
  static open(fd: number, options: PortableMemoryOptions): PortableMemory {
    const persistence = portablePersistence(options)
    const { path, sizeBytes } = options
    checkSize('sizeBytes', sizeBytes, path)
    const actual = fs.fstatSync(fd).size
    if (actual < sizeBytes) {
      throw new DaxkvError('TRUNCATED', `${path} has ${actual} bytes, its capacity is ${sizeBytes}: it was cut short`, {
        path,
        limit: sizeBytes,
        actual,
      })
    }
    return new PortableMemory(fd, options, options.mmapIo ?? loadMmapIo(), persistence)
  }

  reserveProgram(words: number): void {
    if (words <= this.program.length) return
    const larger = new Uint32Array(Math.max(words, this.program.length * 2))
    larger.set(this.program)
    this.program = larger
  }

  addStagingChunk(): void {
    this.#assertOpen()
    this.stagingChunks.push(new MemoryView(new ArrayBuffer(STAGING_CHUNK_FRAMES * PAGE_BYTES)))
  }

  trimStagingChunks(keep: number): void {
    if (keep < this.stagingChunks.length) this.stagingChunks.length = keep
  }

  run(words: number): void {
    this.#assertWritable()
    this.#runner.validate(this.program, words)
    this.#assertWhole()
    this.counters.programs++
    this.#runner.run(this.program, words)
  }

  /** The wait is inside this call: mmap-io has no msync on another thread. */
  startBarrier(wholeFile: boolean, ended: (error: DaxkvError | undefined) => void): void {
    this.#assertWritable()
    if (this.#barrier !== undefined) throw new DaxkvError('INTERNAL', 'a barrier is under way already')
    this.counters.fences++
    let failure: DaxkvError | undefined
    try {
      if (wholeFile) this.#syncFile()
      else this.#syncDirty()
    } catch (error) {
      failure = error as DaxkvError // neither throws another
    }
    const barrier = (this.#barrier = { failure })
    setImmediate(() => {
      // Somebody may have waited for it, or closed the pool.
      if (this.#barrier !== barrier) return
      this.#barrier = undefined
      ended(failure)
    })
  }

  finishBarrier(): boolean {
    this.#assertOpen()
    const barrier = this.#barrier
    this.#barrier = undefined
    if (barrier?.failure !== undefined) throw barrier.failure
    return barrier !== undefined
  }

  writeExtent(pageId: number, bytes: Uint8Array, hashOut: Uint32Array, lazily = false): void {
    this.#assertWritable()
    this.#assertWhole()
    this.#runner.writeExtent(pageId, bytes, hashOut, lazily)
  }

  hashExtent(pageId: number, byteLength: number, hashOut: Uint32Array): void {
    this.#assertOpen()
    this.#runner.hashExtent(pageId, byteLength, hashOut)
  }

  verifyPage(pageId: number): boolean {
    this.#assertOpen()
    return this.#runner.verifyPage(pageId)
  }

  mapSegment(index: number): MemoryView {
    this.#assertOpen()
    return (this.segments[index] = new MemoryView(wholeBuffer(this.#map(index, PROT_READ))))
  }

  grow(newSizeBytes: number): void {
    this.#assertWritable()
    if (newSizeBytes > PORTABLE_MAX_BYTES) throw tooLarge('NO_SPACE', this.path, newSizeBytes)
    checkSize('newSizeBytes', newSizeBytes, this.path)
    const old = this.sizeBytes
    if (newSizeBytes < old) {
      throw new DaxkvError('INVALID_ARGUMENT', `a pool cannot shrink from ${old} to ${newSizeBytes} bytes`, {
        path: this.path,
        limit: old,
        actual: newSizeBytes,
      })
    }
    this.#assertWhole()
    zeroFillPortably(this.#fd, this.path, old, newSizeBytes)
    this.sizeBytes = newSizeBytes
    // The last window was mapped as long as the file was: it is mapped anew, over the same pages.
    this.#forgetWindow(this.#windowOf(old / PAGE_BYTES))
    this.#coverWindows()
  }

  limitTo(sizeBytes: number): void {
    this.#assertOpen()
    checkSize('sizeBytes', sizeBytes, this.path)
    if (sizeBytes > this.sizeBytes) {
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
    // `grow` will go through here again, to other lengths.
    for (let index = this.#windowOf(sizeBytes / PAGE_BYTES); index < this.segments.length; index++)
      this.#forgetWindow(index)
  }

  /** Never any: a fault in a mapping of mmap-io ends the process. */
  takeFault(): MappingFault | undefined {
    return undefined
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#barrier = undefined
    // References only: mmap-io unmaps when the garbage collector finds them. A mapping that lives on is never stored to.
    this.segments.length = 0
    this.stagingChunks.length = 0
    this.#writable.length = 0
    this.program = new Uint32Array(0)
    fs.closeSync(this.#fd)
    this.#unlock?.()
  }

  #target(): ProgramTarget {
    const store = (pageId: number, line: number, source: MemoryView, offset: number): void => {
      const window = this.#windowOf(pageId)
      if (!this.#fileSyncCoversMappings) this.#touched.add(window)
      const base = (pageId & ((1 << this.segmentShift) - 1)) << PAGE_SHIFT
      copyLine(this.#writableWindow(window).view, base + line * LINE_BYTES, source, offset)
    }
    return {
      segments: this.segments,
      segmentShift: this.segmentShift,
      mapSegment: (index) => this.mapSegment(index),
      stagingChunks: this.stagingChunks,
      sizeBytes: () => this.sizeBytes,
      storeLine: store,
      storeLineNonTemporal: (pageId, line, source, offset) => {
        this.counters.nonTemporalLines++
        this.#noteDirty(pageId)
        store(pageId, line, source, offset)
      },
      flushLine: (pageId) => {
        this.counters.flushedLines++
        this.#noteDirty(pageId)
      },
      fence: () => {
        this.counters.fences++
        this.#syncDirty()
      },
      syncAll: () => {
        this.counters.fences++
        this.#syncFile()
      },
    }
  }

  #noteDirty(pageId: number): void {
    if (pageId < this.#firstDirty) this.#firstDirty = pageId
    if (pageId > this.#lastDirty) this.#lastDirty = pageId
  }

  /** The barrier: one wait, whatever was flushed since the last one. Nothing was: no wait. */
  #syncDirty(): void {
    const [first, last] = [this.#firstDirty, this.#lastDirty]
    if (first > last) return
    const window = this.#windowOf(first)
    if (window !== this.#windowOf(last) || !this.#fileSyncCoversMappings) {
      this.#syncFile()
      return
    }
    this.#forgetDirty()
    this.counters.syncs++
    this.#msync(window, first, last)
  }

  /** Makes every store so far durable, flushed or not. */
  #syncFile(): void {
    this.#forgetDirty()
    this.counters.syncs++
    for (const window of this.#touched) {
      const first = window << this.segmentShift
      this.#msync(window, first, Math.min(first + (1 << this.segmentShift), this.sizeBytes / PAGE_BYTES) - 1)
    }
    try {
      // Beyond Linux this is also what empties the drive's cache (F_FULLFSYNC, FlushFileBuffers): msync does not.
      fs.fdatasyncSync(this.#fd)
    } catch (cause) {
      throw this.#persistFailed((cause as NodeJS.ErrnoException).code ?? 'EIO', cause)
    }
    this.#touched.clear()
  }

  #msync(window: number, firstPage: number, lastPage: number): void {
    const { mapping } = this.#writableWindow(window)
    const windowPage = window << this.segmentShift
    // msync wants the start of a page of the machine, which may be larger than one of the pool.
    const start = (firstPage - windowPage) * PAGE_BYTES
    const aligned = start - (start % this.#mmapIo.PAGESIZE)
    const end = (lastPage + 1 - windowPage) * PAGE_BYTES
    try {
      this.#mmapIo.sync(mapping, aligned, end - aligned, true)
    } catch (cause) {
      const errno = errnoInMessage(cause)
      throw this.#persistFailed(errno === undefined ? 'EIO' : errnoName(errno), cause)
    }
  }

  #persistFailed(errno: string, cause: unknown): DaxkvError {
    const { path } = this
    return new DaxkvError('PERSIST_FAILED', `making a commit of ${path} durable failed: ${errno}`, {
      path,
      errno,
      cause,
    })
  }

  #forgetDirty(): void {
    this.#firstDirty = Infinity
    this.#lastDirty = -1
  }

  #windowOf(pageId: number): number {
    return pageId >>> this.segmentShift
  }

  #writableWindow(index: number): { readonly mapping: Buffer; readonly view: MemoryView } {
    const known = this.#writable[index]
    if (known !== undefined) return known
    const mapping = this.#map(index, PROT_READ_WRITE)
    return (this.#writable[index] = { mapping, view: new MemoryView(wholeBuffer(mapping)) })
  }

  /** Maps as much of a window as the file has: what lies behind its end may not be mapped everywhere. */
  #map(index: number, protection: number): Buffer {
    const windowBytes = PAGE_BYTES << this.segmentShift
    const offset = index * windowBytes
    const byteLength = Math.min(windowBytes, this.sizeBytes - offset)
    const { MAP_SHARED } = this.#mmapIo
    try {
      return this.#mmapIo.map(byteLength, protection, MAP_SHARED, this.#fd, offset)
    } catch (cause) {
      const errno = errnoInMessage(cause)
      const name = errno === undefined ? 'EIO' : errnoName(errno)
      const advice =
        name === 'ENOMEM'
          ? '; mappings of closed pools stay until the garbage collector and the event loop have run'
          : ''
      throw new DaxkvError(
        'IO_ERROR',
        `mapping ${byteLength} bytes at ${offset} of ${this.path} failed: ${name}${advice}`,
        {
          path: this.path,
          errno: name,
          offset,
          length: byteLength,
          cause,
        },
      )
    }
  }

  #forgetWindow(index: number): void {
    if (index < this.segments.length) this.segments[index] = undefined as unknown as MemoryView // see `segments`
    this.#writable[index] = undefined
  }

  /** Room in the table; the windows themselves are made when first needed, see `segments`. */
  #coverWindows(): void {
    const count = Math.ceil(this.sizeBytes / (PAGE_BYTES << this.segmentShift))
    while (this.segments.length < count) this.segments.push(undefined as unknown as MemoryView)
  }

  #assertOpen(): void {
    if (this.#closed) throw new DaxkvError('CLOSED', `${this.path} is closed`, { path: this.path })
  }

  #assertWritable(): void {
    this.#assertOpen()
    if (this.readOnly) throw new DaxkvError('READ_ONLY', `${this.path} is open read-only`, { path: this.path })
  }

  /**
   * Somebody who cut the file short would turn the next store into a SIGBUS, and that into the end of the process. Looking
   * first catches what happened before the commit; what happens during it nobody can.
   */
  #assertWhole(): void {
    const actual = fs.fstatSync(this.#fd).size
    if (actual >= this.sizeBytes) return
    throw new DaxkvError(
      'MEDIA_ERROR',
      `${this.path} was cut short to ${actual} bytes by somebody else while it was open; it had ${this.sizeBytes}`,
      { path: this.path, offset: actual, length: this.sizeBytes - actual, limit: this.sizeBytes, actual },
    )
  }
}

/** msync is all there is: a finer level can be neither required nor pretended. */
function portablePersistence(options: PortableMemoryOptions): Persistence {
  const { path, why, requireGranularity, forceGranularity } = options
  const reason = `${why}: TypeScript over a mapping of mmap-io, where each durable commit waits for one msync`
  if (requireGranularity !== undefined && requireGranularity !== 'page') {
    throw new DaxkvError(
      'GRANULARITY_UNAVAILABLE',
      `${path} has granularity page, but ${requireGranularity} or finer was required: ${reason}`,
      { path },
    )
  }
  if (forceGranularity !== undefined && forceGranularity !== 'page') {
    throw new DaxkvError(
      'INVALID_ARGUMENT',
      `forceGranularity '${forceGranularity}' is not possible with the portable executor: it has no flushes, only msync`,
      { path },
    )
  }
  return {
    granularity: 'page',
    detectedGranularity: 'page',
    forced: forceGranularity !== undefined,
    flushInstruction: 'msync',
    persistenceDomain: 'unknown',
    mapSync: false,
    executor: 'portable',
    reason,
  }
}

/** mmap-io gives each mapping a buffer of its own; anything else would let a view see other memory. */
function wholeBuffer(mapping: Buffer): ArrayBuffer {
  if (mapping.byteOffset !== 0 || mapping.byteLength !== mapping.buffer.byteLength) {
    throw new DaxkvError('INTERNAL', 'mmap-io gave a Buffer that is only part of its ArrayBuffer')
  }
  return mapping.buffer as ArrayBuffer // made from external memory, never shared
}

function tooLarge(code: 'NO_SPACE' | 'UNSUPPORTED_TARGET', path: string, actual: number): DaxkvError {
  return new DaxkvError(
    code,
    `${path} would have ${actual} bytes; the portable executor maps at most ${PORTABLE_MAX_BYTES} (2 GiB): ` +
      'larger pools need the native executor',
    { path, limit: PORTABLE_MAX_BYTES, actual },
  )
}

function checkSize(name: string, sizeBytes: number, path: string): void {
  if (sizeBytes > PORTABLE_MAX_BYTES) throw tooLarge('UNSUPPORTED_TARGET', path, sizeBytes)
  if (Number.isSafeInteger(sizeBytes) && sizeBytes > 0 && sizeBytes % PAGE_BYTES === 0) return
  throw new DaxkvError(
    'INVALID_ARGUMENT',
    `${name} must be a positive multiple of 4096 up to 2 GiB, not ${sizeBytes}`,
    {
      path,
      limit: PORTABLE_MAX_BYTES,
      actual: sizeBytes,
    },
  )
}

import type { DaxkvError } from '../errors.js'
import type { MemoryView } from './memory-view.js'

/**
 * Granularity of persistence, in libpmem2's words: what must be done before a store is durable.
 * `byte`: a fence (eADR); `cache-line`: flush + fence (MAP_SYNC granted); `page`: msync.
 */
export type Granularity = 'byte' | 'cache-line' | 'page'

/** What the store found out about its medium, and why it behaves as it does. */
export interface Persistence {
  readonly granularity: Granularity
  /** Granularity the kernel's answer alone would give. */
  readonly detectedGranularity: Granularity
  /** True when `forceGranularity` replaced the detected granularity: then durability is NOT what the level promises. */
  readonly forced: boolean
  /** `clwb`, `clflushopt`, `clflush`, `dc cvap`, `msync`, or `none` (eADR, or the simulated executor). */
  readonly flushInstruction: string
  /** Persistence domain from sysfs: `cpu_cache` (eADR), `memory_controller` (ADR), or `unknown`. */
  readonly persistenceDomain: string
  /** Whether the kernel granted MAP_SYNC on this very file. */
  readonly mapSync: boolean
  readonly executor: 'native' | 'portable' | 'simulated'
  /** One sentence: why this granularity. */
  readonly reason: string
}

/** Counts since the memory was opened; tests hold them to exact figures. */
export interface PersistCounters {
  fences: number
  /** Lines flushed by clwb & co (under granularity page: lines noted for the next msync). */
  flushedLines: number
  /** Lines of records and whole pages: written with non-temporal stores (under granularity page through the cache). */
  nonTemporalLines: number
  /** msync and fdatasync system calls. */
  syncs: number
  programs: number
  /** Those of `syncs` that another thread has waited for (see `startBarrier`). */
  backgroundSyncs: number
}

/** A fault that hit the mapping and was survived: the operation that touched it must throw. */
export interface MappingFault {
  /** `bus`: SIGBUS (truncated file, poisoned memory); `write`: a stray write into the read-only mapping. */
  readonly kind: 'bus' | 'write'
  readonly offset: number
  readonly length: number
}

/**
 * One open pool's memory: the mapped segments as JavaScript sees them (read-only), the staging frames, and the
 * executor of persist programs. Nothing above this interface ever stores into the mapping.
 */
export interface PersistentMemory {
  readonly persistence: Persistence
  /**
   * Mapped segments; index = pageId >>> segmentShift. Grows in place. A segment mapped natively stays; a simulated one may
   * be replaced by a longer copy when the pool grows, a portable one by a longer mapping. An entry may be undefined at run
   * time until `mapSegment` fills it.
   */
  readonly segments: MemoryView[]
  /** log2 of the pages in a mapped segment; an allocation segment of the pool spans one or many of them. */
  readonly segmentShift: number
  /** Fills an entry of `segments` that was still undefined, and returns it. */
  mapSegment(index: number): MemoryView
  /** Bytes of the pool file usable now (a multiple of 4096). */
  readonly sizeBytes: number
  /** Largest size `grow` can reach, where the executor has a limit of its own. */
  readonly maxSizeBytes?: number
  /** Word 0 is non-zero while a fault waits to be taken: one load at the end of each operation. */
  readonly faultWords: Uint32Array
  /** Words of the next program. Filled by the caller, run by `run`. May be replaced by `reserveProgram`. */
  readonly program: Uint32Array
  /** Makes room for at least this many words (contents are kept). */
  reserveProgram(words: number): void
  /** Staging chunks, each STAGING_CHUNK_FRAMES frames of one page; frame f lies in chunk f >>> STAGING_CHUNK_SHIFT. */
  readonly stagingChunks: MemoryView[]
  /** Appends a chunk. */
  addStagingChunk(): void
  /** Drops all chunks but the first `keep`. */
  trimStagingChunks(keep: number): void
  /** Runs the first `words` words of `program`. Throws DaxkvError PERSIST_FAILED / MEDIA_ERROR; after that the pool must be poisoned. */
  run(words: number): void
  /**
   * Starts what OP_FENCE (or with `wholeFile` OP_SYNC_ALL) would do now, and does not wait for it: every flush before this
   * call is durable when the barrier ends, none after it is promised to be. `ended` is called once, from the event loop
   * and never inside this call, with the error if there was one (PERSIST_FAILED: the pool must be poisoned), unless
   * `finishBarrier` or `close` comes first. An executor that can only block does the work inside this call and calls
   * `ended` by `setImmediate`.
   *
   * There is at most one barrier at a time: starting a second one is an error. Until it has ended no program with OP_FENCE or
   * OP_SYNC_ALL and no `grow` may be run, as the kernel may tell a failed write-back to only one of two msyncs; other
   * programs may, also such as store to the pages under way.
   */
  startBarrier(wholeFile: boolean, ended: (error: DaxkvError | undefined) => void): void
  /**
   * Blocks until the barrier under way has ended, whose `ended` is then not called; false when there was none.
   * Throws PERSIST_FAILED as `run` does.
   */
  finishBarrier(): boolean
  /**
   * Where the executor can do it beside barriers and fences: begins to make everything durable that has been stored to the whole
   * file before this call, flushed or not. At most one at a time. False when it was not begun, and a barrier has to do. `ended` is
   * called as that of `startBarrier` is, unless `finishDataSync` or `close` comes first.
   */
  startDataSync?(ended: (error: DaxkvError | undefined) => void): boolean
  /**
   * True when the data sync under way has ended, whose `ended` is then not called; with `wait` it blocks until then. False when
   * there is none, or when it goes on. Throws PERSIST_FAILED as `run` does.
   */
  finishDataSync?(wait: boolean): boolean
  /**
   * Copies `bytes` to the pages from `pageId` on (free space only) and flushes them; durable at the next fence.
   * With `lazily` they are not flushed: durable after OP_FLUSH and a fence, after OP_SYNC_ALL, or by a redo record.
   * Writes the XXH64 (seed 0) of the bytes as [lo, hi] to `hashOut`. The source must not be a view of the mapping.
   */
  writeExtent(pageId: number, bytes: Uint8Array, hashOut: Uint32Array, lazily?: boolean): void
  /** XXH64 (seed 0) of bytes in the pool, into `hashOut` as [lo, hi]. */
  hashExtent(pageId: number, byteLength: number, hashOut: Uint32Array): void
  /** True when the page's checksum field agrees with its 64 lines. */
  verifyPage(pageId: number): boolean
  /**
   * Extends the file with written zeros in 4 KiB writes and fsyncs, as far as that has not been prepared, and maps new segments. Throws
   * NO_SPACE leaving the size as it was.
   */
  grow(newSizeBytes: number): void
  /**
   * Where the executor has another thread for it: begins to write the zeros that a later `grow` to this size needs, and to make them
   * durable. Nobody looks at them before that. False when it was not begun. `ended` is called from the event loop, unless `grow` or
   * `close` comes first, with whether it succeeded; where it did not, `grow` will try by itself, and say why.
   */
  prepareGrowth?(newSizeBytes: number, ended: (prepared: boolean) => void): boolean
  /**
   * Forgets what lies beyond a size that must not be above `sizeBytes`: a file longer than the pool's capacity (a crash
   * between extending and publishing). The next `grow` writes those bytes anew.
   */
  limitTo(sizeBytes: number): void
  /** Takes the oldest waiting fault and repairs the mapping where that is possible. */
  takeFault(): MappingFault | undefined
  readonly counters: PersistCounters
  /** Detaches all views, unmaps, unlocks, closes. Idempotent. */
  close(): void
}

export const STAGING_CHUNK_SHIFT = 7
export const STAGING_CHUNK_FRAMES = 1 << STAGING_CHUNK_SHIFT

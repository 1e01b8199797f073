/** The two executors that keep a pool in a file, and which of them runs: everything `pool-file.ts` needs of either. */
import { isMmapIoAvailable } from './mmap-io.js'
import { isNativeAvailable, nativeAddon } from './native-binding.js'
import { repairExtents } from './native-extents.js'
import { lockPool, probeMapSync, unlockPool, zeroFill } from './native-file.js'
import { NativeMemory } from './native-memory.js'
import type { Granularity, PersistentMemory } from './persistent-memory.js'
import { fillHoles, zeroFillPortably } from './portable-file.js'
import { lockPortably, refusePortableOwners } from './portable-lock.js'
import { PortableMemory } from './portable-memory.js'

/** A pool to map. */
export interface MapRequest {
  readonly path: string
  readonly sizeBytes: number
  readonly segmentShift: number
  readonly readOnly: boolean
  readonly requireGranularity?: Granularity | undefined
  readonly forceGranularity?: Granularity | undefined
}

export interface FileExecutor {
  readonly name: 'native' | 'portable'
  /**
   * Locks the pool behind `fd` (exclusive for a writer) and returns what gives the lock back.
   * @throws DaxkvError POOL_LOCKED, POOL_ALREADY_OPEN, IO_ERROR.
   */
  lock(fd: number, path: string, readOnly: boolean): () => void
  /** Written zeros, fsynced; on failure the file is cut back. Throws NO_SPACE, IO_ERROR. */
  zeroFill(fd: number, path: string, fromBytes: number, toBytes: number): void
  /** Makes holes (and what else must not be under a mapping) written storage. Throws EXTENTS_UNSAFE, NO_SPACE, IO_ERROR. */
  repairExtents(fd: number, path: string, sizeBytes: number): void
  grantsMapSync(fd: number, path: string): boolean
  /** Maps the pool; takes descriptor and lock over. If it throws, they are still the caller's. */
  map(fd: number, request: MapRequest, unlock: () => void): PersistentMemory
}

const native: FileExecutor = {
  name: 'native',
  lock(fd, path, readOnly) {
    lockPool(fd, path, readOnly ? 'shared' : 'exclusive')
    try {
      // The kernel's lock first: a portable owner looks for it after making its lock file.
      refusePortableOwners(path, readOnly)
    } catch (error) {
      unlockPool(fd)
      throw error
    }
    return () => {
      unlockPool(fd)
    }
  },
  zeroFill,
  repairExtents,
  grantsMapSync: (fd, path) => probeMapSync(fd, path, false).granted,
  // The lock belongs to the open file, which the addon keeps and closes.
  map: (fd, request) => NativeMemory.open(fd, request),
}

function portable(why: string): FileExecutor {
  return {
    name: 'portable',
    lock: lockPortably,
    zeroFill: zeroFillPortably,
    repairExtents: fillHoles,
    grantsMapSync: () => false,
    map: (fd, request, unlock) => PortableMemory.open(fd, { ...request, why, unlock }),
  }
}

/**
 * The executor that was asked for; else the native one, and the portable one where the addon cannot be loaded (with one
 * warning a process, as commits are then slower and some protections are missing).
 * @throws DaxkvError NATIVE_UNAVAILABLE when there is neither.
 */
export function chooseFileExecutor(wanted: 'native' | 'portable' | undefined): FileExecutor {
  if (wanted === 'portable') return portable("executor 'portable' was asked for")
  if (wanted === 'native' || isNativeAvailable() || !isMmapIoAvailable()) {
    nativeAddon() // throws here, with what to do, instead of somewhere in the middle
    return native
  }
  const why = `the native addon could not be loaded for ${process.platform}-${process.arch}`
  warnOnce(`${why}: using the portable executor (see store.persistence; executor: 'portable' silences this)`)
  return portable(why)
}

let warned = false

function warnOnce(message: string): void {
  if (warned) return
  warned = true
  process.emitWarning(message, { type: 'DaxkvWarning', code: 'DAXKV_PORTABLE' })
}

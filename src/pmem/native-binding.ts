import { constants } from 'node:os'
import { getSystemErrorName } from 'node:util'
import { DaxkvError } from '../errors.js'
import type { DaxkvErrorCode, DaxkvErrorDetails } from '../errors.js'
import addon from './addon.cjs'
import { firstLine, INSTALL_COMMAND } from './mmap-io.js'

/** What `openPool` of the addon returns; the layout of `control` is that of `struct control` in native/pool.h. */
export interface NativePool {
  readonly control: ArrayBuffer
  readonly program: ArrayBuffer
  /** A property, as it is kept and called apart from the pool: native functions know their pool without `this`. */
  readonly run: () => void
  verifyPage(): void
  hashExtent(): void
  writeExtent(bytes: Uint8Array): void
  /** 0, or an errno; `ended` is called with the errno of the barrier. */
  startBarrier(wholeFile: boolean, ended: (errno: number) => void): number
  /** The errno of the barrier under way, -1 when there is none. */
  finishBarrier(): number
  takeFault(): number
  /** A stretch of a mapped segment, or an errno. */
  window(index: number): number | ArrayBuffer
  /** 0, or an errno. */
  grow(newByteLength: number): number
  startDataSync(ended: (errno: number) => void): number
  finishDataSync(wait: boolean): number
  prepareGrowth(newByteLength: number, ended: (errno: number) => void): number
  limitTo(byteLength: number): number
  addChunk(): number | ArrayBuffer
  /** How many chunks there are now: more than `keep` when one could not be detached. */
  trimChunks(keep: number): number
  reserveProgram(words: number): number | ArrayBuffer
  close(): number
}

/** The addon's exports. System call errors come back as errnos (positive numbers), 0 is success. */
export interface NativeAddon {
  /** Empty where no instruction reaches the persistence domain. */
  flushInstruction(): string
  xxh64(bytes: Uint8Array, seedLo: number, seedHi: number, out: Uint32Array): void
  probeMapSync(fd: number, readOnly: boolean): number
  /** -1: this process has it already. */
  lock(fd: number, exclusive: boolean): number
  unlock(fd: number): number
  zeroFill(fd: number, from: number, to: number): number
  /** Triples of (EXTENT_* kind, offset, length). */
  listExtents(fd: number, byteLength: number): number | Float64Array
  /** 1 or 0; -1 where the file system does not say. */
  statxDax(fd: number): number
  openPool(
    fd: number,
    byteLength: number,
    segmentShift: number,
    readOnly: boolean,
    mapSync: boolean,
    granularity: number,
  ): number | NativePool
}

/** log2 of the pages in a window, unless segments are smaller. */
export const WINDOW_SHIFT = 11

// Byte offsets and word numbers in the control block.
export const CONTROL_FAULT_WORDS = 16
export const CONTROL_COUNTERS_OFFSET = 64
export const CONTROL_COUNTERS = 8
export const CONTROL_STATUS_OFFSET = 128
export const CONTROL_STATUS = 8
export const CONTROL_CALL_OFFSET = 192
export const CONTROL_CALL = 16

export const STATUS_CODE = 0
export const STATUS_ERROR = 1
export const STATUS_WORD_INDEX = 2
export const STATUS_OFFSET = 3
export const STATUS_LENGTH = 4
export const STATUS_KIND = 5
export const STATUS_REFUSAL = 6

export const CALL_WORDS = 0
export const CALL_PAGE_ID = 1
export const CALL_BYTE_LENGTH = 2
export const CALL_HASH_LO = 3
export const CALL_HASH_HI = 4
export const CALL_RESULT = 5
export const CALL_LAZILY = 6

// enum run_status
export const RUN_OK = 0
export const RUN_REFUSED = 1
export const RUN_PERSIST_FAILED = 2
export const RUN_MEDIA_ERROR = 3
export const RUN_CLOSED = 4
export const RUN_READ_ONLY = 5

export const FAULT_KIND_BUS = 1

/** enum refusal, in words. */
export const REFUSALS: readonly string[] = [
  'no reason',
  'unknown operation',
  'the operation is cut off by the end of the program',
  'page id outside the pool',
  'frame outside the staging chunks',
  'empty mask, or a checksum mask without line 0',
  'unknown record kind',
  'log slot outside the pool',
  'extent outside the pool',
  'log slot, extents and covered pages overlap',
  'the record does not fit its slot and extents',
  'a record without pages',
  'more words than the program holds',
  'out of memory',
]

export const EXTENT_HOLE = 0
export const EXTENT_UNWRITTEN = 1
export const EXTENT_SHARED = 2

let native: NativeAddon | undefined
let loadError: unknown

// Loaded with the module, so that opening a store does not pay for it; without the addon `:memory:` still works.
try {
  native = addon.loadAddon() as NativeAddon
} catch (error) {
  loadError = error
}

/**
 * The addon.
 * @throws DaxkvError NATIVE_UNAVAILABLE naming what is missing to build it.
 */
export function nativeAddon(): NativeAddon {
  if (native === undefined) {
    const cause = loadError
    throw new DaxkvError(
      'NATIVE_UNAVAILABLE',
      `the native addon of daxkv could not be loaded for ${process.platform}-${process.arch} (${firstLine(cause)}). ` +
        'Build it with `npm rebuild daxkv` (in a checkout: `npm run build:native`); ' +
        'on Debian this needs the packages python3 make g++. ' +
        `Or use the slower portable executor: \`${INSTALL_COMMAND}\``,
      { cause },
    )
  }
  return native
}

/** True when the addon can be loaded; never throws. */
export function isNativeAvailable(): boolean {
  try {
    nativeAddon()
    return true
  } catch {
    return false
  }
}

/** `ENOSPC` for 28. */
export function errnoName(errno: number): string {
  const name = getSystemErrorName(-errno)
  if (!name.startsWith('Unknown')) return name
  // libuv has no name for some that files do give, EDQUOT and ENOLCK among them.
  const known = Object.entries(constants.errno).find(([, number]) => number === errno)
  return known === undefined ? name : known[0]
}

/** The code of an error whose cause is this errno. */
export function errnoCode(errno: string): DaxkvErrorCode {
  // EFBIG is RLIMIT_FSIZE or the file system's own limit: the same thing to a user as a full disk
  if (errno === 'ENOSPC' || errno === 'EDQUOT' || errno === 'EFBIG') return 'NO_SPACE'
  if (errno === 'EACCES' || errno === 'EPERM' || errno === 'EROFS') return 'PERMISSION_DENIED'
  return 'IO_ERROR'
}

/** The error of a failed system call; `doing` completes the sentence "<doing> failed". */
export function systemError(doing: string, path: string, errno: number): DaxkvError {
  return namedSystemError(doing, path, errnoName(errno))
}

/** The same for who knows the errno by its name, such as `ENOSPC`. */
export function namedSystemError(
  doing: string,
  path: string,
  errno: string,
  details: DaxkvErrorDetails = {},
): DaxkvError {
  return new DaxkvError(errnoCode(errno), `${doing} failed for ${path}: ${errno}`, { ...details, path, errno })
}

/** The package mmap-io, loaded when a pool is first opened through it: what is used of it, and the error when it is missing. */
import { DaxkvError } from '../errors.js'
import mappingPackage from './mapping-package.cjs'

export const PROT_READ = 1
export const PROT_READ_WRITE = 3

/** What the portable executor uses of mmap-io. Every number is taken as an int32 there: larger ones would wrap. */
export interface MmapIo {
  /** Throws `Error('mmap failed, ERRNO')`. `offset` must be a multiple of PAGESIZE. The garbage collector unmaps. */
  map(byteLength: number, protection: number, flags: number, fd: number, offset: number): Buffer
  /** msync; without `blocking` it would be MS_ASYNC. Throws `Error('msync() failed, ERRNO')`. */
  sync(buffer: Buffer, offset: number, byteLength: number, blocking: boolean): void
  readonly MAP_SHARED: number
  /** Bytes of a page of this machine: 4096, on some 16384. */
  readonly PAGESIZE: number
}

/** How to get the package; the fork is the one that compiles on current versions of Node.js. */
export const INSTALL_COMMAND = 'npm install mmap-io@npm:@riaskov/mmap-io'

let loaded: MmapIo | undefined

/**
 * The package, loaded at the first call.
 * @throws DaxkvError PORTABLE_UNAVAILABLE naming the command that installs it; UNSUPPORTED_TARGET under Electron.
 */
export function loadMmapIo(load: () => unknown = mappingPackage.loadPackage): MmapIo {
  if (loaded !== undefined && load === mappingPackage.loadPackage) return loaded
  if (process.versions['electron'] !== undefined) {
    throw new DaxkvError(
      'UNSUPPORTED_TARGET',
      'Electron forbids ArrayBuffers over mapped memory, which a pool needs; run the store in a Node.js process beside it',
    )
  }
  let found: unknown
  try {
    found = load()
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND' && /'mmap-io'/.test(String(cause))
    throw unavailable(missing ? 'is not installed' : `is installed but cannot be loaded (${firstLine(cause)})`, cause)
  }
  if (!isMmapIo(found)) throw unavailable('is installed but lacks map and sync')
  return (loaded = found)
}

/** True when the package can be loaded; never throws. */
export function isMmapIoAvailable(): boolean {
  try {
    loadMmapIo()
    return true
  } catch {
    return false
  }
}

function unavailable(what: string, cause?: unknown): DaxkvError {
  return new DaxkvError(
    'PORTABLE_UNAVAILABLE',
    `the portable executor needs the package mmap-io, which ${what}. Install it with \`${INSTALL_COMMAND}\``,
    { cause },
  )
}

function isMmapIo(value: unknown): value is MmapIo {
  if (typeof value !== 'object' || value === null) return false
  const { map, sync } = value as Partial<MmapIo>
  return typeof map === 'function' && typeof sync === 'function'
}

/** What loaders say in one line; the rest is a list of the places they looked at. */
export function firstLine(error: unknown): string {
  return String(error).split('\n', 1)[0]
}

/** Errno number at the end of the messages of mmap-io; undefined when there is none. */
export function errnoInMessage(error: unknown): number | undefined {
  const number = error instanceof Error ? /failed, (\d+)$/.exec(error.message)?.[1] : undefined
  return number === undefined ? undefined : Number(number)
}

/** Locking and preparing the pool's file, before it is mapped. */
import fs from 'node:fs'
import { DaxkvError } from '../errors.js'
import { errnoName, nativeAddon, systemError } from './native-binding.js'

/**
 * Locks the pool behind `fd`: exclusive for a writer (the descriptor must be writable), shared for read-only opens.
 * The lock belongs to the open file; the kernel drops it with its owner, so a dead process leaves none behind.
 * @throws DaxkvError POOL_LOCKED (another process), POOL_ALREADY_OPEN (this process, whichever thread), IO_ERROR.
 */
export function lockPool(fd: number, path: string, mode: 'exclusive' | 'shared'): void {
  const errno = nativeAddon().lock(fd, mode === 'exclusive')
  if (errno === 0) return
  if (errno === -1) {
    throw new DaxkvError(
      'POOL_ALREADY_OPEN',
      `${path} is already open in this process; use that store, or close it first`,
      {
        path,
      },
    )
  }
  if (errnoName(errno) === 'EAGAIN') {
    throw new DaxkvError('POOL_LOCKED', `${path} is open in another process; close it there first`, {
      path,
      errno: 'EAGAIN',
    })
  }
  throw systemError('locking (F_OFD_SETLK)', path, errno)
}

/** Undoes `lockPool` where opening fails before a NativeMemory owns the pool. The descriptor stays open. */
export function unlockPool(fd: number): void {
  nativeAddon().unlock(fd)
}

/**
 * Writes zeros over [fromBytes, toBytes) in 4 KiB writes and fsyncs the file: written extents, small folios, metadata
 * durable. On failure the file is cut back to `fromBytes`.
 * @throws DaxkvError NO_SPACE, IO_ERROR.
 */
export function zeroFill(fd: number, path: string, fromBytes: number, toBytes: number): void {
  const errno = nativeAddon().zeroFill(fd, fromBytes, toBytes)
  if (errno !== 0) throw growthError(path, fromBytes, toBytes, errno)
}

/** The error of a failed growth, naming both sizes. */
export function growthError(path: string, fromBytes: number, toBytes: number, errno: number): DaxkvError {
  const error = systemError(`extending the pool from ${fromBytes} to ${toBytes} bytes`, path, errno)
  return new DaxkvError(error.code, error.message, { path, errno: errnoName(errno), limit: fromBytes, actual: toBytes })
}

/** What the kernel says to MAP_SYNC on this very file. */
export interface MapSyncAnswer {
  readonly granted: boolean
  /** Errno name of the refusal, `EOPNOTSUPP` or `EINVAL`. */
  readonly errno?: string
}

/**
 * Asks for MAP_SHARED_VALIDATE | MAP_SYNC, the only question whose answer counts: mount options, device names and
 * statx prove nothing.
 * @throws DaxkvError IO_ERROR for any errno that does not mean "not granted".
 */
export function probeMapSync(fd: number, path: string, readOnly: boolean): MapSyncAnswer {
  const errno = nativeAddon().probeMapSync(fd, readOnly)
  if (errno === 0) return { granted: true }
  const name = errnoName(errno)
  // EOPNOTSUPP is 95, whose Linux name libuv gives as ENOTSUP
  if (name === 'EOPNOTSUPP' || name === 'ENOTSUP' || name === 'EINVAL') {
    return { granted: false, errno: name === 'ENOTSUP' ? 'EOPNOTSUPP' : name }
  }
  throw systemError('mmap with MAP_SYNC', path, errno)
}

/**
 * Refuses by name what cannot hold a pool: directories, device-dax and other devices, pipes.
 * @throws DaxkvError UNSUPPORTED_TARGET. A path that does not exist is no error here.
 */
export function assertPoolTarget(path: string): void {
  const stats = fs.statSync(path, { throwIfNoEntry: false })
  if (stats === undefined || stats.isFile()) return
  throw new DaxkvError('UNSUPPORTED_TARGET', `${path} is ${describeTarget(stats)}; a pool is a regular file`, { path })
}

function describeTarget(stats: fs.Stats): string {
  if (stats.isDirectory()) return 'a directory'
  if (stats.isCharacterDevice()) {
    return isDeviceDax(stats.rdev)
      ? 'a device-dax character device, which this version does not support (create an fsdax namespace with a file system)'
      : 'a character device'
  }
  if (stats.isBlockDevice()) return 'a block device (make a file system on it, mounted with -o dax where it can)'
  return 'no regular file'
}

function isDeviceDax(rdev: number): boolean {
  // Linux packs 12 bits of major and 20 bits of minor number into what stat returns here
  const major = (rdev >>> 8) & 0xfff
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00)
  const subsystem = `/sys/dev/char/${major}:${minor}/subsystem`
  try {
    return fs.readlinkSync(subsystem).endsWith('/dax')
  } catch {
    return false
  }
}

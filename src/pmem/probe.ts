/** "Is it persistent memory, and why not?": what `daxkv probe` prints about a file or directory. */
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { DaxkvError } from '../errors.js'
import { detectGranularity, readPersistenceDomain } from './granularity.js'
import { nativeAddon } from './native-binding.js'
import { listUnsafeRanges } from './native-extents.js'
import type { UnsafeRange } from './native-extents.js'
import { assertPoolTarget, probeMapSync, zeroFill } from './native-file.js'
import type { Granularity } from './persistent-memory.js'
import { PAGE_BYTES } from './program.js'

export interface ProbeOptions {
  /** Root of sysfs; tests give another one. */
  readonly sysfsRoot?: string | undefined
}

export interface ProbeReport {
  readonly path: string
  readonly target: 'file' | 'directory'
  /** File system by its magic number, such as `ext4` (which statfs cannot tell from ext2/3) or `tmpfs`. */
  readonly fileSystem: string
  /** Whether MAP_SYNC was granted, and the errno name if not. Nothing else decides. */
  readonly mapSync: boolean
  readonly mapSyncErrno?: string
  /** The DAX attribute of statx; no proof of MAP_SYNC (it is set on virtio-pmem too). Undefined: not reported. */
  readonly statxDax: boolean | undefined
  readonly persistenceDomain: string
  /** The CPU's best flush instruction, or `none`. */
  readonly flushInstruction: string
  readonly granularity: Granularity
  /** Why this granularity, in one sentence. */
  readonly reason: string
  /** Holes, unwritten and shared ranges of an existing file; opening a pool repairs them. */
  readonly unsafeRanges: readonly UnsafeRange[]
  /** In plain language: what a commit costs here and what would make it cheaper. */
  readonly verdict: string
}

/** statfs magic numbers of the file systems people put pools on (linux/magic.h). */
const FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x01021994, 'tmpfs'],
  [0x9123683e, 'btrfs'],
  [0x794c7630, 'overlayfs'],
  [0x6969, 'nfs'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb2'],
  [0x01021997, '9p'],
  [0x65735546, 'fuse'],
  [0xf2f52010, 'f2fs'],
  [0x2fc12fc1, 'zfs'],
  [0x858458f6, 'ramfs'],
  [0x4d44, 'vfat'],
  [0x2011bab0, 'exfat'],
])

function fileSystemName(target: string): string {
  const magic = fs.statfsSync(target).type >>> 0
  return FILE_SYSTEMS.get(magic) ?? `unknown (magic 0x${magic.toString(16)})`
}

/**
 * Probes a file, or a directory by means of a temporary file in it (removed again).
 * @throws DaxkvError POOL_NOT_FOUND, UNSUPPORTED_TARGET (device-dax and other devices, by name), PERMISSION_DENIED,
 * NATIVE_UNAVAILABLE, IO_ERROR.
 */
export function probePath(target: string, options: ProbeOptions = {}): ProbeReport {
  const stats = fs.statSync(target, { throwIfNoEntry: false })
  if (stats === undefined) throw new DaxkvError('POOL_NOT_FOUND', `${target} does not exist`, { path: target })
  if (!stats.isDirectory()) {
    assertPoolTarget(target)
    return probeFile(target, options)
  }
  const file = path.join(target, `.daxkv-probe-${randomBytes(6).toString('hex')}`)
  const fd = openOrExplain(file, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL)
  try {
    zeroFill(fd, file, 0, PAGE_BYTES)
    return report(fd, target, 'directory', false, options)
  } finally {
    fs.closeSync(fd)
    fs.unlinkSync(file)
  }
}

function probeFile(file: string, options: ProbeOptions): ProbeReport {
  const writable = isWritable(file)
  const fd = openOrExplain(file, writable ? fs.constants.O_RDWR : fs.constants.O_RDONLY)
  try {
    return report(fd, file, 'file', !writable, options)
  } finally {
    fs.closeSync(fd)
  }
}

function isWritable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.W_OK)
    return true
  } catch {
    return false
  }
}

function openOrExplain(file: string, flags: number): number {
  try {
    return fs.openSync(file, flags, 0o600)
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code ?? 'EIO'
    const denied = errno === 'EACCES' || errno === 'EPERM' || errno === 'EROFS'
    throw new DaxkvError(denied ? 'PERMISSION_DENIED' : 'IO_ERROR', `cannot open ${file} to probe it: ${errno}`, {
      path: file,
      errno,
      cause,
    })
  }
}

function report(
  fd: number,
  target: string,
  kind: 'file' | 'directory',
  readOnly: boolean,
  options: ProbeOptions,
): ProbeReport {
  const addon = nativeAddon()
  const mapSync = probeMapSync(fd, target, readOnly)
  const errno = mapSync.errno === undefined ? {} : { mapSyncErrno: mapSync.errno }
  const persistenceDomain = readPersistenceDomain(options.sysfsRoot)
  const flushInstruction = addon.flushInstruction()
  const facts = { path: target, mapSync: mapSync.granted, ...errno, persistenceDomain, flushInstruction }
  const { granularity, reason } = detectGranularity(facts)
  const dax = addon.statxDax(fd)
  const statxDax = dax < 0 ? undefined : dax === 1
  return {
    path: target,
    target: kind,
    fileSystem: fileSystemName(target),
    mapSync: mapSync.granted,
    ...errno,
    statxDax,
    persistenceDomain,
    flushInstruction: flushInstruction === '' ? 'none' : flushInstruction,
    granularity,
    reason,
    unsafeRanges: kind === 'file' ? listUnsafeRanges(fd, target, fs.fstatSync(fd).size) : [],
    verdict: verdict(granularity, mapSync.granted, statxDax),
  }
}

function verdict(granularity: Granularity, mapSync: boolean, statxDax: boolean | undefined): string {
  if (granularity === 'byte')
    return 'Persistent memory with eADR: a commit is durable after fences, without a system call.'
  if (granularity === 'cache-line') {
    return 'Persistent memory: a commit is durable after cache-line flushes and fences, without a system call.'
  }
  const works = 'Pools work here; each durable commit waits for one msync.'
  if (mapSync) return `${works} MAP_SYNC is granted, but this CPU cannot flush to the point of persistence.`
  if (statxDax === true) {
    return `${works} The file is on DAX, but its device is not synchronous (virtio-pmem, or a layer in between), so the kernel refuses MAP_SYNC.`
  }
  return `${works} For commits without system calls, use ext4 or XFS mounted with DAX (-o dax, dax=always) on an fsdax namespace.`
}

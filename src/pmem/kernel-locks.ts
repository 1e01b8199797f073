/**
 * Seeing the locks of native owners without the addon. They are open-file-description locks, which `node:fs` can neither
 * take nor test; the kernel lists them in /proc/locks.
 */
import fs from 'node:fs'
import { DaxkvError } from '../errors.js'

/** LOCK_OFFSET of native/lock.c. */
const LOCK_OFFSET = (1n << 62n).toString()

export interface KernelLockSources {
  readonly locks: string
  readonly mountinfo: string
}

/**
 * Whether a native owner holds a lock on the pool behind `fd` that keeps us out: any for a writer, an exclusive one for a
 * reader. Outside Linux there is no native executor.
 * @throws DaxkvError UNSUPPORTED_TARGET where the kernel's list cannot be read.
 */
export function isLockedNatively(
  fd: number,
  path: string,
  readOnly: boolean,
  sources: KernelLockSources = { locks: '/proc/locks', mountinfo: '/proc/self/mountinfo' },
): boolean {
  if (process.platform !== 'linux') return false
  let list: string
  try {
    list = fs.readFileSync(sources.locks, 'latin1')
  } catch (cause) {
    throw new DaxkvError(
      'UNSUPPORTED_TARGET',
      `${sources.locks} cannot be read, so the portable executor cannot see whether another process has ${path} open ` +
        'natively: mount /proc, or use the native executor',
      { path, cause },
    )
  }
  const file = fs.fstatSync(fd, { bigint: true })
  return list.split('\n').some((line) => {
    // 1: OFDLCK ADVISORY  WRITE -1 fe:00:2229735 4611686018427387904 4611686018427387904
    const [, kind, , access, , place, start] = line.trim().split(/\s+/)
    if (kind !== 'OFDLCK' || start !== LOCK_OFFSET || (readOnly && access !== 'WRITE')) return false
    const [major, minor, inode] = place.split(':')
    if (inode !== file.ino.toString()) return false
    return isSameDevice(parseInt(major, 16), parseInt(minor, 16), file.dev, sources.mountinfo)
  })
}

/**
 * The list names the device of the file system. That of stat is the same, except where a file system makes up its own
 * (btrfs subvolumes, overlays): those are in no line of mountinfo, and then the equal inode number has to do.
 */
function isSameDevice(major: number, minor: number, statDevice: bigint, mountinfo: string): boolean {
  const number = Number(statDevice & 0xffff_ffffn)
  const [ownMajor, ownMinor] = [(number >>> 8) & 0xfff, (number & 0xff) | ((number >>> 12) & 0xfff00)]
  if (ownMajor === major && ownMinor === minor) return true
  try {
    const devices = fs.readFileSync(mountinfo, 'latin1').split('\n')
    return !devices.some((line) => line.split(' ')[2] === `${ownMajor}:${ownMinor}`)
  } catch {
    return true
  }
}

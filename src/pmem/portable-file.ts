/** What the portable executor does to the pool's file, with nothing but `node:fs`. */
import fs from 'node:fs'
import { DaxkvError } from '../errors.js'
import { namedSystemError } from './native-binding.js'
import { PAGE_BYTES } from './program.js'

const zeroPage = Buffer.alloc(PAGE_BYTES)

/** The error of a failed call of `node:fs`; `doing` completes the sentence "<doing> failed". */
export function fileError(doing: string, path: string, cause: unknown): DaxkvError {
  const name = (cause as NodeJS.ErrnoException).code ?? 'EIO'
  return namedSystemError(doing, path, name, { cause })
}

/**
 * Writes zeros over [fromBytes, toBytes) in 4 KiB writes (larger ones leave large folios in the page cache, and one dirty
 * page then syncs a megabyte) and fsyncs the file. On failure the file is cut back to `fromBytes`.
 * @throws DaxkvError NO_SPACE, IO_ERROR.
 */
export function zeroFillPortably(fd: number, path: string, fromBytes: number, toBytes: number): void {
  try {
    for (let at = fromBytes; at < toBytes;) at += writeZeros(fd, at, toBytes)
    fs.fsyncSync(fd)
  } catch (cause) {
    cutBack(fd, fromBytes)
    const error = fileError(`extending the pool from ${fromBytes} to ${toBytes} bytes`, path, cause)
    throw new DaxkvError(error.code, error.message, {
      path,
      ...(error.errno === undefined ? {} : { errno: error.errno }),
      limit: fromBytes,
      actual: toBytes,
      cause,
    })
  }
}

function writeZeros(fd: number, at: number, toBytes: number): number {
  const length = Math.min(PAGE_BYTES - (at % PAGE_BYTES), toBytes - at)
  const written = fs.writeSync(fd, zeroPage, 0, length, at)
  if (written === 0) throw Object.assign(new Error('a write of zeros wrote nothing'), { code: 'EIO' })
  return written
}

function cutBack(fd: number, toBytes: number): void {
  try {
    fs.ftruncateSync(fd, toBytes)
    fs.fsyncSync(fd)
  } catch {
    // The first failure is the one to report; a file left longer than its capacity is legal.
  }
}

/**
 * Writes zeros over the pages that read as zeros when the file system has allocated fewer bytes than the file is long: a
 * store into a hole on a full disk would be a SIGBUS, which ends the process. Where blocks are counted otherwise
 * (compressing file systems) this changes nothing but costs a read of the file at each open.
 * @throws DaxkvError NO_SPACE, IO_ERROR.
 */
export function fillHoles(fd: number, path: string, sizeBytes: number): number {
  if (fs.fstatSync(fd).blocks * 512 >= sizeBytes) return 0
  const page = Buffer.alloc(PAGE_BYTES)
  let filled = 0
  try {
    for (let at = 0; at + PAGE_BYTES <= sizeBytes; at += PAGE_BYTES) {
      if (fs.readSync(fd, page, 0, PAGE_BYTES, at) !== PAGE_BYTES || !page.equals(zeroPage)) continue
      writeZeros(fd, at, at + PAGE_BYTES)
      filled += PAGE_BYTES
    }
    if (filled > 0) fs.fsyncSync(fd)
  } catch (cause) {
    throw fileError('filling the holes', path, cause)
  }
  return filled
}

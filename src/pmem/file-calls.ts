/**
 * The file functions of Node that opening a pool needs. Their failures come out as DaxkvErrors that name what was being
 * done, the file and the errno; reads and writes go on after short ones.
 */
import fs from 'node:fs'
import { DaxkvError } from '../errors.js'
import { errnoCode } from './native-binding.js'

/** The error of a failed file function; `doing` completes the sentence "<doing> failed". */
export function fileError(doing: string, path: string, error: unknown): DaxkvError {
  const errno = errnoOf(error)
  if (errno === undefined) throw error
  return new DaxkvError(errnoCode(errno), `${doing} failed for ${path}: ${errno}`, { path, errno, cause: error })
}

/** Errno name of an error of Node's file functions; undefined for any other. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}

/** @throws DaxkvError IO_ERROR. */
export function statFile(fd: number, path: string): fs.Stats {
  try {
    return fs.fstatSync(fd)
  } catch (error) {
    throw fileError('fstat', path, error)
  }
}

/**
 * Fills `bytes` from `offset` on; returns how many there were before the end of the file.
 * @throws DaxkvError IO_ERROR.
 */
export function readFully(fd: number, path: string, bytes: Uint8Array, offset: number): number {
  let done = 0
  try {
    while (done < bytes.length) {
      const length = fs.readSync(fd, bytes, done, bytes.length - done, offset + done)
      if (length === 0) break
      done += length
    }
  } catch (error) {
    throw fileError(`reading ${bytes.length} bytes at offset ${offset}`, path, error)
  }
  return done
}

/** @throws DaxkvError NO_SPACE, IO_ERROR. */
export function writeFully(fd: number, path: string, bytes: Uint8Array, offset: number): void {
  try {
    for (let done = 0; done < bytes.length;) {
      done += fs.writeSync(fd, bytes, done, bytes.length - done, offset + done)
    }
  } catch (error) {
    throw fileError(`writing ${bytes.length} bytes at offset ${offset}`, path, error)
  }
}

/** @throws DaxkvError NO_SPACE, IO_ERROR. */
export function syncFile(fd: number, path: string): void {
  try {
    fs.fsyncSync(fd)
  } catch (error) {
    throw fileError('fsync', path, error)
  }
}

/**
 * Makes the directory entry `path` durable.
 * @throws DaxkvError NO_SPACE, IO_ERROR, PERMISSION_DENIED.
 */
export function syncDirectory(directory: string, path: string): void {
  // Windows opens no directories; its file systems log the names themselves.
  if (process.platform === 'win32') return
  let fd: number | undefined
  try {
    fd = fs.openSync(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
    fs.fsyncSync(fd)
  } catch (error) {
    throw fileError('making the directory entry durable (open, fsync)', path, error)
  } finally {
    if (fd !== undefined) closeQuietly(fd)
  }
}

/** Linux gives the descriptor back whatever close reports, and nothing that was written depends on it. */
export function closeQuietly(fd: number): void {
  try {
    fs.closeSync(fd)
  } catch {
    // Where it matters another error is on its way.
  }
}

/** For files whose presence does no harm. */
export function removeQuietly(path: string): void {
  try {
    fs.unlinkSync(path)
  } catch {
    // Left behind.
  }
}

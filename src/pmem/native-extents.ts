/**
 * A pool that is flushed from user space must be fully allocated, written and unshared: a hole or an unwritten extent
 * loses the data with the metadata at a power cut, and a reflinked one did so even under MAP_SYNC (XFS, Linux 6.1).
 */
import { DaxkvError } from '../errors.js'
import { readFully, statFile, syncFile, writeFully } from './file-calls.js'
import { EXTENT_HOLE, EXTENT_UNWRITTEN, nativeAddon, systemError } from './native-binding.js'
import { probeMapSync } from './native-file.js'
import { PAGE_BYTES } from './program.js'

/** A range of the file that is not plainly its own, written storage. */
export interface UnsafeRange {
  readonly kind: 'hole' | 'unwritten' | 'shared'
  readonly offset: number
  readonly length: number
}

/** Bytes that `repairExtents` rewrote. */
export interface ExtentRepair {
  readonly repairedBytes: number
  /** Ranges still unsafe; never any where MAP_SYNC is granted (that throws). */
  readonly remaining: readonly UnsafeRange[]
}

/** Holes, unwritten and shared ranges of the first `sizeBytes` bytes (FIEMAP, else SEEK_HOLE). fsyncs first. */
export function listUnsafeRanges(fd: number, path: string, sizeBytes: number): UnsafeRange[] {
  // delayed allocation: before an fsync the file system has not decided anything
  syncFile(fd, path)
  const found = nativeAddon().listExtents(fd, sizeBytes)
  if (typeof found === 'number') throw systemError('listing the extents', path, found)
  const ranges: UnsafeRange[] = []
  for (let i = 0; i < found.length; i += 3) {
    const kind = found[i] === EXTENT_HOLE ? 'hole' : found[i] === EXTENT_UNWRITTEN ? 'unwritten' : 'shared'
    ranges.push({ kind, offset: found[i + 1], length: found[i + 2] })
  }
  return ranges
}

/** Reads and writes back each page: the same bytes, now in written extents of this file alone. */
function rewriteRange(fd: number, path: string, range: UnsafeRange, sizeBytes: number): number {
  const page = Buffer.alloc(PAGE_BYTES)
  const start = range.offset - (range.offset % PAGE_BYTES)
  const end = Math.min(range.offset + range.length, sizeBytes)
  let rewritten = 0
  for (let offset = start; offset < end; offset += PAGE_BYTES) {
    const bytes = page.subarray(0, Math.min(PAGE_BYTES, sizeBytes - offset))
    const length = readFully(fd, path, bytes, offset)
    if (length === 0) break
    writeFully(fd, path, bytes.subarray(0, length), offset)
    rewritten += length
  }
  return rewritten
}

/**
 * Rewrites holes, unwritten and shared ranges of a pool before it is mapped. Needs a writable descriptor and a held
 * lock. Where ranges stay unsafe (a copy-on-write file system) that is an error only if MAP_SYNC is granted: msync
 * makes the metadata durable too.
 * @throws DaxkvError EXTENTS_UNSAFE, NO_SPACE, IO_ERROR.
 */
export function repairExtents(fd: number, path: string, sizeBytes: number): ExtentRepair {
  // Without MAP_SYNC only holes matter (a full disk would meet a store as SIGBUS), and the block count rules them out
  // without the walk, which takes milliseconds on a large tmpfs file.
  if (!probeMapSync(fd, path, false).granted && statFile(fd, path).blocks * 512 >= sizeBytes) {
    return { repairedBytes: 0, remaining: [] }
  }
  const ranges = listUnsafeRanges(fd, path, sizeBytes)
  if (ranges.length === 0) return { repairedBytes: 0, remaining: [] }
  let repairedBytes = 0
  for (const range of ranges) repairedBytes += rewriteRange(fd, path, range, sizeBytes)
  const remaining = listUnsafeRanges(fd, path, sizeBytes)
  if (remaining.length > 0 && probeMapSync(fd, path, false).granted) throw unsafeExtents(path, remaining)
  return { repairedBytes, remaining }
}

function unsafeExtents(path: string, remaining: readonly UnsafeRange[]): DaxkvError {
  const first = remaining[0]
  return new DaxkvError(
    'EXTENTS_UNSAFE',
    `${path} has ${remaining.length} ranges that stay ${first.kind} after rewriting them (first at offset ` +
      `${first.offset}, ${first.length} bytes); data there would not survive a power failure. ` +
      'Copy the pool with `cp --sparse=never --reflink=never` and open the copy',
    { path, offset: first.offset, length: first.length },
  )
}

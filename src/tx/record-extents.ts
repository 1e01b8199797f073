import { DaxkvError } from '../errors.js'
import { LINES_PER_PAGE, PAGE_BYTES, recordLines } from '../pmem/program.js'
import type { Allocator, Run } from '../pool/allocator.js'
import { MAX_RECORD_EXTENTS } from './log-record.js'
import type { PageSpace } from './page-space.js'

/** Grow for an overflowing record in pieces that fit any segment. */
const MAX_GROWTH_RUN_PAGES = 16384

/**
 * Room for a record that is longer than its slot: pages that this transaction neither freed nor allocated, so that
 * writing them can destroy neither what the state before needs nor what was just stored.
 */
export function findRecordExtents(
  space: PageSpace,
  allocator: Allocator,
  slotLines: number,
  /** Entries of the record's directory, and its line bodies. */
  pages: number,
  lines: number,
  grow: (pages: number) => void,
): readonly Run[] {
  const total = recordLines(MAX_RECORD_EXTENTS, pages, lines)
  const pagesNeeded = Math.ceil((total - slotLines) / LINES_PER_PAGE)
  let runs = allocator.findRuns(pagesNeeded, MAX_RECORD_EXTENTS)
  // Growth commits a record of its own in the slot and then leaves a run at the end of the file, at most a segment
  // long. Twice the pages needed are enough unless the free space lies in too many pieces.
  const enough = space.capacityPages + 2 * pagesNeeded
  while (runs === undefined && space.capacityPages <= enough) {
    grow(Math.min(pagesNeeded, MAX_GROWTH_RUN_PAGES))
    runs = allocator.findRuns(pagesNeeded, MAX_RECORD_EXTENTS)
  }
  if (runs === undefined) {
    throw new DaxkvError(
      'TX_TOO_LARGE',
      `the transaction's log record needs ${pagesNeeded * PAGE_BYTES} bytes of free space in at most ` +
        `${MAX_RECORD_EXTENTS} pieces and the pool has no such space`,
      { limit: MAX_RECORD_EXTENTS, actual: pagesNeeded * PAGE_BYTES },
    )
  }
  return runs
}

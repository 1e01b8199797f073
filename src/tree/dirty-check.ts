import { DaxkvError } from '../errors.js'
import { LINE_BYTES, LINES_PER_PAGE, PAGE_BYTES } from '../pmem/program.js'
import { FRAME_BACKUP, FRAME_FREED, FRAME_FRESH, type PageSpace } from '../tx/page-space.js'

/**
 * Proves that the dirty masks of a transaction cover every line in which a staged page differs from its committed
 * version. A line they miss would be lost by the commit, so tests run this in front of each one; it compares whole
 * pages and is far too slow for production.
 */
export function assertDirtyLines(space: PageSpace): void {
  for (let frame = 0; frame < space.frameCount; frame++) {
    if ((space.flags[frame] & (FRAME_FRESH | FRAME_FREED | FRAME_BACKUP)) !== 0) continue
    const pageId = space.pageIds[frame]
    space.locateCommitted(pageId)
    const committed = space.view.u8
    const committedBase = space.base
    space.point(frame)
    const staged = space.view.u8
    const { base } = space
    if (staged.compare(committed, committedBase, committedBase + PAGE_BYTES, base, base + PAGE_BYTES) === 0) continue
    for (let line = 0; line < LINES_PER_PAGE; line++) {
      const mask = line < 32 ? space.dirtyLo[frame] : space.dirtyHi[frame]
      if (((mask >>> (line & 31)) & 1) === 1) continue
      const from = line * LINE_BYTES
      const to = from + LINE_BYTES
      if (staged.compare(committed, committedBase + from, committedBase + to, base + from, base + to) !== 0) {
        throw new DaxkvError('INTERNAL', `page ${pageId}: line ${line} was edited but not marked dirty`)
      }
    }
  }
}

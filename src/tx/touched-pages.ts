/**
 * The pages that redo records since the last checkpoint cover. Replaying such a record writes the page's old lines again, so
 * only pages outside may be filled in place without being logged (protocol C, "fresh in place only where no record since the
 * checkpoint touches the page"). A bitmap in chunks: marking must cost next to nothing, it happens in every commit.
 */
export class TouchedPages {
  private chunks: (Uint32Array | undefined)[] = []

  mark(pageId: number): void {
    const chunk = (this.chunks[pageId >>> CHUNK_SHIFT] ??= new Uint32Array(CHUNK_PAGES / 32))
    chunk[(pageId & (CHUNK_PAGES - 1)) >>> 5] |= 1 << (pageId & 31)
  }

  /** Whether any of the pages from `pageId` on was marked. */
  any(pageId: number, pageCount: number): boolean {
    for (let page = pageId; page < pageId + pageCount; page++) {
      const chunk = this.chunks[page >>> CHUNK_SHIFT]
      if (chunk === undefined) page = (page | (CHUNK_PAGES - 1)) >>> 0
      else if (((chunk[(page & (CHUNK_PAGES - 1)) >>> 5] >>> (page & 31)) & 1) === 1) return true
    }
    return false
  }

  clear(): void {
    this.chunks = []
  }
}

const CHUNK_SHIFT = 15
const CHUNK_PAGES = 2 ** CHUNK_SHIFT

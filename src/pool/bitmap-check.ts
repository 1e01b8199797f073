import { DaxkvError } from '../errors.js'
import type { MemoryView } from '../pmem/memory-view.js'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import { PAGE_BYTES } from '../pmem/program.js'
import { HEADER_OFFSET_PAGE_ID, HEADER_OFFSET_TYPE, PAGE_TYPE_BITMAP } from './format.js'
import type { Geometry } from './geometry.js'

/** What the check needs of the transaction's staging. */
export interface CommittedPages {
  readonly memory: PersistentMemory
  view: MemoryView
  base: number
  locateCommitted(pageId: number): void
}

/**
 * Keeps the allocator from acting on bitmaps that are not what was committed. A value is written into its new pages
 * long before the commit, so a bitmap that reads as zeros ("all is free") must be found out before that.
 */
export class BitmapCheck {
  /** Bitmaps that were whole at their first visit. From then on only commits of this process change it. */
  private readonly whole = new Set<number>()
  private readonly faultWords: Uint32Array

  constructor(
    private readonly pages: CommittedPages,
    private readonly geometry: Geometry,
  ) {
    this.faultWords = pages.memory.faultWords
  }

  /** Before a bitmap is read or edited. */
  visit(bitmap: number): void {
    if (!this.whole.has(bitmap)) this.verify(bitmap)
  }

  /** After bitmaps were read, and before anything is done that cannot be taken back: a faulting page reads as zeros. */
  checkFault(): void {
    if (this.faultWords[0] === 0) return
    throw new DaxkvError('MEDIA_ERROR', 'the mapping faulted: what the allocation bitmaps say cannot be relied on')
  }

  private verify(bitmap: number): void {
    const { pages } = this
    const page = this.geometry.bitmapPage(bitmap)
    pages.locateCommitted(page)
    const { view, base } = pages
    const headerOk =
      view.u8[base + HEADER_OFFSET_TYPE] === PAGE_TYPE_BITMAP && view.u32[(base + HEADER_OFFSET_PAGE_ID) >>> 2] === page
    const ok = headerOk && pages.memory.verifyPage(page)
    // A fault is why the page looks wrong, and passes: the file itself may be whole.
    this.checkFault()
    if (!ok) {
      throw new DaxkvError('CORRUPT', `allocation bitmap page ${page} fails its checksum or header: run check()`, {
        offset: page * PAGE_BYTES,
        length: PAGE_BYTES,
      })
    }
    this.whole.add(bitmap)
  }
}

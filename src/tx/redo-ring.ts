/**
 * Where the next redo record goes in the log area (protocol C), in pages counted from the start of the log.
 *
 *     0        tail                head            length
 *     |  free   |  records since    |     free      |        not wrapped
 *               the checkpoint
 *
 * Every commit begins on a page of its own, so that no sector that holds an acknowledged record is written again. Records do
 * not wrap: one that does not fit before the end goes to the start, and recovery looks there once.
 */
export class RedoRing {
  /** Page where recovery starts: the anchor says so. */
  private tail = 0
  /** Page the next record goes to if it fits there. */
  private head = 0
  private wrapped = false
  /** Pages that records, and the gap before a wrap, take. */
  usedPages = 0

  constructor(readonly lengthPages: number) {}

  /** First page for a record of so many pages, or -1: then only a checkpoint makes room. */
  place(pages: number): number {
    if (this.wrapped) return pages <= this.tail - this.head ? this.head : -1
    if (pages <= this.lengthPages - this.head) return this.head
    // Not onto the tail itself: recovery reads up to it.
    return pages <= this.tail ? 0 : -1
  }

  /** A record was written where `place` said. */
  take(page: number, pages: number): void {
    if (page < this.head) {
      this.usedPages += this.lengthPages - this.head
      this.wrapped = true
    }
    this.head = page + pages
    this.usedPages += pages
  }

  /** Page where the ring may begin anew after a checkpoint, for a record of so many pages to fit behind it. */
  restartPage(pages: number): number {
    return this.head + pages <= this.lengthPages ? this.head : 0
  }

  /** The anchor that says `page` is durable: what lies before it is free. */
  restart(page: number): void {
    this.tail = page
    this.head = page
    this.wrapped = false
    this.usedPages = 0
  }

  /** The anchor that says `page`, the end of some record, is durable: what lies before it is free, records behind it stay. */
  release(page: number): void {
    if (page === this.head) {
      this.restart(page)
      return
    }
    // Behind the tail in the upper part; else the release has passed the end of the ring.
    if (this.wrapped && page > this.tail) {
      this.usedPages = this.lengthPages - page + this.head
    } else {
      this.wrapped = false
      this.usedPages = this.head - page
    }
    this.tail = page
  }

  /** From here on a checkpoint is due: before the ring is so full that a commit has to wait for it. */
  get isHalfFull(): boolean {
    return this.usedPages * 2 >= this.lengthPages
  }
}

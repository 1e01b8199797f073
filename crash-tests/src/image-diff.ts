import { EVENT_GROW, EVENT_STORE, EVENT_STORE_NON_TEMPORAL, type Trace } from '../../src/pmem/event-log.js'
import { LINES_PER_PAGE, LINE_BYTES, PAGE_BYTES } from '../../src/pmem/program.js'

/** What the medium would hold after `point` events if nothing could be lost. */
export function newestImage({ image, events }: Trace, point: number): Buffer {
  let newest = Buffer.from(image)
  for (let event = 0; event < point; event++) {
    const kind = events.kind(event)
    if (kind === EVENT_STORE || kind === EVENT_STORE_NON_TEMPORAL) {
      newest.set(events.bytes(event), events.pageId(event) * PAGE_BYTES + events.line(event) * LINE_BYTES)
    } else if (kind === EVENT_GROW) {
      const grown = Buffer.alloc(Math.max(newest.length, events.pageCount(event) * PAGE_BYTES))
      newest.copy(grown)
      newest = grown.fill(0, events.pageId(event) * PAGE_BYTES, events.pageCount(event) * PAGE_BYTES)
    }
  }
  return newest
}

/** A line of 64 bytes that differs. */
export interface LineDifference {
  readonly pageId: number
  /** From 0 to 63. */
  readonly line: number
}

/** Lines in which two images differ, as far as both reach, in ascending order. */
export function differingLines(left: Uint8Array, right: Uint8Array): LineDifference[] {
  const [a, b] = [Buffer.from(left.buffer, left.byteOffset, left.length), right]
  const found: LineDifference[] = []
  const end = Math.min(a.length, b.length)
  for (let page = 0; page < end; page += PAGE_BYTES) {
    if (a.compare(b, page, page + PAGE_BYTES, page, page + PAGE_BYTES) === 0) continue
    for (let line = 0; line < LINES_PER_PAGE; line++) {
      const at = page + line * LINE_BYTES
      const same = a.compare(b, at, at + LINE_BYTES, at, at + LINE_BYTES) === 0
      if (!same) found.push({ pageId: page / PAGE_BYTES, line })
    }
  }
  return found
}

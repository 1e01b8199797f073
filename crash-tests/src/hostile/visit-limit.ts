import { PageSpace } from '../../../src/tx/page-space.js'

/** A walk that does not come to its end: more pages visited in one call than any sound or damaged pool of this size needs. */
export class EndlessWalk extends Error {}

let visits = 0
let limit = Infinity
let most = 0

/** Counts page visits from now on in this process; only the processes of the campaign call it. */
export function limitVisits(): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the space it belongs to, below
  const { locateCommitted } = PageSpace.prototype
  PageSpace.prototype.locateCommitted = function (this: PageSpace, pageId: number): void {
    if (++visits > limit) throw new EndlessWalk(`more than ${limit} page visits in one call`)
    locateCommitted.call(this, pageId)
  }
}

/** Begins a call on a pool of so many pages. */
export function beginCall(capacityPages: number, entries: number): void {
  most = Math.max(most, visits / Math.max(1, limit))
  visits = 0
  // A check visits each page a few times, and the bitmap for each page; a walk over rows visits a page for each row.
  limit = 20 * capacityPages + 64 * entries + 2000
}

/** The largest share of its limit that any call has needed. */
export function mostVisits(): number {
  return most
}

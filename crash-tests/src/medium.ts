import {
  EVENT_BARRIER_END,
  EVENT_BARRIER_START,
  EVENT_FENCE,
  EVENT_FLUSH,
  EVENT_GROW,
  EVENT_MARK,
  EVENT_STORE,
  EVENT_STORE_NON_TEMPORAL,
  EVENT_SYNC_ALL,
} from '../../src/pmem/event-log.js'
import type { EventLog } from '../../src/pmem/event-log.js'
import { LINE_BYTES, PAGE_BYTES } from '../../src/pmem/program.js'
import { CrashUnit } from './crash-unit.js'
import type { TearOptions } from './crash-unit.js'
import type { Fingerprint } from './fingerprint.js'

/**
 * What may happen to stores that were not made durable:
 * - `cache-line`: power failure with ADR. A line may be evicted at any time; nothing else is sure before flush + fence.
 * - `byte`: power failure with eADR. Ordinary stores are durable in program order; non-temporal ones at the next fence.
 * - `page`: power failure over a page cache. Any page may be written back at any time, sector by sector.
 * - `kill`: the process dies, the machine goes on. An exact prefix of the program, the last store possibly half done.
 */
export type CrashModel = 'cache-line' | 'byte' | 'page' | 'kill'

/**
 * Label of the mark between the events of a killed process and those of its successor: what the first had noted for its next
 * msync is forgotten with it. What it had stored stays in the page cache.
 */
export const MARK_KILLED = 'killed'
/**
 * The same after an msync that has failed: the kernel takes the pages for clean that never reached the disk, and no later msync
 * writes them unless they are stored to again.
 */
export const MARK_SYNC_FAILED = 'sync failed'

/** Follows the events of a trace and knows at any time what a crash would leave on the medium. */
export interface Medium {
  /** Takes the next event. Returns the unit it stored to, if any. */
  apply(events: EventLog, event: number): CrashUnit | undefined
  /** Units that are not surely in their newest version. */
  units(): IterableIterator<CrashUnit>
}

export interface MediumOptions {
  /** Fingerprint of the image, kept up to date with it. */
  readonly fingerprint: Fingerprint
  readonly model: CrashModel
  readonly torn: boolean
  readonly seed: number
}

/** Content that is surely durable lies in `image`, which the medium keeps up to date. */
export function createMedium(image: Uint8Array, options: MediumOptions): Medium {
  const { model, torn, seed, fingerprint } = options
  if (model === 'page') {
    const sectors: TearOptions = { atomBytes: 512, exhaustiveAtoms: 2, anyOlder: true, randomSubsets: 2, seed }
    return new PageMedium(image, fingerprint, torn ? sectors : undefined)
  }
  const words: TearOptions = { atomBytes: 8, exhaustiveAtoms: 3, anyOlder: false, randomSubsets: 4, seed }
  return new LineMedium(image, fingerprint, model, torn ? words : undefined)
}

class PendingLine extends CrashUnit {
  /** This version will be durable after the next fence. */
  flushedVersion = 0
  nonTemporal = false
  /** This version will be durable when the barrier under way ends; 0 when it does not cover the line. */
  syncing = 0
}

class LineMedium implements Medium {
  readonly #image: Uint8Array
  readonly #fingerprint: Fingerprint
  readonly #model: CrashModel
  readonly #tear: TearOptions | undefined
  readonly #pending = new Map<number, PendingLine>()

  constructor(image: Uint8Array, fingerprint: Fingerprint, model: CrashModel, tear: TearOptions | undefined) {
    this.#image = image
    this.#fingerprint = fingerprint
    this.#model = model
    this.#tear = tear
  }

  units(): IterableIterator<CrashUnit> {
    return this.#pending.values()
  }

  apply(events: EventLog, event: number): CrashUnit | undefined {
    // A store stays pending for one event in every model, since the crash may come in the middle of it.
    if (this.#model === 'kill') this.#settle((line) => line.versionCount - 1)
    if (this.#model === 'byte') this.#settle((line) => (line.nonTemporal ? 0 : line.versionCount - 1))
    switch (events.kind(event)) {
      case EVENT_STORE:
      case EVENT_STORE_NON_TEMPORAL:
        return this.#store(events, event)
      case EVENT_FLUSH: {
        const line = this.#pending.get(lineOffset(events, event))
        if (line !== undefined) line.flushedVersion = line.versionCount - 1
        return undefined
      }
      case EVENT_FENCE:
        this.#settle((line) => (this.#model === 'byte' ? line.versionCount - 1 : line.flushedVersion))
        return undefined
      case EVENT_SYNC_ALL:
        // fdatasync writes back the CPU caches of every page of the file that was stored to.
        this.#settle((line) => line.versionCount - 1)
        return undefined
      case EVENT_BARRIER_START:
        for (const line of this.#pending.values()) {
          line.syncing = events.pageId(event) === 1 ? line.versionCount - 1 : line.flushedVersion
        }
        return undefined
      case EVENT_BARRIER_END:
        this.#settle((line) => line.syncing)
        return undefined
      case EVENT_GROW:
        for (const offset of this.#pending.keys()) {
          if (offset >= events.pageId(event) * PAGE_BYTES) this.#pending.delete(offset)
        }
        clearGrown(this.#image, this.#fingerprint, events, event)
        return undefined
      default:
        return undefined
    }
  }

  #store(events: EventLog, event: number): CrashUnit {
    const offset = lineOffset(events, event)
    let line = this.#pending.get(offset)
    if (line === undefined) {
      line = new PendingLine(offset, this.#image.slice(offset, offset + LINE_BYTES), this.#tear)
      this.#pending.set(offset, line)
    }
    line.push(Uint8Array.from(events.bytes(event)))
    if (events.kind(event) === EVENT_STORE_NON_TEMPORAL) {
      line.flushedVersion = line.versionCount - 1
      line.nonTemporal = true
    }
    return line
  }

  #settle(durableVersion: (line: PendingLine) => number): void {
    for (const [offset, line] of this.#pending) {
      const version = durableVersion(line)
      if (version === 0) continue
      line.makeDurable(version)
      line.flushedVersion = Math.max(0, line.flushedVersion - version)
      line.syncing = Math.max(0, line.syncing - version)
      replaceBytes(this.#image, this.#fingerprint, offset, line.durable)
      if (line.versionCount === 1) this.#pending.delete(offset)
    }
  }
}

/** Page of the events of barriers that cover the whole file; 0 in those that do not. */
const WHOLE_FILE = 1

class PendingPage extends CrashUnit {
  /** The next fence (an msync) covers this page. */
  flushed = false
  /** The kernel takes it for clean, so that no msync writes it. */
  clean = false
  /** Versions that the barrier and the data sync under way make durable; 0 when they do not cover the page. */
  readonly syncing = [0, 0]
}

class PageMedium implements Medium {
  readonly #image: Uint8Array
  readonly #fingerprint: Fingerprint
  readonly #tear: TearOptions | undefined
  readonly #pending = new Map<number, PendingPage>()

  constructor(image: Uint8Array, fingerprint: Fingerprint, tear: TearOptions | undefined) {
    this.#image = image
    this.#fingerprint = fingerprint
    this.#tear = tear
  }

  units(): IterableIterator<CrashUnit> {
    return this.#pending.values()
  }

  apply(events: EventLog, event: number): CrashUnit | undefined {
    switch (events.kind(event)) {
      case EVENT_STORE:
      case EVENT_STORE_NON_TEMPORAL:
        return this.#store(events, event)
      case EVENT_FLUSH: {
        const page = this.#pending.get(events.pageId(event))
        if (page !== undefined) page.flushed = true
        return undefined
      }
      case EVENT_FENCE:
        this.#sync((page) => page.flushed)
        return undefined
      case EVENT_SYNC_ALL:
        this.#sync(() => true)
        return undefined
      case EVENT_BARRIER_START:
        this.#startBarrier(events.pageId(event))
        return undefined
      case EVENT_BARRIER_END:
        this.#endBarrier(events.pageId(event))
        return undefined
      case EVENT_MARK:
        this.#endProcess(events.mark(event).label)
        return undefined
      case EVENT_GROW:
        for (const pageId of this.#pending.keys()) {
          if (pageId >= events.pageId(event)) this.#pending.delete(pageId)
        }
        clearGrown(this.#image, this.#fingerprint, events, event)
        return undefined
      default:
        return undefined
    }
  }

  #store(events: EventLog, event: number): CrashUnit {
    const pageId = events.pageId(event)
    let page = this.#pending.get(pageId)
    if (page === undefined) {
      const offset = pageId * PAGE_BYTES
      page = new PendingPage(offset, this.#image.slice(offset, offset + PAGE_BYTES), this.#tear)
      this.#pending.set(pageId, page)
    }
    const content = Uint8Array.from(page.newest)
    content.set(events.bytes(event), events.line(event) * LINE_BYTES)
    page.push(content)
    page.clean = false
    if (events.kind(event) === EVENT_STORE_NON_TEMPORAL) page.flushed = true
    return page
  }

  /** What is stored from here on is not promised to be in the pages that are written. */
  #startBarrier(which: number): void {
    for (const page of this.#pending.values()) {
      if (page.clean || !(which === WHOLE_FILE || page.flushed)) continue
      page.syncing[which] = page.versionCount - 1
      // What a data sync covers may be noted for a barrier all the same, which does not wait for it.
      if (which !== WHOLE_FILE) page.flushed = false
    }
  }

  #endBarrier(which: number): void {
    for (const [pageId, page] of this.#pending) {
      const version = page.syncing[which]
      if (version === 0) continue
      page.makeDurable(version)
      for (const other of [0, WHOLE_FILE]) page.syncing[other] = Math.max(0, page.syncing[other] - version)
      replaceBytes(this.#image, this.#fingerprint, page.offset, page.durable)
      if (page.versionCount === 1) this.#pending.delete(pageId)
    }
  }

  #endProcess(label: string): void {
    if (label !== MARK_KILLED && label !== MARK_SYNC_FAILED) return
    for (const page of this.#pending.values()) {
      if (label === MARK_SYNC_FAILED && (page.flushed || page.syncing.some((version) => version > 0))) page.clean = true
      page.flushed = false
      page.syncing.fill(0)
    }
  }

  /** msync writes whole pages, with all they hold at that time. */
  #sync(covered: (page: PendingPage) => boolean): void {
    for (const [pageId, page] of this.#pending) {
      if (page.clean || !covered(page)) continue
      replaceBytes(this.#image, this.#fingerprint, page.offset, page.newest)
      this.#pending.delete(pageId)
    }
  }
}

function lineOffset(events: EventLog, event: number): number {
  return events.pageId(event) * PAGE_BYTES + events.line(event) * LINE_BYTES
}

/** Growth writes zeros and syncs them, over whatever an earlier, unpublished growth has left there. */
function clearGrown(image: Uint8Array, fingerprint: Fingerprint, events: EventLog, event: number): void {
  const grown = image.subarray(events.pageId(event) * PAGE_BYTES, events.pageCount(event) * PAGE_BYTES)
  fingerprint.toggle(events.pageId(event) * PAGE_BYTES, grown)
  grown.fill(0)
}

function replaceBytes(image: Uint8Array, fingerprint: Fingerprint, offset: number, bytes: Uint8Array): void {
  fingerprint.toggle(offset, image.subarray(offset, offset + bytes.length))
  fingerprint.toggle(offset, bytes)
  image.set(bytes, offset)
}

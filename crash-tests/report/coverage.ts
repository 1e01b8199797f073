import {
  EVENT_FENCE,
  EVENT_FLUSH,
  EVENT_GROW,
  EVENT_MARK,
  EVENT_STORE,
  EVENT_STORE_NON_TEMPORAL,
  EVENT_SYNC_ALL,
  type Trace,
} from '../../src/pmem/event-log.js'
import { LINE_BYTES, PAGE_BYTES } from '../../src/pmem/program.js'
import type { Logging } from '../../src/tx/committer.js'
import { FEWER } from '../src/amounts.js'
import { crashImages } from '../src/crash-states.js'
import type { CrashOptions } from '../src/crash-states.js'
import { SCRIPT } from '../src/hunt.js'
import type { CrashModel } from '../src/medium.js'
import { recordWorkload } from '../src/recording.js'
import { SEGMENT_SHIFT } from '../src/small-engine.js'
import { TracedMemory } from './traced-memory.js'

/** What one operation of one place in the sources did to the medium, and how often a crash came right after it. */
export interface CoverageRow {
  readonly logging: Logging
  /** Such as `src/tx/commit.ts:94 UndoCommitter.commit`. */
  readonly site: string
  readonly operation: string
  stores: number
  /** Stores of bytes that were there already: no state is new after them. */
  unchanged: number
  flushes: number
  fences: number
  /** Stores and fences after which crashes were tried; a flush alone makes no new image possible. */
  crossed: number
  /** Images made there, over the models. */
  images: number
}

const MODELS: readonly CrashModel[] = ['cache-line', 'byte', 'page', 'kill']
const LOG_PAGES: Readonly<Record<Logging, number>> = { undo: 4, redo: 12 }
/** In longer traces (they write large values) few images a point are made: what counts here is whether there are any. */
const LONG_TRACE_EVENTS = 400
const ONE_OR_TWO: CrashOptions = { exhaustiveLimit: 2, samples: 1, torn: false }

/**
 * Runs the script that the suites begin with, remembers which source location caused which event, and makes the crash images of it without
 * recovering them.
 */
export function measureCoverage(seed: number): CoverageRow[] {
  const rows = new Map<string, CoverageRow>()
  for (const logging of ['undo', 'redo'] as const) measure(logging, seed, rows)
  return [...rows.values()].sort((left, right) => order(left).localeCompare(order(right), 'en', { numeric: true }))
}

function order({ logging, site, operation }: CoverageRow): string {
  return `${logging} ${site} ${operation}`
}

function measure(logging: Logging, seed: number, rows: Map<string, CoverageRow>): void {
  const logPages = LOG_PAGES[logging]
  const memory = new TracedMemory({
    sizeBytes: (20 + logPages) * PAGE_BYTES,
    segmentShift: SEGMENT_SHIFT,
    granularity: logging === 'redo' ? 'page' : 'cache-line',
    record: true,
  })
  const recordings = recordWorkload({
    seed,
    steps: SCRIPT.length,
    stepsPerTrace: 1,
    script: SCRIPT,
    memory,
    engineOptions: () => ({ logging, logSizeBytes: logPages * PAGE_BYTES }),
  })
  for (const { trace } of recordings) {
    const images = imagesByPoint(trace, seed)
    const changing = changingStores(trace)
    for (const { from, to, site, operations } of memory.sourcesOf(trace.events)) {
      for (let event = from; event < to; event++) {
        const kind = trace.events.kind(event)
        if (kind === EVENT_MARK) continue
        const operation = operations.length === 1 ? operations[0] : operations[trace.events.operation(event)]
        const key = `${logging} ${site} ${operation}`
        const row = rows.get(key) ?? {
          logging,
          site,
          operation,
          stores: 0,
          unchanged: 0,
          flushes: 0,
          fences: 0,
          crossed: 0,
          images: 0,
        }
        rows.set(key, row)
        if (kind === EVENT_STORE || kind === EVENT_STORE_NON_TEMPORAL) {
          row.stores++
          if (!changing.has(event)) row.unchanged++
        } else if (kind === EVENT_FLUSH) row.flushes++
        else if (kind === EVENT_FENCE || kind === EVENT_SYNC_ALL) row.fences++
        if (images[event + 1] > 0) row.crossed++
        row.images += images[event + 1]
      }
    }
  }
}

function imagesByPoint(trace: Trace, seed: number): Uint32Array {
  const counts = new Uint32Array(trace.events.count + 1)
  const options = trace.events.count > LONG_TRACE_EVENTS ? ONE_OR_TWO : FEWER
  for (const model of MODELS) for (const { point } of crashImages(trace, { ...options, model, seed })) counts[point]++
  return counts
}

/** Events that store other bytes than the line held. */
function changingStores({ image, events }: Trace): Set<number> {
  const changing = new Set<number>()
  const lines = new Map<number, Buffer>()
  for (let event = 0; event < events.count; event++) {
    const kind = events.kind(event)
    if (kind === EVENT_GROW) {
      for (const offset of lines.keys()) if (offset >= events.pageId(event) * PAGE_BYTES) lines.delete(offset)
    }
    if (kind !== EVENT_STORE && kind !== EVENT_STORE_NON_TEMPORAL) continue
    const offset = events.pageId(event) * PAGE_BYTES + events.line(event) * LINE_BYTES
    const before = lines.get(offset) ?? Buffer.from(image.subarray(offset, offset + LINE_BYTES))
    const after = Buffer.from(events.bytes(event))
    if (!after.equals(before.length === 0 ? Buffer.alloc(LINE_BYTES) : before)) changing.add(event)
    lines.set(offset, after)
  }
  return changing
}

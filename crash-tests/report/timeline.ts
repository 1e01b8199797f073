import { storeOn } from '../../src/api/open.js'
import {
  EVENT_FENCE,
  EVENT_FLUSH,
  EVENT_STORE,
  EVENT_STORE_NON_TEMPORAL,
  EVENT_SYNC_ALL,
  type Trace,
} from '../../src/pmem/event-log.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import type { Logging } from '../../src/tx/committer.js'
import { crashImages } from '../src/crash-states.js'
import type { CrashModel } from '../src/medium.js'
import { Random } from '../src/random.js'
import { RecordingMemory } from '../src/replay-memory.js'
import { openEngine, SEGMENT_SHIFT } from '../src/small-engine.js'
import { pageRole } from './page-role.js'

export interface TimelineMark {
  /** Position in the trace, from 0 on. */
  readonly event: number
  /** Index in `lines`. */
  readonly row: number
}

/** What one commit did to the medium, in the order in which it did it. */
export interface Timeline {
  readonly logging: Logging
  readonly title: string
  /** Names of the lines of 64 bytes it stored to, in the order of the first store. */
  readonly lines: readonly string[]
  readonly events: number
  readonly stores: readonly TimelineMark[]
  readonly nonTemporalStores: readonly TimelineMark[]
  readonly flushes: readonly TimelineMark[]
  /** Events that are fences. */
  readonly fences: readonly number[]
  /** From a store to the fence that makes it durable (`events` if none does): here a crash may lose the line. */
  readonly inDanger: readonly { readonly row: number; readonly from: number; readonly to: number }[]
  /** By point (events that have happened): images that a crash there may leave. */
  readonly images: Readonly<Partial<Record<CrashModel, readonly number[]>>>
}

const MODELS: readonly CrashModel[] = ['cache-line', 'byte', 'page', 'kill']
const LOG_PAGES: Readonly<Record<Logging, number>> = { undo: 4, redo: 12 }

/** Records a transaction of two overwrites and looks at its trace. */
export function recordTimeline(logging: Logging): Timeline {
  return timelineOf(recordCommit(logging), logging, 'one transaction that overwrites two values')
}

export function recordCommit(logging: Logging): Trace {
  const memory = new RecordingMemory({
    sizeBytes: 32 * PAGE_BYTES,
    segmentShift: SEGMENT_SHIFT,
    granularity: logging === 'redo' ? 'page' : 'cache-line',
    record: true,
  })
  const options = { logging, logSizeBytes: LOG_PAGES[logging] * PAGE_BYTES }
  const store = storeOn(openEngine(memory, new Random(1), 8, options), { keyEncoding: 'utf8', valueEncoding: 'string' })
  for (let number = 10; number < 60; number++) store.put(`account ${number}`, 'opening balance')
  memory.startRecording()
  store.transaction(() => {
    store.put('account 17', '60')
    store.put('account 42', '140')
  })
  const trace = memory.trace()
  return trace
}

export function timelineOf(trace: Trace, logging: Logging, title: string): Timeline {
  const { events, image } = trace
  const rows = new Map<string, number>()
  const lines: string[] = []
  const [stores, nonTemporalStores, flushes]: TimelineMark[][] = [[], [], []]
  const fences: number[] = []
  const inDanger: { row: number; from: number; to: number }[] = []
  /** Row -> where its span began, and whether the next fence ends it. */
  const pending = new Map<number, { from: number; flushed: boolean }>()
  const rowOf = (event: number): number => {
    const place = `${events.pageId(event)}:${events.line(event)}`
    let row = rows.get(place)
    if (row === undefined) {
      rows.set(place, (row = lines.length))
      lines.push(`${pageRole(image, events.pageId(event))} ${place}`)
    }
    return row
  }
  for (let event = 0; event < events.count; event++) {
    const kind = events.kind(event)
    if (kind === EVENT_STORE || kind === EVENT_STORE_NON_TEMPORAL) {
      const row = rowOf(event)
      const nonTemporal = kind === EVENT_STORE_NON_TEMPORAL
      ;(nonTemporal ? nonTemporalStores : stores).push({ event, row })
      pending.set(row, { from: pending.get(row)?.from ?? event, flushed: nonTemporal })
    } else if (kind === EVENT_FLUSH) {
      const row = rowOf(event)
      flushes.push({ event, row })
      const span = pending.get(row)
      if (span !== undefined) span.flushed = true
    } else if (kind === EVENT_FENCE || kind === EVENT_SYNC_ALL) {
      fences.push(event)
      for (const [row, { from, flushed }] of pending) {
        if (!flushed && kind === EVENT_FENCE) continue
        inDanger.push({ row, from, to: event })
        pending.delete(row)
      }
    }
  }
  for (const [row, { from }] of pending) inDanger.push({ row, from, to: events.count })
  const images: Partial<Record<CrashModel, number[]>> = {}
  for (const model of MODELS) {
    const counts = new Array<number>(events.count + 1).fill(0)
    const options = { model, exhaustiveLimit: 64, samples: 24 }
    for (const { point } of crashImages(trace, options)) counts[point]++
    images[model] = counts
  }
  const all = { events: events.count, stores, nonTemporalStores, flushes, fences, inDanger, images }
  return { logging, title, lines, ...all }
}

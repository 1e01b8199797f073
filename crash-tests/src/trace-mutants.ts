import {
  EVENT_FENCE,
  EVENT_FLUSH,
  EVENT_STORE,
  EVENT_STORE_NON_TEMPORAL,
  EVENT_SYNC_ALL,
  EventLog,
} from '../../src/pmem/event-log.js'
import type { Trace } from '../../src/pmem/event-log.js'
import { PAGE_ANCHOR_A, PAGE_ANCHOR_B, PAGE_LOG_START } from '../../src/pool/format.js'
import { LOG_PAGES } from './workload.js'

/**
 * Mutants of the executor: a flush or fence that was left out changes nothing that the program can see, only what is
 * durable. So the trace of the right program without the event is the trace of the mutant.
 */
export type TraceFilter = (trace: Trace) => Trace

/** Where an event stands in its program. */
export interface EventContext {
  readonly trace: Trace
  readonly event: number
  /** The program writes a log record: a commit. */
  readonly commit: boolean
  /** The program syncs the whole file: the last step of recovery, or of a clean close. */
  readonly syncs: boolean
  /** The program writes an anchor. */
  readonly anchor: boolean
  /** The first program of the trace: in a recovery, the one that makes the anchors durable. */
  readonly first: boolean
  /** Fences before it in its program. */
  readonly fencesBefore: number
}

export type EventChange = 'keep' | 'drop' | 'ordinary store'

/** A filter that drops events, or takes away what makes a non-temporal store durable without a flush. */
export function changeEvents(change: (context: EventContext) => EventChange): TraceFilter {
  return (trace) => {
    const { events } = trace
    const programs = describePrograms(trace)
    const firstProgram = events.count > 0 ? Math.min(...programs.keys()) : 0
    const fences = new Map<number, number>()
    const changed = new EventLog()
    for (let event = 0; event < events.count; event++) {
      const program = events.program(event)
      const fencesBefore = fences.get(program) ?? 0
      const about = programs.get(program) ?? { commit: false, syncs: false, anchor: false }
      const what = change({ trace, event, ...about, first: program === firstProgram, fencesBefore })
      if (events.kind(event) === EVENT_FENCE) fences.set(program, fencesBefore + 1)
      if (what === 'drop') {
        // A marker keeps the number of events, and with it the points of the crashes.
        changed.appendMark('dropped', undefined, program)
      } else if (what === 'ordinary store') {
        const [pageId, line] = [events.pageId(event), events.line(event)]
        changed.appendStore(EVENT_STORE, pageId, line, events.bytes(event), 0, program, events.operation(event))
      } else {
        changed.appendFrom(events, event, event + 1)
      }
    }
    return { image: trace.image, events: changed }
  }
}

interface ProgramDescription {
  commit: boolean
  syncs: boolean
  anchor: boolean
}

function describePrograms({ events }: Trace): Map<number, ProgramDescription> {
  const programs = new Map<number, ProgramDescription>()
  for (let event = 0; event < events.count; event++) {
    const program = events.program(event)
    if (program === 0) continue
    let about = programs.get(program)
    if (about === undefined) programs.set(program, (about = { commit: false, syncs: false, anchor: false }))
    const kind = events.kind(event)
    if (kind === EVENT_SYNC_ALL) about.syncs = true
    if (kind === EVENT_STORE_NON_TEMPORAL && isLogPage(events.pageId(event))) about.commit = true
    if (kind === EVENT_STORE && isAnchorPage(events.pageId(event))) about.anchor = true
  }
  return programs
}

function isLogPage(pageId: number): boolean {
  return pageId >= PAGE_LOG_START && pageId < PAGE_LOG_START + LOG_PAGES
}

function isAnchorPage(pageId: number): boolean {
  return pageId === PAGE_ANCHOR_A || pageId === PAGE_ANCHOR_B
}

const kindOf = ({ trace, event }: EventContext): number => trace.events.kind(event)
const dropWhen = (condition: (context: EventContext) => boolean): TraceFilter =>
  changeEvents((context) => (condition(context) ? 'drop' : 'keep'))

/** Commit without its n-th fence. */
export const withoutFence = (number: number): TraceFilter =>
  dropWhen((context) => context.commit && kindOf(context) === EVENT_FENCE && context.fencesBefore === number - 1)

/** Commit that does not flush the lines it stores in place. */
export const withoutDirtyFlushes = dropWhen((context) => context.commit && kindOf(context) === EVENT_FLUSH)

/** The same for the lines that are stored after the fence of a record alone. */
export const withoutLastFlushes = dropWhen(
  (context) => context.commit && context.fencesBefore > 0 && kindOf(context) === EVENT_FLUSH,
)

/** Fresh pages and extents are stored but not flushed. */
export const withoutFreshFlushes = changeEvents((context) => {
  const { trace, event } = context
  const fresh = trace.events.program(event) === 0 || (context.commit && context.fencesBefore === 0)
  if (!fresh || isLogPage(trace.events.pageId(event))) return 'keep'
  if (kindOf(context) === EVENT_STORE_NON_TEMPORAL) return 'ordinary store'
  return kindOf(context) === EVENT_FLUSH ? 'drop' : 'keep'
})

/** The record is written with ordinary stores. */
export const withoutRecordFlushes = changeEvents((context) => {
  const isRecord = kindOf(context) === EVENT_STORE_NON_TEMPORAL && isLogPage(context.trace.events.pageId(context.event))
  return isRecord ? 'ordinary store' : 'keep'
})

/** Recovery that does not flush what it finds finished, nor what it rolls back. */
export const withoutRecoveryFlushes = dropWhen((context) => context.syncs && kindOf(context) === EVENT_FLUSH)

/** Recovery that bumps the epoch before its work is durable. */
export const withoutRecoverySync = dropWhen((context) => kindOf(context) === EVENT_SYNC_ALL)

/** Recovery that does not wait for the re-stored anchors. */
export const withoutFirstFence = dropWhen(
  (context) => context.first && context.anchor && kindOf(context) === EVENT_FENCE,
)

/** Recovery that lets work begin before the new anchor is durable. */
export const withoutAnchorFence = dropWhen(
  (context) => !context.first && context.anchor && kindOf(context) === EVENT_FENCE,
)

/** Recovery that stores the new anchor without flushing it. */
export const withoutAnchorFlush = dropWhen(
  (context) => !context.first && context.anchor && kindOf(context) === EVENT_FLUSH,
)

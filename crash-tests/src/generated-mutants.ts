import { EVENT_FENCE, EVENT_FLUSH, EVENT_STORE, EventLog } from '../../src/pmem/event-log.js'
import type { Trace } from '../../src/pmem/event-log.js'
import { stepsOf } from './program-roles.js'
import type { ProgramRole, Step } from './program-roles.js'
import type { TraceFilter } from './trace-mutants.js'

/** One step of the persist programs left out, weakened, or swapped with its neighbour across a barrier. */
export interface GeneratedMutant {
  readonly name: string
  readonly role: ProgramRole
  readonly filter: TraceFilter
}

type Change = 'without' | 'only a fence instead of' | 'last one missing of' | 'not past the cache:' | 'swapped across'

/** All mutants of the programs that occur in some traces; equal steps of one role are changed in every program together. */
export function generateMutants(traces: readonly Trace[]): GeneratedMutant[] {
  const found = new Map<string, GeneratedMutant>()
  for (const trace of traces) {
    const steps = stepsOf(trace)
    const storing = new Set(steps.filter((step) => step?.kind.endsWith('store')).map((step) => step?.program))
    for (const step of steps) {
      if (step === undefined) continue
      for (const change of changesOf(step)) {
        if (change === 'swapped across' && !storing.has(step.program)) continue
        const name = `${step.role}: ${change} ${nameOf(step)}`
        if (!found.has(name)) found.set(name, { name, role: step.role, filter: filterFor(change, step) })
      }
    }
  }
  return [...found.values()].sort((left, right) => (left.name < right.name ? -1 : 1))
}

function changesOf({ kind }: Step): readonly Change[] {
  if (kind === 'fence') return ['without', 'swapped across']
  if (kind === 'sync') return ['only a fence instead of', 'swapped across']
  if (kind === 'flush') return ['without', 'last one missing of']
  return kind === 'non-temporal store' ? ['not past the cache:'] : []
}

function nameOf({ kind, barriersBefore, region }: Step): string {
  if (kind === 'fence' || kind === 'sync') return `${kind} ${barriersBefore + 1}`
  const place = barriersBefore === 0 ? 'before the first barrier' : `after barrier ${barriersBefore}`
  return `${region} ${kind === 'flush' ? 'flushes' : 'stores'} ${place}`
}

function isSame(step: Step | undefined, wanted: Step): boolean {
  return (
    step?.role === wanted.role &&
    step.kind === wanted.kind &&
    step.region === wanted.region &&
    step.barriersBefore === wanted.barriersBefore
  )
}

function filterFor(change: Change, wanted: Step): TraceFilter {
  if (change === 'swapped across') return (trace) => swapAcross(trace, wanted)
  return (trace) => {
    const steps = stepsOf(trace)
    const { events } = trace
    const lastOf = new Map<number, number>()
    steps.forEach((step, event) => {
      if (step !== undefined && isSame(step, wanted)) lastOf.set(step.program, event)
    })
    const changed = new EventLog()
    for (let event = 0; event < events.count; event++) {
      const step = steps[event]
      const isLast = step !== undefined && lastOf.get(step.program) === event
      if (!isSame(step, wanted) || (change === 'last one missing of' && !isLast)) {
        changed.appendFrom(events, event, event + 1)
        continue
      }
      const [program, operation] = [events.program(event), events.operation(event)]
      if (change === 'only a fence instead of') {
        changed.append(EVENT_FENCE, 0, 0, program, operation)
      } else if (change === 'not past the cache:') {
        const [pageId, line] = [events.pageId(event), events.line(event)]
        changed.appendStore(EVENT_STORE, pageId, line, events.bytes(event), 0, program, operation)
      } else {
        // A mark keeps the number of events, and with it the points of the crashes.
        changed.appendMark('dropped', undefined, program)
      }
    }
    return { image: trace.image, events: changed }
  }
}

/** The last store before the barrier comes after it, and the first one after it before; each takes its flush along. */
function swapAcross(trace: Trace, wanted: Step): Trace {
  const steps = stepsOf(trace)
  const { events } = trace
  const order = Array.from({ length: events.count }, (_, event) => event)
  for (let barrier = 0; barrier < events.count; barrier++) {
    const step = steps[barrier]
    if (!isSame(step, wanted)) continue
    const mine = (event: number): boolean => steps[event]?.program === step?.program
    const isStore = (event: number): boolean =>
      mine(event) && (steps[event]?.kind === 'store' || steps[event]?.kind === 'non-temporal store')
    let last = barrier - 1
    while (last >= 0 && mine(last) && !isStore(last)) last--
    let first = barrier + 1
    while (first < events.count && mine(first) && !isStore(first)) first++
    const before = last >= 0 && isStore(last) ? withFlush(trace, last) : []
    const after = first < events.count && isStore(first) ? withFlush(trace, first) : []
    const start = before.length > 0 ? before[0] : barrier
    const end = after.length > 0 ? after[after.length - 1] + 1 : barrier + 1
    const moved = new Set([...before, ...after, barrier])
    const rest = order.slice(start, end).filter((event) => !moved.has(event))
    order.splice(
      start,
      end - start,
      ...rest.filter((event) => event < barrier),
      ...after,
      barrier,
      ...before,
      ...rest.filter((event) => event > barrier),
    )
  }
  const changed = new EventLog()
  for (const event of order) changed.appendFrom(events, event, event + 1)
  return { image: trace.image, events: changed }
}

function withFlush({ events }: Trace, store: number): number[] {
  const flush = store + 1
  const follows =
    flush < events.count &&
    events.kind(flush) === EVENT_FLUSH &&
    events.pageId(flush) === events.pageId(store) &&
    events.line(flush) === events.line(store)
  return follows ? [store, flush] : [store]
}

import {
  EVENT_FENCE,
  EVENT_GROW,
  EVENT_STORE,
  EVENT_STORE_NON_TEMPORAL,
  EVENT_SYNC_ALL,
  EventLog,
} from '../../src/pmem/event-log.js'
import type { Trace } from '../../src/pmem/event-log.js'
import type { Granularity } from '../../src/pmem/persistent-memory.js'
import { LINE_BYTES, PAGE_BYTES } from '../../src/pmem/program.js'
import type { EngineOptions } from '../../src/tx/engine.js'
import { crashImages } from './crash-states.js'
import type { CrashOptions } from './crash-states.js'
import { CrashViolation } from './explorer.js'
import type { Explorer } from './explorer.js'
import type { PhaseMark } from './marks.js'
import { MARK_KILLED, MARK_SYNC_FAILED } from './medium.js'
import type { CrashModel } from './medium.js'
import { Random } from './random.js'
import { acknowledgedAt, MARK_ACKNOWLEDGED } from './recording.js'
import type { Recording } from './recording.js'
import { RecordingMemory } from './replay-memory.js'
import { SEGMENT_SHIFT, Workload } from './workload.js'
import type { StepKind } from './workload.js'

/** One crash of a chain. */
export interface ChainLink {
  readonly model: CrashModel
  /** Take every n-th crash of this kind, at most so many; of the last link all are taken. */
  readonly every?: number
  readonly most?: number
  readonly options?: CrashOptions
  /**
   * `kill` right before fences only. With `sync fails` it is the fence (an msync) that fails before the store is opened again:
   * the kernel takes its pages for clean then.
   */
  readonly at?: 'fences' | 'sync fails'
}

export interface NestedOptions {
  /**
   * The first crash hits the recording, the second the recovery from it, and so on. After `kill` the cache still holds
   * what the medium does not: the next link goes on with both.
   */
  readonly chain: readonly [ChainLink, ChainLink, ...ChainLink[]]
  /** Transactions after each recovery, before the next crash; 0 crashes recovery alone. */
  readonly transactions?: number
  /** Kinds of these transactions; random when not given. */
  readonly script?: readonly StepKind[]
  readonly granularity?: Granularity
  readonly engineOptions?: () => EngineOptions
  /** Changes what recovery left in the trace: a mutant of the executor. */
  readonly filter?: (trace: Trace) => Trace
  /**
   * Take fdatasync for a mere fence. It writes back the CPU cache of every page stored to, which hides missing flushes;
   * recovery must not depend on it.
   */
  readonly syncIsFence?: boolean
}

export interface NestedCounts {
  /** Recoveries that were crashed. */
  recoveries: number
  images: number
}

/** A crash whose recovery is to be crashed. */
interface FirstCrash {
  readonly image: Uint8Array
  /** What the dead process left in the cache; undefined after a power failure. */
  readonly before: { readonly trace: Trace; readonly count: number; readonly mark: string } | undefined
  readonly history: readonly string[]
  readonly acknowledged: number
  readonly where: string
}

/** Crashes the recoveries (and the work after them) of a recording's crash images. */
export function exploreNested(explorer: Explorer, recording: Recording, options: NestedOptions): NestedCounts {
  const counts: NestedCounts = { recoveries: 0, images: 0 }
  crashRun(explorer, recording, 0, '', options, 0, counts)
  return counts
}

/** Crashes a recording from an event on: link number `depth` of the chain. */
function crashRun(
  explorer: Explorer,
  recording: Recording,
  start: number,
  origin: string,
  options: NestedOptions,
  depth: number,
  counts: NestedCounts,
): void {
  const { model, most = Infinity, options: crashOptions = {} } = options.chain[depth]
  if (depth === options.chain.length - 1) {
    const acknowledged = acknowledgedAt(recording)
    let lastPoint = -1
    for (const state of crashImages(recording.trace, { ...crashOptions, model, fromPoint: start })) {
      counts.images++
      if (state.point !== lastPoint) explorer.counts.points++
      lastPoint = state.point
      const where = (): string => `[${model}] ${state.describe()}${origin}`
      explorer.check(state.image, state.fingerprint, recording.history, acknowledged[state.point], where)
    }
    return
  }
  const crashes =
    model === 'kill'
      ? killCrashes(recording, start, origin, options.chain[depth].at)
      : powerCrashes(recording, { ...crashOptions, model, fromPoint: start }, origin)
  // Spread over the whole run.
  const spread = Math.ceil((recording.trace.events.count - start) / most)
  const every = Math.max(options.chain[depth].every ?? 1, options.chain[depth].at === undefined ? spread : 1)
  let number = 0
  let taken = 0
  for (const crash of crashes) {
    if (++number % every !== 0) continue
    if (++taken > most) break
    counts.recoveries++
    const dead = crash()
    const recovery = recordRecovery(dead, options, counts.recoveries)
    const { recording: next, start: from } = recovery
    crashRun(explorer, next, from, `\n    in the recovery from ${dead.where}`, options, depth + 1, counts)
  }
}

/** All distinct images of a power failure; each is copied only when it is taken. */
function* powerCrashes(recording: Recording, options: CrashOptions, origin: string): Generator<() => FirstCrash> {
  const acknowledged = acknowledgedAt(recording)
  const seen = new Set<number>()
  for (const state of crashImages(recording.trace, options)) {
    if (seen.has(state.fingerprint)) continue
    seen.add(state.fingerprint)
    yield () => ({
      image: Uint8Array.from(state.image),
      before: undefined,
      history: recording.history,
      acknowledged: acknowledged[state.point],
      where: `[${options.model ?? ''}] ${state.describe()}${origin}`,
    })
  }
}

/** Every prefix of the trace. Two with the same image still differ in what is durable. */
function* killCrashes(
  recording: Recording,
  start: number,
  origin: string,
  at: ChainLink['at'],
): Generator<() => FirstCrash> {
  const { trace, history } = recording
  const { events } = trace
  const acknowledged = acknowledgedAt(recording)
  let image = Uint8Array.from(trace.image)
  for (let count = 0; count <= events.count; count++) {
    if (count > 0) image = applied(image, events, count - 1)
    if (count < start || (at !== undefined && (count === events.count || events.kind(count) !== EVENT_FENCE))) continue
    yield () => ({
      image: Uint8Array.from(image),
      before: { trace, count, mark: at === 'sync fails' ? MARK_SYNC_FAILED : MARK_KILLED },
      history,
      acknowledged: acknowledged[count],
      where: `[kill] after ${count === 0 ? 'nothing' : `event ${count - 1}, ${events.describe(count - 1)}`}${origin}`,
    })
  }
}

/** What the process sees after an event. */
function applied(image: Uint8Array<ArrayBuffer>, events: EventLog, event: number): Uint8Array<ArrayBuffer> {
  const kind = events.kind(event)
  if (kind === EVENT_STORE || kind === EVENT_STORE_NON_TEMPORAL) {
    image.set(events.bytes(event), events.pageId(event) * PAGE_BYTES + events.line(event) * LINE_BYTES)
  } else if (kind === EVENT_GROW) {
    const grown = new Uint8Array(Math.max(image.length, events.pageCount(event) * PAGE_BYTES))
    grown.set(image)
    return grown.fill(0, events.pageId(event) * PAGE_BYTES, events.pageCount(event) * PAGE_BYTES)
  }
  return image
}

/** Recovers on recording memory, and goes on working if asked to. `start`: where the recovery begins in the trace. */
function recordRecovery(
  crash: FirstCrash,
  options: NestedOptions,
  seed: number,
): { recording: Recording; start: number } {
  const memory = new RecordingMemory({
    sizeBytes: crash.image.length,
    segmentShift: SEGMENT_SHIFT,
    granularity: options.granularity ?? 'cache-line',
    image: crash.image,
    record: true,
  })
  const history = crash.history.slice(0, crash.acknowledged + 2)
  try {
    const hooks = {
      beforeCommit: (digest: string) => history.push(digest),
      acknowledged: () => memory.mark(MARK_ACKNOWLEDGED, history.length - 1),
      phase: (name: PhaseMark) => memory.mark(name),
    }
    const { engineOptions = () => ({}) } = options
    const workload = new Workload({ memory }, { random: new Random(seed), hooks, engineOptions })
    // The pool held one of two states. What the user has seen once must stay, as if it had been acknowledged.
    history.length = history.indexOf(workload.model.digest, crash.acknowledged) + 1
    if (history.length === 0) throw new Error('the recovered content is no state of the history')
    hooks.acknowledged()
    for (let count = 0; count < (options.transactions ?? 0); count++) workload.step(options.script?.[count])
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new CrashViolation(crash.where, `recovery failed: ${message}`, { cause: error })
  }
  let trace = options.filter?.(memory.trace()) ?? memory.trace()
  const start = crash.before?.count ?? 0
  if (crash.before !== undefined) trace = afterKill(crash.before, trace)
  if (options.syncIsFence === true) trace = syncsAsFences(trace)
  return { recording: { trace, history, acknowledgedBefore: crash.acknowledged }, start }
}

/** The successor of a killed process, on a machine that stayed up. */
function afterKill({ trace, count, mark }: NonNullable<FirstCrash['before']>, second: Trace): Trace {
  const events = new EventLog()
  events.appendFrom(trace.events, 0, count)
  events.appendMark(mark, undefined, 0)
  events.appendFrom(second.events)
  return { image: trace.image, events }
}

/** The trace with every fdatasync replaced by a fence. */
export function syncsAsFences(trace: Trace): Trace {
  const events = new EventLog()
  for (let event = 0; event < trace.events.count; event++) {
    if (trace.events.kind(event) === EVENT_SYNC_ALL) {
      events.append(EVENT_FENCE, 0, 0, trace.events.program(event), trace.events.operation(event))
    } else {
      events.appendFrom(trace.events, event, event + 1)
    }
  }
  return { image: trace.image, events }
}

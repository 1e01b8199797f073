/**
 * Recordings of workloads that do not wait for each commit: groups of asynchronous writes, relaxed commits, synchronous ones
 * among them, with the barriers of the worker thread ending at any time. Several transactions are on their way at once, so a
 * crash may leave any state from the last one that was promised to the last one that had begun.
 */
import type { Trace } from '../../src/pmem/event-log.js'
import { EVENT_MARK } from '../../src/pmem/event-log.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import { crashImages, type CrashOptions } from './crash-states.js'
import type { Explorer } from './explorer.js'
import { Random } from './random.js'
import { RecordingMemory } from './replay-memory.js'
import { type CommitKind, SEGMENT_SHIFT, type StepKind, Workload, type WorkloadOptions } from './workload.js'

/** Labels of marks; the data is a number of transactions. */
export const MARK_BEGUN = 'begun'
/** Promised to survive a power failure. */
export const MARK_DURABLE = 'durable'
/** Promised to survive the end of the process. */
export const MARK_RELAXED = 'relaxed'

export interface GroupRecording {
  readonly trace: Trace
  /** Content digests: `history[n]` after n transactions. */
  readonly history: readonly string[]
  /** Transactions durable, promised and begun before the trace begins. */
  readonly before: { readonly durable: number; readonly relaxed: number; readonly begun: number }
}

export interface GroupRecordOptions {
  readonly seed: number
  readonly steps: number
  readonly initialPages: number
  readonly stepsPerTrace: number
  /** How often each way of committing comes up. */
  readonly weights: Readonly<Record<CommitKind, number>>
  readonly engineOptions: NonNullable<WorkloadOptions['engineOptions']>
  /** Kinds of steps, drawn from at random after the first. Default: all there are. */
  readonly kinds?: readonly StepKind[]
  /** From 64 on growth is prepared ahead. Default 8. */
  readonly growthStepPages?: number
  /** False: checkpoints take a barrier of their own, as where the executor cannot sync beside those. Default true. */
  readonly syncsBeside?: boolean
  /** Called after each step. */
  readonly observe?: (workload: Workload) => void
  /** Called with the memory of the run, for other barriers than those of the default. */
  readonly memory?: RecordingMemory
}

/** Runs the workload, letting barriers end and the event loop turn now and then. */
export async function recordGroups(options: GroupRecordOptions): Promise<GroupRecording[]> {
  const random = new Random(options.seed)
  const memory =
    options.memory ??
    new RecordingMemory({
      sizeBytes: options.initialPages * PAGE_BYTES,
      segmentShift: SEGMENT_SHIFT,
      granularity: 'page',
      record: true,
    })
  memory.barriersEnd = 'on demand'
  if (options.syncsBeside === false) memory.syncsBeside = false
  const history: string[] = []
  const count = { durable: 0, relaxed: 0, begun: 0 }
  const promise = (kind: 'durable' | 'relaxed', transactions: number): void => {
    if (transactions <= count[kind]) return
    count[kind] = transactions
    memory.mark(kind, transactions)
  }
  const workload = new Workload(
    { memory },
    {
      random: new Random(options.seed + 1000),
      growthStepPages: options.growthStepPages ?? 8,
      engineOptions: options.engineOptions,
      commitAs: () => pick(random, options.weights),
      hooks: {
        beforeCommit: (digest) => {
          history.push(digest)
          count.begun = history.length - 1
          memory.mark(MARK_BEGUN, count.begun)
        },
        acknowledged: () => {
          promise('durable', history.length - 1)
        },
        relaxed: () => {
          promise('relaxed', history.length - 1)
        },
        queued: (queued) => {
          const transactions = history.length - 1
          void queued.then(() => {
            promise('durable', transactions)
          })
        },
      },
    },
  )
  history.push(workload.model.digest)
  const recordings: GroupRecording[] = []
  memory.startRecording()
  let before = { ...count }
  for (let step = 0; step < options.steps; step++) {
    const { kinds } = options
    const kind = workload.step(kinds === undefined || step === 0 ? undefined : kinds[random.below(kinds.length)])
    // Closing makes everything durable.
    if (kind === 'reopen') promise('durable', history.length - 1)
    if (random.below(3) === 0) await new Promise((resolve) => setImmediate(resolve))
    if (random.below(3) === 0) {
      memory.endBarrier()
      await Promise.resolve()
    }
    if (random.below(4) === 0) {
      memory.endDataSync()
      await Promise.resolve()
    }
    options.observe?.(workload)
    if ((step + 1) % options.stepsPerTrace === 0 || step + 1 === options.steps) {
      // A trace begins with everything durable.
      workload.engine.flushNow()
      await Promise.resolve()
      promise('durable', history.length - 1)
      recordings.push({ trace: memory.trace(), history, before })
      memory.startRecording()
      before = { ...count }
    }
  }
  return recordings
}

/** All crash images of a recording, each of which must recover to a state between the last promised and the last begun. */
export function exploreGroups(explorer: Explorer, recording: GroupRecording, options: CrashOptions): void {
  const { events } = recording.trace
  const kill = options.model === 'kill'
  const least = new Uint32Array(events.count + 1)
  const most = new Uint32Array(events.count + 1)
  least[0] = kill ? Math.max(recording.before.durable, recording.before.relaxed) : recording.before.durable
  most[0] = recording.before.begun
  for (let event = 0; event < events.count; event++) {
    least[event + 1] = least[event]
    most[event + 1] = most[event]
    if (events.kind(event) !== EVENT_MARK) continue
    const { label, data } = events.mark(event)
    const transactions = data as number // `recordGroups` put it there
    if (label === MARK_BEGUN) most[event + 1] = transactions
    const counts = label === MARK_DURABLE || (kill && label === MARK_RELAXED)
    if (counts && transactions > least[event]) least[event + 1] = transactions
  }
  for (const state of crashImages(recording.trace, options)) {
    const { point } = state
    const where = (): string => `[${options.model ?? 'page'}] ${state.describe()}`
    explorer.check(state.image, state.fingerprint, recording.history, least[point], where, false, most[point])
  }
}

function pick(random: Random, weights: Readonly<Record<CommitKind, number>>): CommitKind {
  let left = random.below(weights.sync + weights.relaxed + weights.group)
  for (const kind of ['sync', 'relaxed'] as const) {
    left -= weights[kind]
    if (left < 0) return kind
  }
  return 'group'
}

import type { Trace } from '../../src/pmem/event-log.js'
import { EVENT_MARK } from '../../src/pmem/event-log.js'
import type { Granularity } from '../../src/pmem/persistent-memory.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import { IDENTITY_BYTES, PAGE_IDENTITY_A, PAGE_IDENTITY_B } from '../../src/pool/format.js'
import { decodeIdentity, encodeIdentity } from '../../src/pool/identity.js'
import { lint } from './lints.js'
import { MARK_ACKNOWLEDGED } from './marks.js'
import { Random } from './random.js'
import { RecordingMemory } from './replay-memory.js'
import { SEGMENT_SHIFT, Workload } from './workload.js'
import type { StepKind, WorkloadOptions } from './workload.js'

export { MARK_ACKNOWLEDGED } from './marks.js'

/** A recorded run and what the pool must hold along it. */
export interface Recording {
  readonly trace: Trace
  /** Content digests: `history[n]` after n transactions. */
  readonly history: readonly string[]
  /** Transactions acknowledged before the trace begins. */
  readonly acknowledgedBefore: number
}

export interface RecordOptions {
  readonly seed: number
  /** Steps of the workload (transactions, aborts, closes). */
  readonly steps: number
  /** Pages of the pool at the beginning. Default 24, so that it grows soon. */
  readonly initialPages?: number
  readonly growthStepPages?: number
  readonly granularity?: Granularity
  /** Begin a new trace after so many steps: shorter traces are cheaper to go through. Default: one trace. */
  readonly stepsPerTrace?: number
  /** Kinds of the first steps; random afterwards. */
  readonly script?: readonly StepKind[]
  readonly maxBytes?: number
  readonly engineOptions?: WorkloadOptions['engineOptions']
  /** Lint every trace, as the unchanged program's must be clean. Default true; mutants are to be found by their crashes. */
  readonly lints?: boolean
  /** Memory to run on, instead of one of its own. */
  readonly memory?: RecordingMemory
  /** Image to start from, instead of an empty pool. */
  readonly image?: Uint8Array
}

/** Runs the workload on recording memory; creation of the pool is not part of the trace. */
export function recordWorkload(options: RecordOptions): Recording[] {
  const { seed, steps, initialPages = 24, granularity = 'cache-line', stepsPerTrace = Infinity, script = [] } = options
  const memory =
    options.memory ??
    new RecordingMemory({
      sizeBytes: options.image?.length ?? initialPages * PAGE_BYTES,
      segmentShift: SEGMENT_SHIFT,
      granularity,
      record: true,
      ...(options.image === undefined ? {} : { image: options.image }),
    })
  const history: string[] = []
  const workload = new Workload(
    { memory },
    {
      random: new Random(seed),
      growthStepPages: options.growthStepPages ?? 8,
      ...(options.maxBytes === undefined ? {} : { maxBytes: options.maxBytes }),
      ...(options.engineOptions === undefined ? {} : { engineOptions: options.engineOptions }),
      hooks: {
        // Before the commit, because the model is ahead of the pool then; the explorer allows the next state.
        beforeCommit: (digest) => history.push(digest),
        refused: () => history.pop(),
        acknowledged: () => memory.mark(MARK_ACKNOWLEDGED, history.length - 1),
        phase: (name) => memory.mark(name),
      },
    },
  )
  history.push(workload.model.digest)
  if (options.image === undefined) makeIdentityRepeatable(memory)
  const recordings: Recording[] = []
  let acknowledgedBefore = 0
  memory.startRecording()
  for (let step = 0; step < steps; step++) {
    workload.step(script[step])
    if ((step + 1) % stepsPerTrace === 0 || step + 1 === steps) {
      if (options.lints !== false) lint(memory.trace())
      recordings.push({ trace: memory.trace(), history, acknowledgedBefore })
      acknowledgedBefore = history.length - 1
      memory.startRecording()
    }
  }
  return recordings
}

/** A new pool has a random id and the time of its creation; images must be the same in every process and run. */
export function makeIdentityRepeatable(memory: RecordingMemory): void {
  const { u8 } = memory.segments[0]
  const identity = decodeIdentity(u8, 'a recorded pool')
  for (const page of [PAGE_IDENTITY_A, PAGE_IDENTITY_B]) {
    const bytes = u8.subarray(page * PAGE_BYTES, page * PAGE_BYTES + IDENTITY_BYTES)
    encodeIdentity(bytes, { ...identity, uuid: '00000000-0000-4000-8000-000000000000', createdMs: 0 })
  }
}

/** By point: how many transactions had been acknowledged when so many events had happened. */
export function acknowledgedAt(recording: Recording): Uint32Array {
  const { events } = recording.trace
  const counts = new Uint32Array(events.count + 1)
  let count = recording.acknowledgedBefore
  counts[0] = count
  for (let event = 0; event < events.count; event++) {
    if (events.kind(event) === EVENT_MARK) {
      const { label, data } = events.mark(event)
      if (label === MARK_ACKNOWLEDGED) count = data as number // `recordWorkload` put it there
    }
    counts[event + 1] = count
  }
  return counts
}

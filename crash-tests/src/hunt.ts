import type { EngineOptions } from '../../src/tx/engine.js'
import { amountFor, FEW, FEWER } from './amounts.js'
import { Explorer } from './explorer.js'
import type { CrashModel } from './medium.js'
import { exploreNested } from './nested.js'
import type { NestedOptions } from './nested.js'
import { PROTOCOLS } from './protocols.js'
import type { Protocol, ProtocolFacts } from './protocols.js'
import { Random } from './random.js'
import { recordWorkload } from './recording.js'
import type { Recording } from './recording.js'
import { RecordingMemory } from './replay-memory.js'
import type { TraceFilter } from './trace-mutants.js'
import { LOG_PAGES, openEngine, SEGMENT_SHIFT, Workload } from './workload.js'
import type { StepKind } from './workload.js'
import { readContent } from './content.js'
import { LINE_BYTES, PAGE_BYTES } from '../../src/pmem/program.js'
import { ready } from '../../src/pmem/xxh64.js'
import { decodeAnchor } from '../../src/pool/anchor.js'
import {
  ANCHOR_BYTES,
  ANCHOR_OFFSET_SALT,
  PAGE_ANCHOR_A,
  PAGE_ANCHOR_B,
  PAGE_LOG_START,
} from '../../src/pool/format.js'
import { Geometry } from '../../src/pool/geometry.js'

export { ready }

/** What a hunt for a mutant does; every part of it runs on the unchanged program as well and must find nothing. */
export interface HuntOptions {
  readonly seeds: readonly number[]
  /** Steps of the workload. */
  readonly steps: number
  /** Default `undo`. */
  readonly protocol?: Protocol
  /** Kinds of the first steps. Default: `SCRIPT`. */
  readonly script?: readonly StepKind[]
  /** Mutants of the executor, for commits and for recoveries. */
  readonly commitFilter?: TraceFilter
  readonly recoveryFilter?: TraceFilter
  /** Names of the attempts to make. Default: all. */
  readonly attempts?: readonly string[]
  /** Name of the attempt to make first. */
  readonly first?: string
}

export interface HuntResult {
  /** Where it was found, and what was wrong; undefined if nothing was. */
  readonly caught: { readonly by: string; readonly message: string } | undefined
  readonly images: number
}

/** The first steps meet every rule: overflowing records, merges that free dirty pages, growth, savepoints. */
export const SCRIPT: readonly StepKind[] = [
  'createKeyspace',
  'ascendingRun',
  'ascendingRun',
  'deleteMost',
  'ascendingRun',
  'largeValue',
  'reopen',
  'overwriteSame',
  'nestedLargeValues',
  'ascendingRun',
  'ascendingRun',
  'ascendingRun',
  'hugeValue',
  'hugeValue',
  'dropLargeValues',
  'clear',
  'putNew',
]

/** Chains of crashes for nested exploration. */
export const CHAINS: readonly { readonly name: string; readonly options: NestedOptions }[] = [
  {
    name: 'power failure during recovery',
    options: {
      chain: [
        { model: 'cache-line', every: 41, most: 12, options: FEWER },
        { model: 'cache-line', options: FEWER },
      ],
    },
  },
  {
    name: 'kill, then power failure during or after recovery',
    options: {
      chain: [
        { model: 'kill', every: 7, most: 20 },
        { model: 'cache-line', options: FEWER },
      ],
      syncIsFence: true,
    },
  },
  {
    name: 'power failure, recovery and work, then power failure',
    options: {
      chain: [
        { model: 'cache-line', every: 101, most: 2, options: FEWER },
        { model: 'cache-line', options: FEWER },
      ],
      transactions: 2,
      syncIsFence: true,
    },
  },
  {
    name: 'kill, kill of the recovery, then power failure',
    options: {
      chain: [
        { model: 'kill', every: 11, most: 10 },
        { model: 'kill', every: 3, most: 5 },
        { model: 'cache-line', options: FEWER },
      ],
      syncIsFence: true,
    },
  },
]

/** The ways to find a violation, from cheap to dear. */
export const ATTEMPTS = [
  'the workload itself',
  'damage after a clean close',
  'power failure before fences',
  'power failure during commits',
  'kill during commits',
  ...CHAINS.map(({ name }) => name),
  'a long life without crashes',
]

/** Looks for a violation in every way the laboratory knows and stops at the first. */
export function hunt(options: HuntOptions): HuntResult {
  const { granularity } = protocolOf(options)
  const explorer = new Explorer({ granularity, continueEvery: 256, engineOptions: () => engineOptionsOf(options) })
  const attempts = [...(options.attempts ?? ATTEMPTS)].sort(
    (left, right) => Number(right === options.first) - Number(left === options.first),
  )
  let by = ''
  try {
    for (by of attempts) {
      for (const seed of options.seeds) attempt(by, seed, options, explorer)
    }
    return { caught: undefined, images: explorer.counts.distinct }
  } catch (error) {
    const cause = error instanceof Error ? (error.cause ?? error) : error
    // A mutant that is not even a program would be caught by anything.
    if (cause instanceof ReferenceError || cause instanceof SyntaxError) throw cause
    const message = error instanceof Error ? error.message : String(error)
    return { caught: { by, message }, images: explorer.counts.distinct }
  }
}

function attempt(name: string, seed: number, options: HuntOptions, explorer: Explorer): void {
  if (name === 'the workload itself') checkWorkload(seed, options.steps, options)
  if (name === 'a long life without crashes') checkWorkload(seed, 400, options)
  if (name === 'damage after a clean close' && protocolOf(options).logging === 'undo') checkClosedPool(seed)
  if (name === 'power failure before fences') {
    for (const recording of record(seed, options))
      explorer.explore(recording, { model: powerModelOf(options), points: 'frontier', ...FEW })
  }
  if (name === 'power failure during commits') {
    for (const recording of record(seed, options))
      explorer.explore(recording, { model: powerModelOf(options), ...amountFor(recording) })
  }
  if (name === 'kill during commits') {
    for (const recording of record(seed, options)) explorer.explore(recording, { model: 'kill', ...FEWER })
  }
  const chain = CHAINS.find((known) => known.name === name)
  if (chain === undefined) return
  const filter = options.recoveryFilter === undefined ? {} : { filter: options.recoveryFilter }
  const engineOptions = (): EngineOptions => engineOptionsOf(options)
  // With a ring a sync is more than a fence: it makes durable what was stored lazily.
  const syncIsFence = options.protocol !== 'ring' && chain.options.syncIsFence === true
  const { granularity } = protocolOf(options)
  const model = powerModelOf(options)
  const [crash, next, ...more] = chain.options.chain.map((link) => (link.model === 'kill' ? link : { ...link, model }))
  for (const recording of record(seed, options)) {
    exploreNested(explorer, recording, {
      ...chain.options,
      chain: [crash, next, ...more],
      ...filter,
      granularity,
      engineOptions,
      syncIsFence,
    })
  }
}

function protocolOf({ protocol = 'undo' }: HuntOptions): ProtocolFacts {
  return PROTOCOLS[protocol]
}

function powerModelOf(options: HuntOptions): CrashModel {
  return protocolOf(options).models[0]
}

function engineOptionsOf(options: HuntOptions): EngineOptions {
  return { logging: protocolOf(options).logging }
}

function record(seed: number, options: HuntOptions): Recording[] {
  const recordings = recordWorkload({
    seed,
    steps: options.steps,
    // Under redo what one transaction has left in the log is what the crashes of the next ones are about.
    stepsPerTrace: protocolOf(options).logging === 'redo' ? 4 : 1,
    script: options.script ?? SCRIPT,
    granularity: protocolOf(options).granularity,
    lints: false,
    engineOptions: () => engineOptionsOf(options),
  })
  const { commitFilter } = options
  if (commitFilter === undefined) return recordings
  return recordings.map((recording) => ({ ...recording, trace: commitFilter(recording.trace) }))
}

/** Without any crash, the pool must hold what the model says after every step. */
function checkWorkload(seed: number, steps: number, options: HuntOptions): void {
  const { granularity } = protocolOf(options)
  const memory = new RecordingMemory({ sizeBytes: 24 * PAGE_BYTES, segmentShift: SEGMENT_SHIFT, granularity })
  const engineOptions = (): EngineOptions => engineOptionsOf(options)
  const workload = new Workload({ memory }, { random: new Random(seed), engineOptions })
  const geometry = new Geometry(SEGMENT_SHIFT, LOG_PAGES)
  for (let step = 0; step < steps; step++) {
    const kind = workload.step((options.script ?? SCRIPT)[step])
    const { digest } = readContent(memory, geometry)
    if (digest !== workload.model.digest) throw new Error(`wrong content after step ${step} (${kind})`)
  }
}

/** Damage after a clean close must not take back what was acknowledged, nor must a damaged anchor be believed. */
function checkClosedPool(seed: number): void {
  const memory = new RecordingMemory({ sizeBytes: 48 * PAGE_BYTES, segmentShift: SEGMENT_SHIFT })
  const workload = new Workload({ memory }, { random: new Random(seed) })
  for (let step = 0; step < 4; step++) workload.step(SCRIPT[step])
  const before = memory.image()
  workload.step('overwriteSame')
  workload.engine.close()
  const after = memory.image()
  const open = (at: number): { memory: RecordingMemory; outcome: string } => {
    const image = Uint8Array.from(after)
    image[at] ^= 1
    const damaged = new RecordingMemory({ sizeBytes: image.length, segmentShift: SEGMENT_SHIFT, image })
    return { memory: damaged, outcome: openEngine(damaged, new Random(seed)).recovery.outcome }
  }
  for (let at = (PAGE_LOG_START + LOG_PAGES) * PAGE_BYTES; at < after.length; at += LINE_BYTES) {
    const changed = before.subarray(at, at + LINE_BYTES).findIndex((byte, index) => byte !== after[at + index])
    // The first line has the checksum, which the root page would miss.
    if (changed < 0 || at % PAGE_BYTES === 0) continue
    const { outcome } = open(at + changed)
    if (outcome !== 'clean') throw new Error(`a damaged byte at ${at + changed} after a clean close: ${outcome}`)
  }
  const [a, b] = [PAGE_ANCHOR_A, PAGE_ANCHOR_B].map((page) => decodeAnchor(after.subarray(page * PAGE_BYTES)))
  const newest = (a?.seq ?? 0) > (b?.seq ?? 0) ? PAGE_ANCHOR_A : PAGE_ANCHOR_B
  const other = (newest === PAGE_ANCHOR_A ? PAGE_ANCHOR_B : PAGE_ANCHOR_A) * PAGE_BYTES
  const { memory: recovered } = open(newest * PAGE_BYTES + ANCHOR_OFFSET_SALT)
  const untouched = recovered
    .image()
    .subarray(other, other + ANCHOR_BYTES)
    .equals(after.subarray(other, other + ANCHOR_BYTES))
  if (!untouched) throw new Error('a damaged anchor copy was believed and the valid one overwritten')
}

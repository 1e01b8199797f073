import { Explorer } from './explorer.js'
import { exploreNested } from './nested.js'
import type { NestedOptions } from './nested.js'
import { Random } from './random.js'
import { recordWorkload } from './recording.js'
import type { Recording } from './recording.js'
import { RecordingMemory } from './replay-memory.js'
import type { TraceFilter } from './trace-mutants.js'
import { openEngine, SEGMENT_SHIFT, Workload } from './workload.js'
import type { StepKind } from './workload.js'
import { readContent } from './content.js'
import { Geometry } from '../../src/pool/geometry.js'
import { LOG_PAGES } from './workload.js'
import { ready } from '../../src/pmem/xxh64.js'

export { ready }

/** What a hunt for a mutant does; every part of it runs on the unchanged program as well and must find nothing. */
export interface HuntOptions {
  readonly seeds: readonly number[]
  /** Steps of the workload. */
  readonly steps: number
  /** Mutants of the executor, for commits and for recoveries. */
  readonly commitFilter?: TraceFilter
  readonly recoveryFilter?: TraceFilter
}

export interface HuntResult {
  /** Where it was found, and what was wrong; undefined if nothing was. */
  readonly caught: { readonly by: string; readonly message: string } | undefined
  readonly images: number
}

/** The first steps meet every rule: overflowing records, merges that free dirty pages, growth, savepoints. */
const SCRIPT: readonly StepKind[] = [
  'createKeyspace',
  'ascendingRun',
  'largeValue',
  'ascendingRun',
  'touchEverything',
  'deleteRun',
  'putNew',
  'deleteRun',
  'putNew',
  'replaceLargeValue',
  'overwriteSame',
  'reopen',
  'nestedLargeValues',
  'manyPages',
  'touchEverything',
  'clear',
  'putNew',
]

const FEW = { exhaustiveLimit: 12, samples: 6 }
const FEWER = { exhaustiveLimit: 8, samples: 3 }

/** Chains of crashes for nested exploration, from cheap to dear. */
export const CHAINS: readonly { readonly name: string; readonly options: NestedOptions }[] = [
  {
    name: 'power failure during recovery',
    options: { chain: [{ model: 'cache-line', every: 151, options: FEWER }, { model: 'cache-line', options: FEW }] },
  },
  {
    name: 'kill, then power failure during or after recovery',
    options: { chain: [{ model: 'kill', every: 31 }, { model: 'cache-line', options: FEW }], syncIsFence: true },
  },
  {
    name: 'power failure, recovery and work, then power failure',
    options: {
      chain: [{ model: 'cache-line', every: 997, options: FEWER }, { model: 'cache-line', options: FEWER }],
      transactions: 2,
      syncIsFence: true,
    },
  },
  {
    name: 'kill, kill of the recovery, then power failure',
    options: {
      chain: [{ model: 'kill', every: 61 }, { model: 'kill', every: 11 }, { model: 'cache-line', options: FEWER }],
      syncIsFence: true,
    },
  },
]

/** Looks for a violation in every way the laboratory knows, cheapest first, and stops at the first. */
export function hunt(options: HuntOptions): HuntResult {
  const explorer = new Explorer({ continueEvery: 256 })
  let by = ''
  const attempt = (name: string, work: () => void): void => {
    by = name
    work()
  }
  try {
    for (const seed of options.seeds) {
      attempt('the workload itself', () => checkWorkload(seed, options.steps))
      const recordings = record(seed, options)
      attempt('power failure during commits', () => {
        for (const recording of recordings) explorer.explore(recording, { model: 'cache-line', ...FEW })
      })
      attempt('kill during commits', () => {
        for (const recording of recordings) explorer.explore(recording, { model: 'kill' })
      })
      attempt('damage after a clean close', () => checkClosedPool(seed))
      for (const chain of CHAINS) {
        attempt(chain.name, () => {
          for (const recording of recordings) {
            const filter = options.recoveryFilter === undefined ? {} : { filter: options.recoveryFilter }
            exploreNested(explorer, recording, { ...chain.options, ...filter })
          }
        })
      }
    }
    return { caught: undefined, images: explorer.counts.distinct }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { caught: { by, message }, images: explorer.counts.distinct }
  }
}

function record(seed: number, options: HuntOptions): Recording[] {
  const recordings = recordWorkload({ seed, steps: options.steps, stepsPerTrace: 6, script: SCRIPT })
  const { commitFilter } = options
  if (commitFilter === undefined) return recordings
  return recordings.map((recording) => ({ ...recording, trace: commitFilter(recording.trace) }))
}

/** Without any crash, the pool must hold what the model says after every step. */
function checkWorkload(seed: number, steps: number): void {
  const memory = new RecordingMemory({ sizeBytes: 24 * 4096, segmentShift: SEGMENT_SHIFT })
  const workload = new Workload({ memory }, { random: new Random(seed) })
  const geometry = new Geometry(SEGMENT_SHIFT, LOG_PAGES)
  for (let step = 0; step < steps; step++) {
    const kind = workload.step(SCRIPT[step])
    const { digest } = readContent(memory, geometry)
    if (digest !== workload.model.digest) throw new Error(`wrong content after step ${step} (${kind})`)
  }
}

/** A bit that rots after a clean close must not take back a transaction that has long been acknowledged. */
function checkClosedPool(seed: number): void {
  const memory = new RecordingMemory({ sizeBytes: 48 * 4096, segmentShift: SEGMENT_SHIFT })
  const workload = new Workload({ memory }, { random: new Random(seed) })
  for (let step = 0; step < 12; step++) workload.step(SCRIPT[step])
  workload.step('putNew')
  const before = memory.image()
  workload.step('overwriteSame')
  workload.engine.close()
  const after = memory.image()
  for (let page = 10; page < after.length / 4096; page++) {
    for (let at = page * 4096 + 64; at < (page + 1) * 4096; at++) {
      if (before[at] === after[at]) continue
      const image = Uint8Array.from(after)
      image[at] ^= 1
      const damaged = new RecordingMemory({ sizeBytes: image.length, segmentShift: SEGMENT_SHIFT, image })
      const { outcome } = openEngine(damaged, new Random(seed)).recovery
      if (outcome !== 'clean') throw new Error(`a damaged byte after a clean close: ${outcome}`)
      break
    }
  }
}

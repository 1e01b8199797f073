import fc from 'fast-check'
import type { Logging } from '../../src/tx/committer.js'
import { ACE_LOG_PAGES, aceEngineOptions, aceSequences, recordAce } from '../src/ace.js'
import { ACE_OPERATIONS } from '../src/ace-store.js'
import type { AceStep } from '../src/ace-store.js'
import type { CrashOptions } from '../src/crash-states.js'
import { CrashViolation, Explorer } from '../src/explorer.js'
import type { CrashModel } from '../src/medium.js'
import { isMine } from './suite.js'
import type { SuiteOptions, SuiteRow } from './suite.js'

const MODELS: readonly CrashModel[] = ['cache-line', 'byte', 'page', 'kill']
const LOGGINGS: readonly Logging[] = ['undo', 'redo']

/** How hard the crashes of the last operation of a sequence are looked at, by the length of the sequence. */
const LIMITS: Readonly<Record<'quick' | 'full' | 'long', readonly CrashOptions[]>> = {
  quick: [
    { exhaustiveLimit: 64, samples: 16, lazyLimit: 8 },
    { exhaustiveLimit: 4, samples: 4 },
    { exhaustiveLimit: 2, samples: 2 },
  ],
  full: [
    { exhaustiveLimit: 16_384, samples: 128, lazyLimit: 32 },
    { exhaustiveLimit: 12, samples: 6, lazyLimit: 2 },
    { exhaustiveLimit: 2, samples: 1 },
  ],
  long: [
    { exhaustiveLimit: 16_384, samples: 1024, lazyLimit: 256 },
    { exhaustiveLimit: 256, samples: 64, lazyLimit: 16 },
    { exhaustiveLimit: 16, samples: 16 },
  ],
}
/** Stores of values after which crashes are tried; of longer values, every n-th. Of the stores of programs, all. */
const STORES = { quick: 12, full: 6, long: 200 }
/** Of the sequences of three operations, every n-th. */
const EVERY = { quick: 24, full: 1, long: 1 }
const RANDOM_SEQUENCES = { quick: 4, full: 20, long: 600 }

/**
 * Every sequence of up to three operations on a small pool, under both loggings and all models, with crashes during the
 * last operation of each (those during earlier ones belong to a shorter sequence); then random longer sequences, with other
 * keys and lengths, with crashes everywhere.
 */
export function* ace({ amount, seed, progress, shard, census }: SuiteOptions): Generator<SuiteRow> {
  let part = 0
  for (const logging of LOGGINGS) {
    for (const first of ACE_OPERATIONS) {
      // What begins with one operation has the same prefix, and many images in common.
      if (!isMine(part++, shard)) continue
      const explorers = explorersOf(logging, amount, census)
      let sequences = 0
      for (let length = 1; length <= 3; length++) {
        for (const operations of aceSequences(length, [first])) {
          if (length === 3 && sequences++ % EVERY[amount] !== 0) continue
          progress?.(`ace, ${logging}: ${operations.join(', ')}`)
          const steps = operations.map((operation) => ({ operation, variant: 0 }))
          exploreLast(explorers, steps, logging, LIMITS[amount][length - 1], STORES[amount], seed)
        }
      }
      yield* rowsOf(`ace, up to 3 operations, ${logging}`, explorers)
    }
  }
  for (const logging of LOGGINGS) {
    if (!isMine(part++, shard)) continue
    const explorers = explorersOf(logging, amount, census)
    exploreRandom(explorers, logging, seed, amount, progress)
    yield* rowsOf(`ace, random sequences, ${logging}`, explorers)
  }
}

interface ModelExplorer {
  readonly model: CrashModel
  readonly explorer: Explorer
  operations: number
}

/** One for each model; what one has seen the others take for seen, so a row's distinct images are in no other row. */
function explorersOf(
  logging: Logging,
  amount: SuiteOptions['amount'],
  census: SuiteOptions['census'],
): ModelExplorer[] {
  return MODELS.map((model) => ({
    model,
    operations: 0,
    explorer: new Explorer({
      logPages: ACE_LOG_PAGES[logging],
      engineOptions: () => aceEngineOptions(logging),
      repeatEvery: 16,
      continueEvery: amount === 'long' ? 128 : 1024,
      ...(census === undefined ? {} : { census }),
    }),
  }))
}

function exploreLast(
  explorers: readonly ModelExplorer[],
  steps: readonly AceStep[],
  logging: Logging,
  limits: CrashOptions,
  stores: number,
  seed: number,
): void {
  const recording = recordAce(steps, logging)
  const { lastOperation: fromPoint } = recording
  const storeStride = Math.max(1, Math.ceil((recording.trace.events.count - fromPoint) / stores))
  for (const one of explorers) {
    one.operations++
    const { explorer, model } = one
    try {
      explorer.explore(recording, { model, seed, fromPoint, storeStride, ...limits })
    } catch (error) {
      throw withSequence(error, steps, logging)
    }
  }
}

function exploreRandom(
  explorers: readonly ModelExplorer[],
  logging: Logging,
  seed: number,
  amount: SuiteOptions['amount'],
  progress: SuiteOptions['progress'],
): void {
  const step = fc.record({ operation: fc.constantFrom(...ACE_OPERATIONS), variant: fc.nat({ max: 400 }) })
  let number = 0
  const sequence = fc.property(fc.array(step, { minLength: 4, maxLength: 9 }), (steps) => {
    progress?.(`ace, ${logging}: random sequence ${++number}`)
    const recording = recordAce(steps, logging)
    const storeStride = Math.max(1, Math.ceil(recording.trace.events.count / 200))
    for (const one of explorers) {
      one.operations += steps.length
      const { explorer, model } = one
      explorer.explore(recording, { model, seed, storeStride, ...LIMITS[amount][2] })
    }
  })
  const result = fc.check(sequence, { seed, numRuns: RANDOM_SEQUENCES[amount] })
  if (!result.failed) return
  const [steps] = result.counterexample ?? [[]]
  throw withSequence(
    result.errorInstance,
    steps,
    logging,
    `fast-check seed ${result.seed}, path ${result.counterexamplePath ?? ''}`,
  )
}

/** Says which sequence it was. */
function withSequence(error: unknown, steps: readonly AceStep[], logging: Logging, more = ''): unknown {
  const names = steps.map(({ operation, variant }) => (variant === 0 ? operation : `${operation} ${variant}`))
  const sequence = `${logging}: ${names.join(', ')}${more === '' ? '' : ` (${more})`}`
  if (!(error instanceof CrashViolation)) return new Error(`${sequence}: ${String(error)}`, { cause: error })
  const told = new CrashViolation(`${error.where}\n    in the sequence ${sequence}`, error.message, {
    cause: error.cause,
  })
  told.replay = error.replay
  return told
}

function* rowsOf(name: string, explorers: readonly ModelExplorer[]): Generator<SuiteRow> {
  for (const { model, explorer, operations } of explorers) {
    const { points, images, distinct, repeated, continued } = explorer.counts
    yield {
      name: `${name}, ${model}`,
      result: `${distinct} distinct images`,
      model,
      points,
      generated: images,
      images: distinct,
      figures: { operations, 'recovered twice': repeated, 'worked on': continued },
    }
  }
}

import fc from 'fast-check'
import { ACE_LOG_PAGES, aceEngineOptions, aceSequences, recordAce } from '../src/ace.js'
import { ACE_OPERATIONS } from '../src/ace-store.js'
import type { AceStep } from '../src/ace-store.js'
import type { CrashOptions } from '../src/crash-states.js'
import { CrashViolation, Explorer } from '../src/explorer.js'
import type { CrashModel } from '../src/medium.js'
import { ALL_PROTOCOLS, PROTOCOLS } from '../src/protocols.js'
import type { Protocol } from '../src/protocols.js'
import { isMine } from './suite.js'
import type { SuiteOptions, SuiteRow } from './suite.js'

/** How hard the crashes of the last operation of a sequence are looked at, by the length of the sequence. */
const LIMITS: Readonly<Record<'quick' | 'full' | 'long', readonly CrashOptions[]>> = {
  quick: [
    { exhaustiveLimit: 64, samples: 16, lazyLimit: 8 },
    { exhaustiveLimit: 4, samples: 4 },
    { exhaustiveLimit: 2, samples: 2 },
  ],
  full: [
    { exhaustiveLimit: 16_384, samples: 128, lazyLimit: 32 },
    { exhaustiveLimit: 8, samples: 4, lazyLimit: 2 },
    { exhaustiveLimit: 2, samples: 1 },
  ],
  long: [
    { exhaustiveLimit: 16_384, samples: 1024, lazyLimit: 256 },
    { exhaustiveLimit: 256, samples: 64, lazyLimit: 16 },
    { exhaustiveLimit: 16, samples: 16 },
  ],
}
/** Stores of values after which crashes are tried; of longer values, every n-th. Of the stores of programs, all. */
const STORES = { quick: 12, full: 5, long: 200 }
/** Of the sequences of three operations, every n-th. */
const EVERY = { quick: 24, full: 1, long: 1 }
const RANDOM_SEQUENCES = { quick: 4, full: 20, long: 600 }

/**
 * Every sequence of up to three operations on a small pool, under all protocols and their models, with crashes during the
 * last operation of each (those during earlier ones belong to a shorter sequence); then random longer sequences, with other
 * keys and lengths, with crashes everywhere.
 */
export function* ace({ amount, seed, progress, shard, census }: SuiteOptions): Generator<SuiteRow> {
  let part = 0
  for (const protocol of ALL_PROTOCOLS) {
    for (const first of ACE_OPERATIONS) {
      // What begins with one operation has the same prefix, and many images in common.
      if (!isMine(part++, shard)) continue
      const explorers = explorersOf(protocol, amount, census)
      let sequences = 0
      for (let length = 1; length <= 3; length++) {
        for (const operations of aceSequences(length, [first])) {
          if (length === 3 && sequences++ % EVERY[amount] !== 0) continue
          progress?.(`ace, ${protocol}: ${operations.join(', ')}`)
          const steps = operations.map((operation) => ({ operation, variant: 0 }))
          exploreLast(explorers, steps, protocol, LIMITS[amount][length - 1], STORES[amount], seed)
        }
      }
      yield* rowsOf(`ace, up to 3 operations, ${protocol}`, explorers)
    }
  }
  for (const protocol of ALL_PROTOCOLS) {
    if (!isMine(part++, shard)) continue
    const explorers = explorersOf(protocol, amount, census)
    exploreRandom(explorers, protocol, seed, amount, progress)
    yield* rowsOf(`ace, random sequences, ${protocol}`, explorers)
  }
}

interface ModelExplorer {
  readonly model: CrashModel
  readonly explorer: Explorer
  operations: number
}

/** One for each model; what one has seen the others take for seen, so a row's distinct images are in no other row. */
function explorersOf(
  protocol: Protocol,
  amount: SuiteOptions['amount'],
  census: SuiteOptions['census'],
): ModelExplorer[] {
  const { granularity, models } = PROTOCOLS[protocol]
  return models.map((model) => ({
    model,
    operations: 0,
    explorer: new Explorer({
      granularity,
      logPages: ACE_LOG_PAGES[protocol],
      engineOptions: () => aceEngineOptions(protocol),
      repeatEvery: 16,
      continueEvery: amount === 'long' ? 128 : 1024,
      ...(census === undefined ? {} : { census }),
    }),
  }))
}

function exploreLast(
  explorers: readonly ModelExplorer[],
  steps: readonly AceStep[],
  protocol: Protocol,
  limits: CrashOptions,
  stores: number,
  seed: number,
): void {
  const recording = recordAce(steps, protocol)
  const { lastOperation: fromPoint } = recording
  const storeStride = Math.max(1, Math.ceil((recording.trace.events.count - fromPoint) / stores))
  for (const one of explorers) {
    one.operations++
    const { explorer, model } = one
    try {
      explorer.explore(recording, { model, seed, fromPoint, storeStride, ...limits })
    } catch (error) {
      throw withSequence(error, steps, protocol)
    }
  }
}

function exploreRandom(
  explorers: readonly ModelExplorer[],
  protocol: Protocol,
  seed: number,
  amount: SuiteOptions['amount'],
  progress: SuiteOptions['progress'],
): void {
  const step = fc.record({ operation: fc.constantFrom(...ACE_OPERATIONS), variant: fc.nat({ max: 400 }) })
  let number = 0
  const sequence = fc.property(fc.array(step, { minLength: 4, maxLength: 9 }), (steps) => {
    progress?.(`ace, ${protocol}: random sequence ${++number}`)
    const recording = recordAce(steps, protocol)
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
    protocol,
    `fast-check seed ${result.seed}, path ${result.counterexamplePath ?? ''}`,
  )
}

/** Says which sequence it was. */
function withSequence(error: unknown, steps: readonly AceStep[], protocol: Protocol, more = ''): unknown {
  const names = steps.map(({ operation, variant }) => (variant === 0 ? operation : `${operation} ${variant}`))
  const sequence = `${protocol}: ${names.join(', ')}${more === '' ? '' : ` (${more})`}`
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

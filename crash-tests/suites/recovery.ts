import { FEWER } from '../src/amounts.js'
import { Explorer } from '../src/explorer.js'
import { CHAINS, SCRIPT } from '../src/hunt.js'
import { exploreNested } from '../src/nested.js'
import type { ChainLink, NestedOptions } from '../src/nested.js'
import { recordWorkload } from '../src/recording.js'
import type { SuiteOptions, SuiteRow } from './suite.js'

const POWER: ChainLink = { model: 'cache-line', options: FEWER }

/** On top of the hunts' chains: three crashes in a row, the other models, and long lives. */
const MORE_CHAINS: readonly { readonly name: string; readonly options: NestedOptions }[] = [
  {
    name: 'power failures during recovery and its recovery',
    options: { chain: [{ ...POWER, every: 97, most: 3 }, { ...POWER, every: 3, most: 8 }, POWER] },
  },
  {
    name: 'kill, work after recovery, then power failure',
    options: { chain: [{ model: 'kill', every: 50, most: 2 }, POWER], transactions: 3, syncIsFence: true },
  },
  {
    name: 'page: power failure during recovery',
    options: {
      chain: [
        { model: 'page', every: 41, most: 4, options: FEWER },
        { model: 'page', options: FEWER },
      ],
    },
  },
  {
    name: 'page: kill, then power failure during or after recovery',
    options: {
      chain: [
        { model: 'kill', every: 7, most: 6 },
        { model: 'page', options: FEWER },
      ],
    },
  },
  {
    name: 'byte: power failure during recovery',
    options: {
      chain: [
        { model: 'byte', every: 41, most: 4, options: FEWER },
        { model: 'byte', options: FEWER },
      ],
    },
  },
]

const STEPS = { quick: SCRIPT.length, full: 40, long: 120 }
/** Of the crashes that a chain begins with. */
const SHARE = { quick: 0.1, full: 1, long: 1 }
const SEEDS = { quick: 1, full: 2, long: Infinity }

/** Crashes of the recovery itself, at each of its stores, flushes and fences, and of what comes after it. */
export function* recovery({ amount, seed, progress }: SuiteOptions): Generator<SuiteRow> {
  const engineOptions = (): { logging: 'undo' } => ({ logging: 'undo' })
  for (let run = 0; run < SEEDS[amount]; run++) {
    const recordings = recordWorkload({
      seed: seed + run,
      steps: STEPS[amount],
      stepsPerTrace: 1,
      script: SCRIPT,
      engineOptions,
    })
    const explorer = new Explorer({
      engineOptions,
      ...(amount === 'quick' ? { repeatEvery: 16, continueEvery: 256 } : {}),
    })
    for (const { name, options } of [...CHAINS, ...MORE_CHAINS]) {
      const before = explorer.counts.distinct
      let recoveries = 0
      let images = 0
      recordings.forEach((recording, index) => {
        progress?.(`${name}, seed ${seed + run}: ${index + 1} of ${recordings.length} traces`)
        const chain = withShare(options.chain, SHARE[amount])
        const counts = exploreNested(explorer, recording, { ...options, chain, engineOptions })
        recoveries += counts.recoveries
        images += counts.images
      })
      const result = `${recoveries} recoveries crashed, ${images} images`
      yield { name: `${name}, seed ${seed + run}`, result, images: explorer.counts.distinct - before }
    }
  }
}

function withShare([first, ...rest]: NestedOptions['chain'], share: number): NestedOptions['chain'] {
  const most = first.most === undefined ? {} : { most: Math.max(1, Math.round(first.most * share)) }
  return [{ ...first, ...most }, ...rest]
}

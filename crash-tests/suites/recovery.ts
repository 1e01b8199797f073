import { FEWER } from '../src/amounts.js'
import { CHAINS, SCRIPT } from '../src/hunt.js'
import { exploreNested } from '../src/nested.js'
import type { ChainLink, NestedOptions } from '../src/nested.js'
import { ALL_PROTOCOLS, PROTOCOLS } from '../src/protocols.js'
import type { Protocol } from '../src/protocols.js'
import { prepareWorkload } from './prepare-workload.js'
import { isMine } from './suite.js'
import type { SuiteOptions, SuiteRow } from './suite.js'

const POWER: ChainLink = { model: 'cache-line', options: FEWER }

/** What goes on after a recovery until the next crash. */
const LONG_WORK: Pick<NestedOptions, 'transactions' | 'script'> = {
  transactions: 4,
  script: ['touchEverything', 'hugeValue', 'checkpoint', 'overwriteSame'],
}

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
    name: 'power failure, recovery, then an overflowing record, growth and a checkpoint, then power failure',
    options: { chain: [{ ...POWER, every: 89, most: 2 }, POWER], ...LONG_WORK },
  },
  {
    name: 'page: power failure, recovery, then an overflowing record, growth and a checkpoint, then power failure',
    options: {
      chain: [
        { model: 'page', every: 89, most: 2, options: FEWER },
        { model: 'page', options: FEWER },
      ],
      ...LONG_WORK,
    },
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

const STEPS = { quick: SCRIPT.length, full: 13, long: 120 }
/** Of the crashes that a chain begins with. */
const SHARE = { quick: 0.1, full: 0.2, long: 1 }
const SEEDS = { quick: 1, full: 1, long: 3 }

/** Crashes of the recovery itself, at each of its stores, flushes and fences, and of what comes after it. */
export function* recovery(options: SuiteOptions): Generator<SuiteRow> {
  let part = 0
  for (let run = 0; run < SEEDS[options.amount]; run++) {
    for (const protocol of ALL_PROTOCOLS) {
      const mine = [...CHAINS, ...MORE_CHAINS]
        .map(({ name, options: chain }) => ({ name, options: fitted(chain, protocol) }))
        .filter(({ options: chain }) => chain.chain.every(({ model }) => PROTOCOLS[protocol].models.includes(model)))
        .filter(isNew)
        .filter(() => isMine(part++, options.shard))
      if (mine.length > 0) yield* exploreRecoveries(protocol, options.seed + run, mine, options)
    }
  }
}

function* exploreRecoveries(
  protocol: Protocol,
  seed: number,
  chains: typeof CHAINS,
  { amount, progress, census }: SuiteOptions,
): Generator<SuiteRow> {
  const { recordings, explorer, engineOptions } = prepareWorkload(protocol, seed, {
    steps: STEPS[amount],
    stepsPerTrace: 1,
    amount,
    census,
  })
  for (const { name, options } of chains) {
    const before = { ...explorer.counts }
    let recoveries = 0
    let images = 0
    recordings.forEach((recording, index) => {
      progress?.(`${name}, ${protocol}, seed ${seed}: ${index + 1} of ${recordings.length} traces`)
      const chain = withShare(options.chain, SHARE[amount])
      // The ring stores lazily what only the sync of a checkpoint or recovery makes durable: there it is no mere fence.
      const syncIsFence = protocol !== 'ring' && options.syncIsFence === true
      const { granularity } = PROTOCOLS[protocol]
      const counts = exploreNested(explorer, recording, { ...options, chain, granularity, engineOptions, syncIsFence })
      recoveries += counts.recoveries
      images += counts.images
    })
    yield {
      name: `${name}, ${protocol}, seed ${seed}`,
      result: `${recoveries} recoveries crashed, ${images} images`,
      model: options.chain[options.chain.length - 1].model,
      points: explorer.counts.points - before.points,
      generated: explorer.counts.images - before.images,
      images: explorer.counts.distinct - before.distinct,
    }
  }
}

/** The ring is for granularity page: what the others meet in the cache-line model it meets in its own. */
function fitted(options: NestedOptions, protocol: Protocol): NestedOptions {
  if (protocol !== 'ring') return options
  const [first, second, ...rest] = options.chain.map((link): ChainLink =>
    link.model === 'cache-line' ? { ...link, model: 'page' } : link,
  )
  return { ...options, chain: [first, second, ...rest] }
}

/** Fitted to a protocol, two chains may have become the same. */
function isNew(
  { options }: { readonly options: NestedOptions },
  index: number,
  all: readonly { readonly options: NestedOptions }[],
): boolean {
  const text = JSON.stringify(options)
  return all.findIndex((other) => JSON.stringify(other.options) === text) === index
}

function withShare([first, ...rest]: NestedOptions['chain'], share: number): NestedOptions['chain'] {
  const most = first.most === undefined ? {} : { most: Math.max(1, Math.round(first.most * share)) }
  return [{ ...first, ...most }, ...rest]
}

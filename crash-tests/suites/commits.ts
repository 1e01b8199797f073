import { amountFor, FEW, SOME } from '../src/amounts.js'
import type { CrashModel } from '../src/medium.js'
import { ALL_PROTOCOLS, PROTOCOLS } from '../src/protocols.js'
import type { Protocol } from '../src/protocols.js'
import { prepareWorkload } from './prepare-workload.js'
import { isMine } from './suite.js'
import type { SuiteOptions, SuiteRow } from './suite.js'

const STEPS = { quick: 66, full: 32, long: 300 }
const SEEDS = { quick: 1, full: 1, long: 4 }

/**
 * A crash before and after every store, flush and fence of every commit, of growth, checkpoints, closing and opening, under
 * all protocols, in the models that each of them is for.
 */
export function* commits(options: SuiteOptions): Generator<SuiteRow> {
  let part = 0
  for (let run = 0; run < SEEDS[options.amount]; run++) {
    for (const protocol of ALL_PROTOCOLS) {
      // Models in one shard share what they have seen; in several each has its own, and some images come up twice.
      const mine = PROTOCOLS[protocol].models.filter(() => isMine(part++, options.shard))
      if (mine.length > 0) yield* exploreCommits(protocol, options.seed + run, mine, options)
    }
  }
}

function* exploreCommits(
  protocol: Protocol,
  seed: number,
  models: readonly CrashModel[],
  { amount, progress, census }: SuiteOptions,
): Generator<SuiteRow> {
  const { recordings, explorer } = prepareWorkload(protocol, seed, {
    steps: STEPS[amount],
    stepsPerTrace: 2,
    amount,
    census,
  })
  for (const model of models) {
    const before = { ...explorer.counts }
    const name = `commits, ${protocol}, ${model}, seed ${seed}`
    recordings.forEach((recording, index) => {
      progress?.(`${name}: ${index + 1} of ${recordings.length} traces`)
      explorer.explore(recording, { model, seed, ...amountFor(recording, amount === 'quick' ? FEW : SOME) })
    })
    const { images, distinct, points } = explorer.counts
    yield {
      name,
      result: `${recordings[0].history.length - 1} transactions, ${points - before.points} crash points, ${images - before.images} images`,
      model,
      points: points - before.points,
      generated: images - before.images,
      images: distinct - before.distinct,
    }
  }
}

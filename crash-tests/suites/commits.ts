import { amountFor, FEW, MANY } from '../src/amounts.js'
import { Explorer } from '../src/explorer.js'
import type { CrashModel } from '../src/medium.js'
import { recordWorkload } from '../src/recording.js'
import type { Recording } from '../src/recording.js'
import { SCRIPT } from '../src/hunt.js'
import type { SuiteOptions, SuiteRow } from './suite.js'

const MODELS: readonly CrashModel[] = ['cache-line', 'byte', 'kill', 'page']
const STEPS = { quick: 66, full: 120, long: 300 }
const SEEDS = { quick: 1, full: 2, long: Infinity }

/**
 * A crash before and after every store, flush and fence of every commit of the undo log, of growth, and of closing and
 * opening, in all models. Granularity page with the same protocol, too: what a barrier costs changes nothing about it.
 */
export function* commits({ amount, seed, progress }: SuiteOptions): Generator<SuiteRow> {
  for (let run = 0; run < SEEDS[amount]; run++) {
    const recordings = recordWorkload({
      seed: seed + run,
      steps: STEPS[amount],
      stepsPerTrace: 2,
      script: SCRIPT,
      engineOptions: () => ({ logging: 'undo' }),
    })
    const explorer = new Explorer({
      engineOptions: () => ({ logging: 'undo' }),
      ...(amount === 'quick' ? { repeatEvery: 16, continueEvery: 256 } : {}),
    })
    for (const model of MODELS) {
      const before = { ...explorer.counts }
      let recordingNumber = 0
      for (const recording of recordings) {
        progress?.(`commits, ${model}, seed ${seed + run}: ${++recordingNumber} of ${recordings.length} traces`)
        explorer.explore(recording, { model, seed, ...amountFor(recording, amount === 'quick' ? FEW : MANY) })
      }
      const { images, distinct } = explorer.counts
      yield {
        name: `commits, ${model}, seed ${seed + run}`,
        result: `${transactions(recordings)} transactions, ${events(recordings)} crash points, ${images - before.images} images`,
        images: distinct - before.distinct,
      }
    }
  }
}

function transactions(recordings: readonly Recording[]): number {
  return recordings[0].history.length - 1
}

function events(recordings: readonly Recording[]): number {
  return recordings.reduce((sum, { trace }) => sum + trace.events.count + 1, 0)
}

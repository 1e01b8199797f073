import type { Amount } from '../src/amounts.js'
import * as plain from '../src/hunt.js'
import { MUTANTS } from '../src/mutants.js'
import type { Mutant } from '../src/mutants.js'
import { loadMutant } from '../src/source-mutants.js'
import type { SuiteOptions, SuiteRow } from './suite.js'

const STEPS = plain.SCRIPT.length
/** Survivors meet all attempts in long runs only; these are the ones that notice most mutants soon. */
const SHORT = [
  'the workload itself',
  'damage after a clean close',
  'power failure before fences',
  'power failure during recovery',
  'kill, then power failure during or after recovery',
]

/** Turns off the rules of the protocol one by one: each must be noticed, or be known to do no harm. */
export async function* mutants({ amount, seed, progress }: SuiteOptions): AsyncGenerator<SuiteRow> {
  for (const mutant of MUTANTS) {
    // That an equivalent mutant survives takes a whole hunt to show.
    if (mutant.equivalent !== undefined && amount === 'quick') {
      yield { name: `mutant: ${mutant.name}`, result: `equivalent: ${mutant.equivalent}` }
      continue
    }
    progress?.(`mutant: ${mutant.name}`)
    yield { name: `mutant: ${mutant.name}`, result: await judge(mutant, seed, amount) }
  }
}

/** Throws when the mutant does what it must not. */
async function judge(mutant: Mutant, seed: number, amount: Amount): Promise<string> {
  const { name, rule, equivalent, patches } = mutant
  const { hunt } = patches === undefined ? plain : await loadMutant(name, patches)
  const { caught, images } = hunt({
    seeds: [seed],
    steps: STEPS,
    ...(equivalent !== undefined && amount === 'full' ? { attempts: SHORT } : {}),
    ...(mutant.first === undefined ? {} : { first: mutant.first }),
    ...(mutant.commitFilter === undefined ? {} : { commitFilter: mutant.commitFilter }),
    ...(mutant.recoveryFilter === undefined ? {} : { recoveryFilter: mutant.recoveryFilter }),
  })
  if (equivalent !== undefined) {
    if (caught === undefined) return `equivalent, survived ${images} images: ${equivalent}`
    throw new Error(`"${name}" is listed as equivalent but was caught by ${caught.by}: ${caught.message}`)
  }
  if (caught === undefined) throw new Error(`"${name}" survived ${images} images; it breaks the rule: ${rule}`)
  return `${rule} | caught by ${caught.by}: ${caught.message.split('\n')[0]}`
}

import { catchRedoMutant, REDO_MUTANTS } from '../src/redo-mutants.js'
import type { Amount } from '../src/amounts.js'
import { proofOf } from '../src/generated-equivalents.js'
import { GeneratedHunt } from '../src/generated-hunt.js'
import * as plain from '../src/hunt.js'
import type { CrashModel } from '../src/medium.js'
import { MUTANTS } from '../src/mutants.js'
import type { Mutant } from '../src/mutants.js'
import { ALL_PROTOCOLS, PROTOCOLS } from '../src/protocols.js'
import type { MutantReport } from '../src/report-data.js'
import { loadMutant } from '../src/source-mutants.js'
import { isMine } from './suite.js'
import type { SuiteOptions, SuiteRow } from './suite.js'

const STEPS = plain.SCRIPT.length
/** Survivors meet all attempts in long runs only; these are the ones that notice most mutants soonest. */
const SHORT = [
  'the workload itself',
  'damage after a clean close',
  'power failure before fences',
  'kill, then power failure during or after recovery',
]

/** What a mutant came to; `durationMs` is added when the row is made. */
type Judgement = Omit<MutantReport, 'durationMs'>

/**
 * Turns off the rules of the protocols one by one, then every step of the programs: each must be noticed, or be known to do no
 * harm, in which case it must indeed survive.
 */
export async function* mutants({ amount, seed, progress, shard }: SuiteOptions): AsyncGenerator<SuiteRow> {
  let part = 0
  for (const mutant of MUTANTS) {
    if (!isMine(part++, shard)) continue
    progress?.(`mutant: ${mutant.name}`)
    yield await row(() => judge(mutant, seed, amount))
  }
  for (const mutant of REDO_MUTANTS) {
    if (!isMine(part++, shard)) continue
    progress?.(`mutant: ${mutant.rule}`)
    yield await row(() => {
      const violation = catchRedoMutant(mutant)
      const common = {
        name: `redo: ${mutant.rule}`,
        protocol: 'C',
        rule: mutant.rule,
        origin: 'rule',
        images: 0,
      } as const
      if (violation === undefined) return { ...common, outcome: 'survived' }
      const model = (/^\[([a-z-]+)\]/.exec(violation.where)?.[1] ?? 'page') as CrashModel
      const message = violation.message.split('\n')[0]
      return { ...common, outcome: 'caught', caughtBy: `random workload, ${model}`, model, message }
    })
  }
  for (const protocol of ALL_PROTOCOLS) {
    if (shard !== undefined && ![0, 1, 2].some((offset) => isMine(part + offset, shard))) continue
    const hunt = new GeneratedHunt(protocol)
    for (const mutant of hunt.mutants) {
      if (!isMine(part++, shard)) continue
      const name = `${protocol} ${mutant.name}`
      const proof = proofOf(protocol, mutant.name)
      progress?.(`mutant: ${name}`)
      const common = {
        name,
        protocol: mutant.role === 'growth' ? 'E' : mutant.role.includes('anchor') ? 'all' : PROTOCOLS[protocol].letter,
        rule: mutant.name,
        origin: 'generated',
      } as const
      // That an equivalent mutant survives takes a whole hunt to show.
      if (proof !== undefined && amount === 'quick') {
        yield await row(() => ({ ...common, outcome: 'equivalent', proof, images: 0 }))
        continue
      }
      yield await row(() => {
        const { caught, images } = hunt.hunt(mutant)
        if (caught !== undefined) {
          if (proof !== undefined)
            throw new Error(`"${name}" is listed as equivalent but was caught: ${caught.message}`)
          const { by, model, message } = caught
          return { ...common, outcome: 'caught', caughtBy: `${by}, ${model}`, model, message, images }
        }
        return proof === undefined
          ? { ...common, outcome: 'survived', images }
          : { ...common, outcome: 'equivalent', proof, images }
      })
    }
  }
}

/** Throws when a mutant has survived that is not known to be equivalent. */
async function row(judgeIt: () => Judgement | Promise<Judgement>): Promise<SuiteRow> {
  const begin = performance.now()
  const judged = await judgeIt()
  const mutant: MutantReport = { ...judged, durationMs: performance.now() - begin }
  const { name, rule, outcome, caughtBy, message, proof, images } = mutant
  if (outcome === 'survived') throw new Error(`"${name}" survived ${images} images; it breaks the rule: ${rule}`)
  const result =
    outcome === 'caught' ? `${rule} | caught by ${caughtBy ?? ''}: ${message ?? ''}` : `equivalent: ${proof ?? ''}`
  return { name: `mutant: ${name}`, result, mutant }
}

async function judge(mutant: Mutant, seed: number, amount: Amount): Promise<Judgement> {
  const { name, rule, equivalent, patches } = mutant
  const common = { name, rule, protocol: mutant.protocol ?? 'A', origin: 'rule' } as const
  // That an equivalent mutant survives takes a whole hunt to show.
  if (equivalent !== undefined && amount === 'quick') {
    return { ...common, outcome: 'equivalent', proof: equivalent, images: 0 }
  }
  const { hunt } = patches === undefined ? plain : await loadMutant(name, patches)
  const { caught, images } = hunt({
    seeds: [seed],
    steps: STEPS,
    ...(equivalent !== undefined && amount === 'full' ? { attempts: SHORT } : {}),
    ...(mutant.hunted === undefined ? {} : { protocol: mutant.hunted }),
    ...(mutant.script === undefined ? {} : { script: mutant.script }),
    ...(mutant.first === undefined ? {} : { first: mutant.first }),
    ...(mutant.commitFilter === undefined ? {} : { commitFilter: mutant.commitFilter }),
    ...(mutant.recoveryFilter === undefined ? {} : { recoveryFilter: mutant.recoveryFilter }),
  })
  if (caught === undefined) {
    return equivalent === undefined
      ? { ...common, outcome: 'survived', images }
      : { ...common, outcome: 'equivalent', proof: equivalent, images }
  }
  const message = caught.message.split('\n')[0]
  if (equivalent !== undefined) {
    throw new Error(`"${name}" is listed as equivalent but was caught by ${caught.by}: ${message}`)
  }
  return { ...common, outcome: 'caught', caughtBy: caught.by, message, images }
}

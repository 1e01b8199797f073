import type { Trace } from '../../src/pmem/event-log.js'
import { ACE_LOG_PAGES, aceEngineOptions, recordAce } from './ace.js'
import type { AceRecording } from './ace.js'
import type { AceOperation, AceStep } from './ace-store.js'
import { Explorer } from './explorer.js'
import { generateMutants } from './generated-mutants.js'
import type { GeneratedMutant } from './generated-mutants.js'
import type { CrashModel } from './medium.js'
import { exploreNested } from './nested.js'
import { PROTOCOLS } from './protocols.js'
import type { Protocol } from './protocols.js'
import type { ChainLink, NestedOptions } from './nested.js'

/** Short lives that have every step of every program in them, each followed by something that depends on it. */
const LIVES: readonly (readonly AceStep[])[] = [
  life('putNew', 'twoKeyspaces', 'checkpoint', 'overwriteLarger', 'reopen', 'delete', 'putNew'),
  // Entries so long that leaves are split: fresh pages.
  [1300, 1500, 1400, 1350].map((variant) => ({ operation: 'putNew', variant })),
  life('largeValue', 'grow', 'putNew', 'nestedAbort', 'largeValue', 'reopen', 'largeValue'),
]

/**
 * Three records of the same lines, then longer ones that go round the ring and over them: what a checkpoint must have made
 * durable by then.
 */
const ROUND_THE_RING: readonly AceStep[] = Array.from({ length: 3 }, (): AceStep[] => [
  ...life('overwriteSame', 'overwriteSame', 'overwriteSame', 'largeValue'),
  { operation: 'largeValue', variant: 64 },
]).flat()

/** The record of the value takes 193 lines: the last one is alone on its page, so that no other line's flush stands in for its. */
const LAST_LINE_ALONE: readonly AceStep[] = [
  ...life('putNew'),
  { operation: 'largeValue', variant: 47 },
  ...life('putNew'),
]

function life(...operations: AceOperation[]): AceStep[] {
  return operations.map((operation) => ({ operation, variant: 0 }))
}

const AMOUNT = { exhaustiveLimit: 8, samples: 8 }

export interface GeneratedResult {
  readonly caught: { readonly by: string; readonly model: CrashModel; readonly message: string } | undefined
  readonly images: number
}

/** The lives under one protocol, and all mutants of their programs and of the recoveries from their crashes. */
export class GeneratedHunt {
  readonly mutants: readonly GeneratedMutant[]
  readonly #lives: readonly AceRecording[]
  readonly #protocol: Protocol

  constructor(protocol: Protocol) {
    this.#protocol = protocol
    const lives = protocol === 'ring' ? [...LIVES, ROUND_THE_RING, LAST_LINE_ALONE] : LIVES
    this.#lives = lives.map((steps) => recordAce(steps, protocol))
    const recoveries: Trace[] = []
    // What recovery does shows in the traces of recoveries only.
    const [{ options }] = this.#chains()
    for (const recorded of this.#lives) {
      const filter = (trace: Trace): Trace => {
        recoveries.push(trace)
        return trace
      }
      const noImages: ChainLink = { model: 'kill', options: { toPoint: -1 } }
      exploreNested(this.#explorer(), recorded, { ...options, chain: [options.chain[0], noImages], filter })
    }
    this.mutants = generateMutants([...this.#lives.map(({ trace }) => trace), ...recoveries])
  }

  /** Looks for a violation with one mutant in the place of the program; without one, nothing must be found. */
  hunt(mutant: GeneratedMutant | undefined): GeneratedResult {
    const explorer = this.#explorer()
    let by = ''
    let model: CrashModel = PROTOCOLS[this.#protocol].models[0]
    const recovering = mutant?.role.startsWith('open') === true
    try {
      for (const [number, recorded] of this.#lives.entries()) {
        for (model of PROTOCOLS[this.#protocol].models) {
          if (recovering) break
          by = `life ${number + 1}`
          const trace = mutant?.filter(recorded.trace) ?? recorded.trace
          explorer.explore({ ...recorded, trace }, { model, storeStride: 24, ...AMOUNT })
        }
        for (const { name, options } of this.#chains()) {
          if (!recovering && mutant !== undefined) break
          by = `life ${number + 1}, ${name}`
          model = options.chain[options.chain.length - 1].model
          exploreNested(explorer, recorded, { ...options, ...(mutant === undefined ? {} : { filter: mutant.filter }) })
        }
      }
    } catch (error) {
      const message = error instanceof Error ? error.message.split('\n')[0] : String(error)
      return { caught: { by, model, message }, images: explorer.counts.distinct }
    }
    return { caught: undefined, images: explorer.counts.distinct }
  }

  #explorer(): Explorer {
    const protocol = this.#protocol
    return new Explorer({
      granularity: PROTOCOLS[protocol].granularity,
      logPages: ACE_LOG_PAGES[protocol],
      engineOptions: () => aceEngineOptions(protocol),
      continueEvery: 512,
    })
  }

  #chains(): readonly { readonly name: string; readonly options: NestedOptions }[] {
    const protocol = this.#protocol
    const engineOptions = (): ReturnType<typeof aceEngineOptions> => aceEngineOptions(protocol)
    // With a ring the sync makes durable what was stored lazily; without one it must not be depended on.
    const { granularity, models } = PROTOCOLS[protocol]
    const common = { granularity, engineOptions, syncIsFence: protocol !== 'ring' }
    const last: ChainLink = { model: models[0], options: AMOUNT }
    const atFences: ChainLink = { model: 'kill', at: 'fences' }
    const failing: ChainLink = { model: 'kill', at: 'sync fails' }
    return [
      {
        name: 'kill, then power failure during recovery and work',
        options: { ...common, chain: [atFences, last], transactions: 1 },
      },
      {
        name: 'kill anywhere, then power failure during recovery',
        options: { ...common, chain: [{ model: 'kill', most: 30 }, last] },
      },
      {
        name: 'kill, kill of the recovery, then power failure',
        options: { ...common, chain: [{ model: 'kill', most: 8 }, { model: 'kill', at: 'fences' }, last] },
      },
      { name: 'failed sync, then power failure during recovery', options: { ...common, chain: [failing, last] } },
      {
        name: 'power failure during recovery',
        options: { ...common, chain: [{ ...last, every: 31, most: 12 }, last] },
      },
    ]
  }
}

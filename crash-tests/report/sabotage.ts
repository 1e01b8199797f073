import { EVENT_FENCE } from '../../src/pmem/event-log.js'
import { FEW } from '../src/amounts.js'
import { CrashViolation, Explorer } from '../src/explorer.js'
import { recordWorkload } from '../src/recording.js'
import { unpackImage } from '../src/replay.js'
import { changeEvents } from '../src/trace-mutants.js'
import { staleLinesIn, type PageMapData } from './page-map.js'

/** What the crash tests say about a store that is wrong on purpose. */
export interface Sabotage extends PageMapData {
  readonly rule: string
  readonly message: string
  readonly where: string
}

/** Leaves the fence between the log record and the data out of every commit, and returns the first violation. */
export function sabotage(seed: number): Sabotage {
  const script = ['putNew', 'putNew', 'severalKeys', 'overwriteSame', 'severalKeys', 'delete'] as const
  const recordings = recordWorkload({ seed, steps: script.length, stepsPerTrace: 1, script })
  const withoutFence = changeEvents(({ trace, event, commit, fencesBefore }) =>
    commit && fencesBefore === 0 && trace.events.kind(event) === EVENT_FENCE ? 'drop' : 'keep',
  )
  const explorer = new Explorer()
  try {
    for (const recording of recordings) {
      explorer.explore({ ...recording, trace: withoutFence(recording.trace) }, { ...FEW, model: 'cache-line', seed })
    }
  } catch (error) {
    if (!(error instanceof CrashViolation) || error.replay === undefined) throw error
    return {
      rule: 'the log record is durable before the first line is changed in place (fence 1 of a commit)',
      message: error.message.split('\n')[0],
      where: error.where,
      image: unpackImage(error.replay.image),
      stale: staleLinesIn(error.where),
    }
  }
  throw new Error('a commit without its first fence was not noticed: the crash tests cannot be trusted')
}

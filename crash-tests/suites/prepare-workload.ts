import { PAGE_BYTES } from '../../src/pmem/program.js'
import type { EngineOptions } from '../../src/tx/engine.js'
import { Explorer } from '../src/explorer.js'
import { SCRIPT } from '../src/hunt.js'
import { PROTOCOLS } from '../src/protocols.js'
import type { Protocol } from '../src/protocols.js'
import type { Recording } from '../src/recording.js'
import { recordWorkload } from '../src/recording.js'
import type { SuiteOptions } from './suite.js'

const LOG_PAGES: Readonly<Record<Protocol, number>> = { undo: 4, slots: 4, ring: 12 }

export interface WorkloadShape extends Pick<SuiteOptions, 'amount'> {
  readonly steps: number
  readonly stepsPerTrace: number
  readonly census: SuiteOptions['census'] | undefined
}

export interface PreparedWorkload {
  readonly recordings: readonly Recording[]
  readonly explorer: Explorer
  readonly engineOptions: () => EngineOptions
}

/** The script of the hunts on a small pool, recorded, and an explorer for its images: what several suites begin with. */
export function prepareWorkload(
  protocol: Protocol,
  seed: number,
  { steps, stepsPerTrace, amount, census }: WorkloadShape,
): PreparedWorkload {
  const { logging, granularity } = PROTOCOLS[protocol]
  const logPages = LOG_PAGES[protocol]
  const engineOptions = (): EngineOptions => ({ logging, logSizeBytes: logPages * PAGE_BYTES })
  const recordings = recordWorkload({
    seed,
    steps,
    initialPages: 20 + logPages,
    stepsPerTrace,
    script: SCRIPT,
    granularity,
    engineOptions,
  })
  const explorer = new Explorer({
    granularity,
    logPages,
    engineOptions,
    ...(census === undefined ? {} : { census }),
    ...(amount === 'quick' ? { repeatEvery: 16, continueEvery: 256 } : {}),
  })
  return { recordings, explorer, engineOptions }
}

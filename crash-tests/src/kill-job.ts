import type { Granularity } from '../../src/pmem/persistent-memory.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import type { Logging } from '../../src/tx/committer.js'
import type { EngineOptions } from '../../src/tx/engine.js'
import type { FaultCall, FaultRule } from './faults.js'
import type { Random } from './random.js'

/**
 * How a writer commits: each transaction is waited for; most are operations of groups that become durable together; or
 * most are relaxed, so that a power failure may take the last ones, but no kill: their records are written.
 */
export const KILL_MODES = ['sync', 'async', 'relaxed'] as const
export type KillMode = (typeof KILL_MODES)[number]

/** What a writer is doing when it ends itself. */
export const KILL_PLACES = ['create', 'open', 'work', 'growth', 'checkpoint', 'close'] as const
export type KillPlace = (typeof KILL_PLACES)[number]

export interface KillOptions {
  readonly executor: 'native' | 'portable'
  readonly granularity: Granularity
  readonly logging: Logging
  readonly initialPages: number
  readonly logPages: number
  readonly growthPages: number
  readonly segmentShift: number
}

/** One life of a writer. */
export interface KillJob {
  readonly path: string
  readonly seed: number
  readonly mode: KillMode
  readonly options: KillOptions
  /** Where it ends itself (with the addon's test build); else it works until it is killed. */
  readonly point?: { readonly place: KillPlace; readonly rule: FaultRule }
}

const GRANULARITIES: readonly Granularity[] = ['byte', 'cache-line', 'page']
const LOGGINGS: readonly Logging[] = ['undo', 'redo']

export const pick = <T>(list: readonly T[], random: Random): T => list[random.below(list.length)]

/** Small pools that grow often and whose records overflow; every opening with other options. */
export function randomKillOptions(random: Random): KillOptions {
  // A pool goes from one executor to the other, so each recovers what the other leaves.
  const executor = random.below(4) === 0 ? 'portable' : 'native'
  return {
    executor,
    granularity: executor === 'portable' ? 'page' : pick(GRANULARITIES, random),
    logging: pick(LOGGINGS, random),
    initialPages: 40 + random.below(80),
    logPages: 4 + random.below(24),
    growthPages: 1 + random.below(40),
    segmentShift: 8 + random.below(3),
  }
}

export function killEngineOptions(options: KillOptions): EngineOptions {
  return {
    executor: options.executor,
    forceGranularity: options.granularity,
    logging: options.logging,
    initialSizeBytes: options.initialPages * PAGE_BYTES,
    relaxedIntervalMs: 5,
    logSizeBytes: options.logPages * PAGE_BYTES,
    growthStepBytes: options.growthPages * PAGE_BYTES,
    segmentBytes: PAGE_BYTES * 2 ** options.segmentShift,
  }
}

/** Calls that are made at each place, and about how many. */
const POINTS: Readonly<Record<KillPlace, readonly (readonly [FaultCall, number])[]>> = {
  create: [
    ['operation', 15],
    ['pwrite', 60],
    ['fsync', 1],
    ['msync', 2],
    ['fdatasync', 2],
    ['map', 5],
    ['linkSync', 1],
    ['fsyncSync', 1],
    ['unlinkSync', 1],
  ],
  open: [
    ['operation', 40],
    ['operation', 8],
    ['msync', 4],
    ['fdatasync', 1],
    ['lock', 1],
    ['map', 8],
    ['closeSync', 1],
  ],
  work: [
    ['operation', 30],
    ['operation', 600],
    ['msync', 30],
    ['fdatasync', 3],
  ],
  growth: [
    ['pwrite', 60],
    ['fsync', 4],
  ],
  checkpoint: [
    ['operation', 3],
    ['fdatasync', 1],
    ['msync', 1],
  ],
  close: [
    ['operation', 3],
    ['fdatasync', 1],
    ['msync', 1],
    ['unmap', 6],
    ['lock', 1],
    ['close', 1],
  ],
}

export function randomPoint(random: Random, place: KillPlace): NonNullable<KillJob['point']> {
  const [call, most] = pick(POINTS[place], random)
  const first = 1 + random.below(most)
  const action = random.below(2) === 0 ? 'kill-before' : 'kill-after'
  return { place, rule: { call, first, last: first, action } }
}

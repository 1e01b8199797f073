import type { Granularity } from '../../src/pmem/persistent-memory.js'
import type { Logging } from '../../src/tx/committer.js'
import type { EngineOptions } from '../../src/tx/engine.js'

export const KILL_LOG_PAGES = 16
export const KILL_SEGMENT_SHIFT = 8

/** Small pools that grow often and whose records overflow. */
export function killTestOptions(granularity: Granularity, logging: Logging): EngineOptions {
  return {
    forceGranularity: granularity,
    logging,
    initialSizeBytes: 48 * 4096,
    logSizeBytes: KILL_LOG_PAGES * 4096,
    growthStepBytes: 8 * 4096,
    segmentBytes: 4096 * 2 ** KILL_SEGMENT_SHIFT,
  }
}

import type { Granularity, PersistCounters, PersistentMemory } from '../pmem/persistent-memory.js'
import type { ExecutorName } from '../pool/pool-file.js'
import type { Logging } from './committer.js'
import type { Recovery } from './recovery.js'

const MIB = 1024 * 1024

/**
 * `sync`: a commit is durable when it returns. `relaxed`: under granularity page (redo) it survives the end of the process when
 * it returns, and a power failure at most `relaxedIntervalMs` and one msync later; elsewhere the same as `sync`.
 */
export type Durability = 'sync' | 'relaxed'

/** Sizes and demands of an open; every default is documented at the public options. */
export interface EngineOptions {
  readonly readOnly?: boolean
  /** Create the pool when the file does not exist; default true. */
  readonly create?: boolean
  readonly initialSizeBytes?: number
  readonly growthStepBytes?: number
  readonly maxSizeBytes?: number
  readonly logSizeBytes?: number
  readonly stagingLimitBytes?: number
  readonly segmentBytes?: number
  /** Verify the checksum of every page a read visits; see the public option. */
  readonly verifyReads?: boolean
  readonly requireGranularity?: Granularity
  readonly forceGranularity?: Granularity
  readonly executor?: ExecutorName
  /** How commits are made atomic. Default: `redo` under granularity page (one wait), `undo` elsewhere. */
  readonly logging?: Logging
  /** What a commit waits for, where it is not said otherwise; see `Durability`. Default `sync`. */
  readonly durability?: Durability
  /** Longest time a relaxed commit stays volatile. Default 100. */
  readonly relaxedIntervalMs?: number
  /** Tests: run on this memory (a recorded simulation, a crash image) instead of opening a file. */
  readonly memory?: PersistentMemory
  /** Tests: source of salts, so that a run can be repeated. */
  readonly random?: (words: Uint32Array) => void
}

export const DEFAULT_GROWTH_STEP_BYTES = 16 * MIB
export const DEFAULT_RELAXED_INTERVAL_MS = 100
export const DEFAULT_STAGING_LIMIT_BYTES = 512 * MIB

export interface EngineStats {
  /** Identity of the pool: given at creation, never changed. */
  readonly uuid: string
  readonly formatVersion: number
  readonly createdAt: Date
  /** Bytes of an allocation segment; no value is longer. */
  readonly segmentBytes: number
  readonly capacityPages: number
  readonly allocatedPages: number
  readonly logPages: number
  /** Id of the last transaction; ids grow by one, and start again from the last known one after a kill (with a new epoch). */
  readonly txid: number
  /** Commits by this process. */
  readonly commits: number
  readonly growths: number
  readonly logging: Logging
  /** Checkpoints of the redo log by this process, not counting the one at close. */
  readonly checkpoints: number
  readonly counters: Readonly<PersistCounters>
  readonly unsafeShutdowns: number
  readonly recovery: Recovery
}

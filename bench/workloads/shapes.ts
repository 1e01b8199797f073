/** How much is done in one measurement, and small helpers to write rows down. */
import type { MicroShape } from '../jobs.js'
import type { Goal, RoundContext, RowSpec } from '../workload.js'

/** Durable writes a round, at most: into an empty store, and to a filled one, where each costs some peers ten times more. */
export const WRITES = 100_000
export const FILLED_WRITES = 40_000
/** On a device each waits a tenth of a millisecond or more. */
export const DISK_WRITES = 1000
const READS = { operationsPerBatch: 1000, batches: 250, warmupBatches: 120 }
const FEW_READS = { operationsPerBatch: 100, batches: 50, warmupBatches: 20 }
const RANGES = { operationsPerBatch: 10, batches: 600, warmupBatches: 200 }
const FEW_RANGES = { operationsPerBatch: 10, batches: 20, warmupBatches: 5 }
/** Below this many keys it is the run that is tested, not the engine. */
const SMALL_KEYS = 100_000
const BATCHES_LEAST = 20
const OPERATIONS_A_BATCH = 100
/** In front of the measured ones, as a share of them. */
const WARMUP_SHARE = 5

/** Reads of single keys. */
export function reads({ keys }: RoundContext): MicroShape {
  return keys >= SMALL_KEYS ? READS : FEW_READS
}

/** Ranges of `rows` rows. */
export function ranges({ keys }: RoundContext, rows: number): MicroShape {
  return { ...(keys >= SMALL_KEYS ? RANGES : FEW_RANGES), rows }
}

/** At most `most` writes; each key is written once only, warming up included: stays below the data set's size. */
export function writes({ keys }: RoundContext, most: number): MicroShape {
  return batchesOf(Math.min(most, Math.floor(keys / 2)))
}

function batchesOf(operations: number): MicroShape {
  const operationsPerBatch = Math.max(1, Math.min(OPERATIONS_A_BATCH, Math.floor(operations / BATCHES_LEAST)))
  const batches = Math.max(1, Math.floor(operations / operationsPerBatch))
  return { operationsPerBatch, batches, warmupBatches: Math.ceil(batches / WARMUP_SHARE) }
}

/** Transactions or groups of `rows` puts, at most `most` puts in all. With few keys, the groups become smaller. */
export function manyWrites({ keys }: RoundContext, rows: number, most: number): MicroShape {
  const inEach = Math.min(rows, Math.floor(keys / 10))
  const batches = Math.max(3, Math.floor(Math.min(most, Math.floor(keys / 2)) / inEach))
  return { operationsPerBatch: 1, batches, warmupBatches: Math.ceil(batches / WARMUP_SHARE), rows: inEach }
}

/** Operations of a mixed workload, and of a latency distribution; half as many again in front, where the store is a filled one. */
export function mixed({ keys }: RoundContext, most: number): { operations: number; warmupOperations: number } {
  const operations = Math.min(most, Math.floor(keys / 2))
  return { operations, warmupOperations: Math.floor(operations / 2) }
}

export function atLeast(ratio: number, step?: number): Goal {
  return { kind: 'ratio', atLeast: ratio, ...(step === undefined ? {} : { step }) }
}

export function atMost(limit: number, step?: number): Goal {
  return { kind: 'limit', atMost: limit, ...(step === undefined ? {} : { step }) }
}

export function atMostTimes(multiple: number, step?: number): Goal {
  return { kind: 'multiple', atMost: multiple, ...(step === undefined ? {} : { step }) }
}

/** Microseconds an operation, compared with a peer. */
export function perOperation(title: string, subject: string, peer: RowSpec['peer'], goal?: Goal): RowSpec {
  return {
    title,
    metric: 'usPerOperation',
    unit: 'us',
    subject,
    ...(peer === undefined ? {} : { peer }),
    ...(goal === undefined ? {} : { goal }),
  }
}

/** Microseconds a row of a pass or load, compared with a peer. */
export function perRow(title: string, subject: string, peer: RowSpec['peer'], goal?: Goal): RowSpec {
  return { ...perOperation(title, subject, peer, goal), metric: 'usPerRow' }
}

export function onDisk(row: RowSpec): RowSpec {
  return { ...row, onDisk: true }
}

/** What the parent asks a child process to do, and what it gets back. Everything here travels as JSON. */
import type { OpenRequest } from './subjects.js'

/** Operations measured in batches by the driver `micro`. */
export type Operation =
  /** A put that is a transaction of its own. */
  | 'put'
  /** `rows` puts in one transaction. */
  | 'transaction'
  /** `rows` puts outstanding at a time, by callers that do not know of each other. */
  | 'group'
  | 'remove'
  | 'view'
  | 'copy'
  | 'decoded'
  | 'miss'
  /** `rows` rows from a key on, or before it. */
  | 'range'
  | 'range-reverse'

/** What puts meet: an empty store, a filled one without these keys, or a filled one with them. */
export type Target = 'empty' | 'new' | 'existing'

/** Whole passes over the data. */
export type Pass = 'scan' | 'scan-reverse' | 'each-row' | 'rows'

/** The core workloads of the Yahoo! Cloud Serving Benchmark. */
export type YcsbMix = 'A' | 'B' | 'C' | 'D' | 'E' | 'F'

export interface StoreJob extends OpenRequest {
  /** Entries of the data set. */
  readonly keys: number
  /** Round number: another round takes other keys, the same for every engine. */
  readonly round: number
  /** Where to write a CPU profile of the measured part. */
  readonly profileDir?: string
  /** A store in memory that is written to first and then thrown away, so that the engine's code is compiled. */
  readonly warmUp?: WarmUp
}

export interface WarmUp {
  readonly path: string
  readonly puts: number
}

export interface LoadJob extends StoreJob {
  readonly kind: 'load'
  readonly order: 'sorted' | 'random'
  readonly perTransaction: number
  /** Entries first loaded into a store that is then thrown away, so that the code is compiled; 0 for none. */
  readonly warmupKeys: number
}

export interface MicroShape {
  readonly operationsPerBatch: number
  readonly batches: number
  readonly warmupBatches: number
  /** Rows of each range, transaction or group; default 1. */
  readonly rows?: number
  /** Reads go to so many keys only, again and again, and nothing that grows with the data set is made; default all. */
  readonly hotKeys?: number
}

export interface MicroJob extends StoreJob, MicroShape {
  readonly kind: 'micro'
  readonly operation: Operation
  /** Of puts. */
  readonly target?: Target
}

export interface PassJob extends StoreJob {
  readonly kind: 'pass'
  readonly pass: Pass
  readonly repeats: number
}

export interface YcsbJob extends StoreJob {
  readonly kind: 'ycsb'
  readonly mix: YcsbMix
  readonly operations: number
  readonly warmupOperations: number
}

/** Durable puts whose latencies are taken one by one. */
export interface LatencyJob extends StoreJob {
  readonly kind: 'latency'
  readonly target: Target
  readonly operations: number
  readonly warmupOperations: number
}

export interface OpenJob extends StoreJob {
  readonly kind: 'open'
  /** Read the first key that a `crash` job with so many puts has put, instead of one of the data set. */
  readonly afterPuts?: number
}

/** Writes until it is killed, or kills itself after so many puts. */
export interface CrashJob extends StoreJob {
  readonly kind: 'crash'
  readonly puts?: number
}

/** What the hardware and the kernel cost without any engine. */
export interface FloorJob {
  readonly kind: 'floor'
  readonly path: string
  readonly repeats: number
}

export type Job = LoadJob | MicroJob | PassJob | YcsbJob | LatencyJob | OpenJob | CrashJob | FloorJob

export type BaseMetric =
  | 'usPerOperation'
  | 'cpuUsPerOperation'
  | 'usPerOperationP50'
  | 'usPerOperationP99'
  /** Batches in which the file grew: what they took beyond a median batch, spread over all operations. */
  | 'growthUsPerOperation'
  | 'growthLongestMs'
  | 'growths'
  /** One commit: a put, a delete, a transaction, a group. */
  | 'fencesPerCommit'
  | 'linesPerCommit'
  | 'syncsPerCommit'
  | 'writtenBytesPerOperation'
  | 'usPerRow'
  | 'cpuUsPerRow'
  | 'usedBytesPerKey'
  | 'fileBytesPerKey'
  /** Of the whole process, the harness's own keys and values included. */
  | 'peakMemoryMib'
  /** Memory of the process alone (heap, staging), and resident pages of the mapped store, after the measured part. */
  | 'privateMib'
  | 'mappedMib'
  | 'latencyP50Us'
  | 'latencyP99Us'
  | 'latencyP999Us'
  | 'latencyMaxUs'
  /** Of the commits around checkpoints only. */
  | 'checkpointP50Us'
  | 'checkpointP99Us'
  | 'checkpointMaxUs'
  | 'checkpoints'
  | 'openMs'
  | 'openCpuMs'
  | 'msyncPageUs'
  | 'fdatasyncUs'
  | 'copyPageUs'
  | 'fenceUs'
  | 'fenceTenLinesUs'
  | 'streamFenceUs'
  /** Cost at the largest size divided by that at the smallest. */
  | 'growthOfCost'

/** Where one measurement covers several sizes, the size follows the name: `usPerOperation@1000000`. */
export type Metric = BaseMetric | `${BaseMetric}@${number}`

/** Latencies of single operations. */
export interface LatencyProfile {
  /** Percentile and microseconds. */
  readonly percentiles: readonly (readonly [number, number])[]
  /** Milliseconds since the start and the longest latency (us) of that stretch of time. */
  readonly timeline: readonly (readonly [number, number])[]
  /** Milliseconds since the start at which the file grew, or a checkpoint ended. */
  readonly growthsAtMs: readonly number[]
  readonly checkpointsAtMs: readonly number[]
}

export interface Measurement {
  readonly metrics: Readonly<Partial<Record<Metric, number>>>
  /** Sum over what was read. Engines doing the same work on the same data must agree. */
  readonly checksum?: number
  readonly notes?: readonly string[]
  readonly latency?: LatencyProfile
}

export type ChildMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly measurement: Measurement }
  | { readonly type: 'failed'; readonly error: string }
  | { readonly type: 'unavailable'; readonly reason: string }

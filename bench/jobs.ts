/** What the parent asks a child process to do, and what it gets back. Everything here travels as JSON. */
import type { OpenRequest } from './subjects.js'

/** Operations measured one by one, in batches. */
export type Operation =
  'put-into-empty' | 'put-new' | 'overwrite' | 'remove' | 'view' | 'copy' | 'object' | 'miss' | 'range'

/** Whole passes over the data. */
export type Pass = 'scan' | 'scan-reverse' | 'each-row' | 'rows'

interface StoreJob extends OpenRequest {
  /** Entries of the data set. */
  readonly keys: number
  /** Where to write a CPU profile of the measured part. */
  readonly profileDir?: string
}

export interface LoadJob extends StoreJob {
  readonly kind: 'load'
  readonly order: 'sorted' | 'random'
  readonly perTransaction: number
  /** Entries first loaded into a store that is then thrown away, so that the code is compiled; 0 for none. */
  readonly warmupKeys: number
}

export interface MicroJob extends StoreJob {
  readonly kind: 'micro'
  readonly operation: Operation
  readonly operationsPerBatch: number
  readonly batches: number
  readonly warmupBatches: number
  /** Round number: another round takes other keys, the same for every engine. */
  readonly round: number
}

export interface PassJob extends StoreJob {
  readonly kind: 'pass'
  readonly pass: Pass
  readonly repeats: number
}

export interface OpenJob extends StoreJob {
  readonly kind: 'open'
  readonly round: number
}

/** Writes until it is killed. */
export interface CrashJob extends StoreJob {
  readonly kind: 'crash'
  readonly round: number
}

/** What the hardware and the kernel cost without any engine. */
export interface FloorJob {
  readonly kind: 'floor'
  readonly path: string
  readonly repeats: number
  readonly profileDir?: string
}

export type Job = LoadJob | MicroJob | PassJob | OpenJob | CrashJob | FloorJob

export type Metric =
  | 'usPerOperation'
  | 'cpuUsPerOperation'
  | 'usPerOperationP50'
  | 'usPerOperationP99'
  | 'usPerRow'
  | 'cpuUsPerRow'
  | 'usedBytesPerKey'
  | 'fileBytesPerKey'
  | 'openMs'
  | 'openCpuMs'
  | 'msyncPageUs'
  | 'fdatasyncUs'
  | 'copyPageUs'

export interface Measurement {
  readonly metrics: Readonly<Partial<Record<Metric, number>>>
  /** Sum over what was read. Engines doing the same work on the same data must agree. */
  readonly checksum?: number
  readonly notes?: readonly string[]
}

export type ChildMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly measurement: Measurement }
  | { readonly type: 'failed'; readonly error: string }

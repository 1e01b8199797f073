/** What a workload is: for each subject a measurement that is repeated in rounds, and the rows of the table it gives. */
import type { Measurement, Metric } from './jobs.js'
import type { JobRunner } from './fork-job.js'
import type { FloorJob, MicroJob, Operation, Pass } from './jobs.js'
import type { StoreFiles } from './store-files.js'
import { type DataSet } from './store-files.js'
import type { Subject } from './subjects.js'

export type Goal =
  /** The peer costs at least this many times as much. */
  | { readonly kind: 'ratio'; readonly atLeast: number }
  /** The figure itself is at most this. */
  | { readonly kind: 'limit'; readonly atMost: number }

export interface RowSpec {
  readonly title: string
  readonly metric: Metric
  readonly unit: 'us' | 'ms' | 'B'
  readonly subject: string
  readonly peer?: string
  /** Waits for a device: processor time would not count that. */
  readonly onDisk?: boolean
  /** Without one, the row is for information. */
  readonly goal?: Goal
}

export interface Workload {
  readonly id: string
  readonly subjects: readonly string[]
  readonly rows: readonly RowSpec[]
  /** Most rounds, for workloads that take long. */
  readonly maxRounds?: number
  measure(context: RoundContext, subject: Subject): Promise<Measurement>
}

/** What a workload measures with, in one round. */
export class RoundContext {
  constructor(
    readonly keys: number,
    readonly round: number,
    readonly files: StoreFiles,
    readonly diskFiles: StoreFiles,
    private readonly jobs: JobRunner,
    readonly profileDir?: string,
  ) {}

  load(subject: Subject, dataSet: DataSet): Promise<Measurement> {
    return this.files.load(subject, dataSet, this.profileDir)
  }

  /** Single reads of a filled store. */
  async reads(
    subject: Subject,
    operation: Operation,
    dataSet: DataSet,
    shape: { readonly operationsPerBatch: number; readonly batches: number; readonly warmupBatches: number },
  ): Promise<Measurement> {
    const path = await this.files.shared(subject, dataSet)
    return this.jobs.run({ ...this.common(subject, path, dataSet), kind: 'micro', operation, ...shape })
  }

  /** Single durable writes to a filled store's copy. */
  async writes(subject: Subject, operation: Operation, dataSet: DataSet, operations: number): Promise<Measurement> {
    const path = await this.files.copy(subject, dataSet)
    return this.writeBatches(this.files, subject, operation, path, operations)
  }

  /** Single durable writes to a new store. */
  async writesIntoEmpty(files: StoreFiles, subject: Subject, operations: number): Promise<Measurement> {
    return this.writeBatches(files, subject, 'put-into-empty', files.fresh(subject), operations)
  }

  async pass(subject: Subject, pass: Pass, dataSet: DataSet, repeats: number): Promise<Measurement> {
    const path = await this.files.shared(subject, dataSet)
    return this.jobs.run({ ...this.common(subject, path, dataSet), kind: 'pass', pass, repeats })
  }

  async openClean(subject: Subject, dataSet: DataSet): Promise<Measurement> {
    const path = await this.files.shared(subject, dataSet)
    return this.jobs.run({ ...this.common(subject, path, dataSet), kind: 'open' })
  }

  async openKilled(subject: Subject, dataSet: DataSet): Promise<Measurement> {
    const path = await this.files.copy(subject, dataSet)
    try {
      const common = this.common(subject, path, dataSet)
      await this.jobs.runAndKill({ ...common, kind: 'crash' })
      return await this.jobs.run({ ...common, kind: 'open' })
    } finally {
      this.files.discard(path)
    }
  }

  floor(files: StoreFiles, repeats: number): Promise<Measurement> {
    const job: FloorJob = { kind: 'floor', path: files.scratch('floor'), repeats }
    return this.jobs.run(job)
  }

  private async writeBatches(
    files: StoreFiles,
    subject: Subject,
    operation: Operation,
    path: string,
    operations: number,
  ): Promise<Measurement> {
    const operationsPerBatch = Math.max(1, Math.min(100, Math.floor(operations / 20)))
    const batches = Math.floor(operations / operationsPerBatch)
    const job: MicroJob = {
      ...this.common(subject, path, { values: 'binary' }),
      kind: 'micro',
      operation,
      operationsPerBatch,
      batches,
      warmupBatches: Math.ceil(batches / 5),
    }
    try {
      return await this.jobs.run(job)
    } finally {
      files.discard(path)
    }
  }

  private common(
    subject: Subject,
    path: string,
    { values }: Pick<DataSet, 'values'>,
  ): Omit<MicroJob, 'kind' | 'operation' | 'operationsPerBatch' | 'batches' | 'warmupBatches'> {
    return {
      subject,
      path,
      values,
      keys: this.keys,
      round: this.round,
      ...(this.profileDir === undefined ? {} : { profileDir: this.profileDir }),
    }
  }
}

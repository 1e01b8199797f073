/** What a workload is: for each subject a measurement that is repeated in rounds, and the rows of the table it gives. */
import { VALUE_BYTES } from './data.js'
import type { JobRunner } from './fork-job.js'
import type {
  LatencyJob,
  Measurement,
  Metric,
  MicroShape,
  Operation,
  Pass,
  StoreJob,
  Target,
  YcsbJob,
  YcsbMix,
} from './jobs.js'
import type { DataSet, StoreFiles } from './store-files.js'
import type { Subject } from './subjects.js'

export type Goal =
  /** The peer costs at least this many times as much. `step` is an earlier, smaller goal. */
  | { readonly kind: 'ratio'; readonly atLeast: number; readonly step?: number }
  /** The subject costs at most this many times as much as the peer, which is a floor. `step` as above. */
  | { readonly kind: 'multiple'; readonly atMost: number; readonly step?: number }
  /** The figure itself is at most this. */
  | { readonly kind: 'limit'; readonly atMost: number; readonly step?: number }

export type Unit = 'us' | 'ms' | 'B' | 'MiB' | 'x' | ''

export interface RowSpec {
  readonly title: string
  readonly metric: Metric
  readonly unit: Unit
  readonly subject: string
  /** Of several, the one that costs least. */
  readonly peer?: string | readonly string[]
  /** Waits for a device: processor time would not count that. */
  readonly onDisk?: boolean
  /** Without one, the row is for information. */
  readonly goal?: Goal
}

export interface Workload {
  readonly id: string
  /** Measured by default, or only with --full or when named. */
  readonly suite: 'goal' | 'full'
  /** None: the machine itself is measured. */
  readonly subjects: readonly string[]
  readonly rows: readonly RowSpec[]
  /** Most rounds, for workloads that take long. */
  readonly maxRounds?: number
  /** Which chart of the report shows it. */
  readonly chart?: ChartPlace
  measure(context: RoundContext, subject: Subject): Promise<Measurement>
}

/** Charts that are not made of the table's ratios. */
export type ChartPlace =
  /** Metrics with sizes: cost against size, one line a subject. */
  | {
      readonly kind: 'sizes'
      readonly title: string
      readonly lead: string
      readonly unit: Unit
      readonly axis: string
    }
  /** Latency distributions and their course in time. */
  | { readonly kind: 'latency'; readonly title: string; readonly lead: string }

export type DataSetSpec = Partial<DataSet>

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

  /** A data set with what the goal rows have where nothing else is said. */
  dataSet(spec: DataSetSpec = {}): DataSet {
    return { order: 'sorted', keys: this.keys, keyKind: 'string', values: 'binary', valueBytes: VALUE_BYTES, ...spec }
  }

  load(subject: Subject, spec: DataSetSpec): Promise<Measurement> {
    return this.files.load(subject, this.dataSet(spec), this.round, this.profileDir)
  }

  /** Single reads of a filled store. */
  async reads(subject: Subject, operation: Operation, spec: DataSetSpec, shape: MicroShape): Promise<Measurement> {
    const dataSet = this.dataSet(spec)
    const path = await this.files.shared(subject, dataSet)
    return this.jobs.run({ ...this.common(subject, path, dataSet), kind: 'micro', operation, ...shape })
  }

  /** Writes of `operation` to a filled store's copy, or to a new store where the target is empty. */
  async writes(
    files: StoreFiles,
    subject: Subject,
    operation: Operation,
    target: Target,
    spec: DataSetSpec,
    shape: MicroShape,
  ): Promise<Measurement> {
    const dataSet = this.dataSet(spec)
    const warmUpPuts = operation === 'group' ? GROUP_WARM_UP_PUTS : WARM_UP_PUTS
    const measure = (job: StoreJob): Promise<Measurement> =>
      this.jobs.run({ ...job, kind: 'micro', operation, target, ...shape })
    return this.onOwnStore(files, subject, target, dataSet, measure, warmUpPuts)
  }

  /** Durable puts, each timed by itself. */
  async latencies(
    files: StoreFiles,
    subject: Subject,
    target: Target,
    spec: DataSetSpec,
    shape: Pick<LatencyJob, 'operations' | 'warmupOperations' | 'logSizeBytes'>,
  ): Promise<Measurement> {
    const dataSet = this.dataSet(spec)
    return this.onOwnStore(files, subject, target, dataSet, (job) =>
      this.jobs.run({ ...job, kind: 'latency', target, ...shape }),
    )
  }

  async pass(subject: Subject, pass: Pass, spec: DataSetSpec, repeats: number): Promise<Measurement> {
    const dataSet = this.dataSet(spec)
    const path = await this.files.shared(subject, dataSet)
    return this.jobs.run({ ...this.common(subject, path, dataSet), kind: 'pass', pass, repeats })
  }

  async ycsb(
    subject: Subject,
    mix: YcsbMix,
    spec: DataSetSpec,
    shape: Pick<YcsbJob, 'operations' | 'warmupOperations'>,
  ): Promise<Measurement> {
    const dataSet = this.dataSet(spec)
    return this.onOwnStore(this.files, subject, 'existing', dataSet, (job) =>
      this.jobs.run({ ...job, kind: 'ycsb', mix, ...shape }),
    )
  }

  async openClean(subject: Subject, spec: DataSetSpec): Promise<Measurement> {
    const dataSet = this.dataSet(spec)
    const path = await this.files.shared(subject, dataSet)
    return this.jobs.run({ ...this.common(subject, path, dataSet), kind: 'open' })
  }

  async openKilled(subject: Subject, spec: DataSetSpec): Promise<Measurement> {
    const dataSet = this.dataSet(spec)
    return this.onOwnStore(this.files, subject, 'existing', dataSet, async (job) => {
      await this.jobs.runAndKill({ ...job, kind: 'crash' })
      return this.jobs.run({ ...job, kind: 'open' })
    })
  }

  /** A new store that dies after exactly `puts` puts; then opening it. */
  async recovery(files: StoreFiles, subject: Subject, puts: number, logSizeBytes: number): Promise<Measurement> {
    const dataSet = this.dataSet()
    return this.onOwnStore(files, subject, 'empty', dataSet, async (job) => {
      const sized = { ...job, logSizeBytes }
      await this.jobs.runAndKill({ ...sized, kind: 'crash', puts })
      return this.jobs.run({ ...sized, kind: 'open', afterPuts: puts })
    })
  }

  /** What the hardware and the kernel cost in the directory of these files. */
  async floor(files: StoreFiles, subject: Subject, repeats: number): Promise<Measurement> {
    const path = files.fresh(subject)
    try {
      return await this.jobs.run({ kind: 'floor', path, repeats })
    } finally {
      files.discard(path)
    }
  }

  private async onOwnStore<T>(
    files: StoreFiles,
    subject: Subject,
    target: Target,
    dataSet: DataSet,
    use: (job: StoreJob) => Promise<T>,
    warmUpPuts = WARM_UP_PUTS,
  ): Promise<T> {
    const path = target === 'empty' ? files.fresh(subject) : await files.copy(subject, dataSet)
    const common = this.common(subject, path, dataSet)
    // An empty store cannot be warmed up and stay empty, and no store long enough without growing old. In memory also for the
    // disk rows: the code is the same.
    const warmUp = { path: this.files.fresh(subject), puts: putsThatFit(dataSet, warmUpPuts) }
    return use({ ...common, warmUp }).finally(() => {
      files.discard(path)
      this.files.discard(warmUp.path)
    })
  }

  private common(subject: Subject, path: string, dataSet: DataSet): StoreJob {
    const { keys, keyKind, values, valueBytes } = dataSet
    return {
      subject,
      path,
      keys,
      keyKind,
      values,
      valueBytes,
      round: this.round,
      ...(this.profileDir === undefined ? {} : { profileDir: this.profileDir }),
    }
  }
}

/** Of so many puts those that the keys allow, and few enough for large values. */
function putsThatFit({ keys, valueBytes }: DataSet, puts: number): number {
  return Math.min(puts, Math.floor(keys / 2), Math.ceil(WARM_UP_BYTES / valueBytes))
}

/** Puts after which V8 has compiled what a put runs through. */
const WARM_UP_PUTS = 40_000
/** The same for puts in groups: a put takes 1.25 times as long after 20,000, and after 200,000 as long as after these. */
const GROUP_WARM_UP_PUTS = 100_000
const WARM_UP_BYTES = 64 * 1024 * 1024

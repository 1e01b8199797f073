/** The files of a run: filled stores that several workloads share, and copies for those that change them. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ValueKind } from './data.js'
import type { JobRunner } from './fork-job.js'
import type { LoadJob, Measurement } from './jobs.js'
import type { Subject } from './subjects.js'

export type LoadOrder = LoadJob['order']

export interface DataSet {
  readonly order: LoadOrder
  readonly values: ValueKind
}

/** lmdb makes a single file only when the path has an extension; level wants a directory. */
const FILE_NAMES = { daxkv: 'store.pool', lmdb: 'store.mdb', sqlite: 'store.db', level: 'store' } as const

export const KEYS_PER_TRANSACTION = 10_000
const LOAD_WARMUP_KEYS = 50_000

export class StoreFiles {
  private readonly root: string
  private readonly filled = new Map<string, string>()
  private serial = 0

  constructor(
    directory: string,
    private readonly keys: number,
    private readonly jobs: JobRunner,
    private readonly report: (line: string) => void,
  ) {
    mkdirSync(directory, { recursive: true })
    this.root = mkdtempSync(join(directory, 'daxkv-bench-'))
  }

  /** Path for a store that does not exist yet, in a directory of its own. */
  fresh(subject: Subject): string {
    const directory = join(this.root, String(this.serial++))
    mkdirSync(directory)
    return join(directory, FILE_NAMES[subject.engine])
  }

  /** A file for other purposes. */
  scratch(name: string): string {
    return join(this.root, name)
  }

  /** Fills a new store and keeps the first of each kind for the workloads that come after. */
  async load(subject: Subject, dataSet: DataSet, profileDir?: string): Promise<Measurement> {
    const path = this.fresh(subject)
    const measurement = await this.jobs.run({
      kind: 'load',
      subject,
      path,
      keys: this.keys,
      perTransaction: KEYS_PER_TRANSACTION,
      warmupKeys: Math.min(LOAD_WARMUP_KEYS, this.keys),
      ...dataSet,
      ...(profileDir === undefined ? {} : { profileDir }),
    })
    const key = keyOf(subject, dataSet)
    if (this.filled.has(key)) this.discard(path)
    else this.filled.set(key, path)
    return measurement
  }

  /** A filled store to be read only. */
  async shared(subject: Subject, dataSet: DataSet): Promise<string> {
    const key = keyOf(subject, dataSet)
    if (!this.filled.has(key)) {
      this.report(`filling ${subject.label}, ${dataSet.order}, ${dataSet.values} values`)
      await this.load(subject, dataSet)
    }
    return this.filled.get(key) as string
  }

  /** A filled store of one's own. */
  async copy(subject: Subject, dataSet: DataSet): Promise<string> {
    const from = await this.shared(subject, dataSet)
    const to = this.fresh(subject)
    cpSync(from, to, { recursive: true })
    return to
  }

  /** Removes a store with everything beside it. */
  discard(path: string): void {
    rmSync(dirname(path), { recursive: true, force: true })
  }

  removeAll(): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}

function keyOf(subject: Subject, { order, values }: DataSet): string {
  return `${subject.format}/${order}/${values}`
}

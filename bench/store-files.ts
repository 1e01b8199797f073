/** The files of a run: filled stores that several workloads share, and copies for those that change them. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { VALUE_BYTES, type Shape } from './data.js'
import type { JobRunner } from './fork-job.js'
import type { LoadJob, Measurement } from './jobs.js'
import type { EngineName, Subject } from './subjects.js'
import { Unavailable } from './unavailable.js'

export type LoadOrder = LoadJob['order']

/** What a store is filled with. */
export interface DataSet extends Shape {
  readonly order: LoadOrder
  readonly keys: number
}

/** lmdb makes a single file only when the path has an extension; level wants a directory. */
const FILE_NAMES: Readonly<Record<EngineName, string>> = {
  daxkv: 'store.pool',
  lmdb: 'store.mdb',
  sqlite: 'store.db',
  level: 'store',
  'json-file': 'store.json',
  'lmdb-c': 'store.mdb',
  pmemobj: 'store.obj',
  floor: 'floor',
}

export const KEYS_PER_TRANSACTION = 10_000
const LOAD_WARMUP_KEYS = 50_000
/** Room that must be free beyond the expected size of a store: for its copies, and its peers. */
const FREE_FACTOR = 3
/** What an engine adds to key and value, at most, on average. */
const OVERHEAD_BYTES = 200

export class StoreFiles {
  private readonly root: string
  private readonly filled = new Map<string, string>()
  private serial = 0

  constructor(
    directory: string,
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

  /** Fills a new store and keeps the first of each kind for the workloads that come after. */
  async load(subject: Subject, dataSet: DataSet, round: number, profileDir?: string): Promise<Measurement> {
    this.requireRoom(dataSet)
    const path = this.fresh(subject)
    const measurement = await this.jobs.run({
      kind: 'load',
      subject,
      path,
      round,
      perTransaction: KEYS_PER_TRANSACTION,
      warmupKeys: Math.min(LOAD_WARMUP_KEYS, dataSet.keys),
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
      this.report(`filling ${subject.label}: ${String(dataSet.keys)} keys, ${dataSet.order}, ${dataSet.values} values`)
      await this.load(subject, dataSet, 0)
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

  /** A full disk would fail engines that are not to blame. */
  private requireRoom({ keys, valueBytes }: DataSet): void {
    const { bavail, bsize } = statfsSync(this.root)
    const neededBytes = keys * (valueBytes + OVERHEAD_BYTES) * FREE_FACTOR
    if (bavail * bsize < neededBytes) {
      throw new Unavailable(
        `${String(keys)} keys need ${gib(neededBytes)} GiB free in the stores' directory, there are ${gib(bavail * bsize)}`,
      )
    }
  }
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1)
}

function keyOf(subject: Subject, { order, keys, keyKind, values, valueBytes }: DataSet): string {
  return [subject.format, order, keys, keyKind, values, values === 'object' ? VALUE_BYTES : valueBytes].join('/')
}

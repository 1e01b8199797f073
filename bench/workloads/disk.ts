import type { RowSpec, Workload } from '../workload.js'
import { atLeast, atMostTimes, DISK_WRITES, manyWrites, mixed, onDisk, perOperation, writes } from './shapes.js'
import { latencyRows } from './writes.js'

const OUTSTANDING = 1000
/** A hundred groups: of twenty, a tenth of a second in all, the compiler is a good part. */
const GROUP_PUTS = 100_000
const RELAXED_PUTS = 20_000
/** Enough for several checkpoints: each commit takes at least a page of the log, 16 MiB by default. */
const LATENCY_PUTS = 8000
const FULL_ROUNDS = 3

const checkpointRow = (title: string, metric: RowSpec['metric']): RowSpec =>
  onDisk({ title, metric, unit: 'us', subject: 'daxkv-detected' })

/** Stores on a device, in `--disk-dir`. daxkv runs as the file system allows: msync on most. */
export const diskWrites: readonly Workload[] = [
  {
    id: 'put-disk',
    suite: 'goal',
    subjects: ['daxkv-detected', 'sqlite', 'lmdb', 'msync-floor'],
    rows: [
      onDisk(perOperation('durable put, disk', 'daxkv-detected', 'sqlite', atLeast(1.3, 1.2))),
      onDisk(perOperation('durable put, disk', 'daxkv-detected', 'lmdb', atLeast(2))),
      onDisk(perOperation('durable put, disk', 'daxkv-detected', 'msync-floor', atMostTimes(1.25, 1.3))),
      onDisk({
        ...perOperation('durable put, disk, median batch', 'daxkv-detected', 'sqlite'),
        metric: 'usPerOperationP50',
      }),
      onDisk({
        ...perOperation('durable put, disk, median batch', 'daxkv-detected', 'msync-floor'),
        metric: 'usPerOperationP50',
      }),
      onDisk({
        ...perOperation('bytes written to the device a put', 'daxkv-detected', 'sqlite'),
        metric: 'writtenBytesPerOperation',
        unit: 'B',
      }),
      onDisk({
        ...perOperation('synchronous waits a put, disk', 'daxkv-detected', undefined),
        metric: 'syncsPerCommit',
        unit: '',
      }),
    ],
    measure: (context, subject) =>
      subject.engine === 'floor'
        ? context.floor(context.diskFiles, subject, DISK_WRITES)
        : context.writes(context.diskFiles, subject, 'put', 'empty', {}, writes(context, DISK_WRITES)),
  },
  {
    id: 'group-1000-disk',
    suite: 'goal',
    subjects: ['daxkv-detected', 'lmdb', 'level'],
    rows: [
      onDisk(perOperation('1,000 outstanding puts, disk, a put', 'daxkv-detected', 'lmdb', atLeast(3, 2))),
      onDisk(perOperation('1,000 outstanding puts / batch(1000), disk', 'daxkv-detected', 'level', atLeast(3, 2))),
    ],
    measure: (context, subject) =>
      context.writes(context.diskFiles, subject, 'group', 'empty', {}, manyWrites(context, OUTSTANDING, GROUP_PUTS)),
  },
  {
    id: 'put-relaxed-disk',
    suite: 'goal',
    subjects: ['daxkv-relaxed', 'sqlite-normal'],
    rows: [onDisk(perOperation('relaxed put, disk', 'daxkv-relaxed', 'sqlite-normal', atLeast(3)))],
    measure: (context, subject) =>
      context.writes(context.diskFiles, subject, 'put', 'empty', {}, writes(context, RELAXED_PUTS)),
  },
  {
    id: 'checkpoint-latency',
    suite: 'goal',
    subjects: ['daxkv-detected', 'sqlite'],
    maxRounds: FULL_ROUNDS,
    chart: {
      kind: 'latency',
      title: 'Latency, disk',
      lead: 'Durable puts into an empty store on disk, each timed by itself, one after another, checkpoints included.',
    },
    rows: [
      ...latencyRows('durable put, disk', 'daxkv-detected', 'sqlite').map(onDisk),
      checkpointRow('commits around checkpoints, disk: p50', 'checkpointP50Us'),
      checkpointRow('commits around checkpoints, disk: p99', 'checkpointP99Us'),
      checkpointRow('commits around checkpoints, disk: longest', 'checkpointMaxUs'),
    ],
    measure: (context, subject) =>
      context.latencies(context.diskFiles, subject, 'empty', {}, mixed(context, LATENCY_PUTS)),
  },
  ...[1, 16, 256].map((outstanding): Workload => ({
    id: `group-${String(outstanding)}-disk`,
    suite: 'full',
    subjects: ['daxkv-detected', 'lmdb', 'level', 'sqlite'],
    maxRounds: FULL_ROUNDS,
    rows: ['lmdb', 'level', 'sqlite'].map((peer) =>
      onDisk(perOperation(`${String(outstanding)} outstanding puts, disk, a put`, 'daxkv-detected', peer)),
    ),
    measure: (context, subject) =>
      context.writes(
        context.diskFiles,
        subject,
        'group',
        'empty',
        {},
        manyWrites(context, outstanding, outstanding === 1 ? DISK_WRITES : GROUP_PUTS),
      ),
  })),
  {
    id: 'put-relaxed-disk-peers',
    suite: 'full',
    subjects: ['daxkv-relaxed', 'lmdb-nosync', 'level-async'],
    maxRounds: FULL_ROUNDS,
    rows: [
      onDisk(perOperation('relaxed put, disk', 'daxkv-relaxed', 'lmdb-nosync')),
      onDisk(perOperation('relaxed put, disk', 'daxkv-relaxed', 'level-async')),
    ],
    measure: (context, subject) =>
      context.writes(context.diskFiles, subject, 'put', 'empty', {}, writes(context, RELAXED_PUTS)),
  },
  {
    id: 'put-disk-variants',
    suite: 'full',
    subjects: ['daxkv-detected', 'daxkv-page-undo', 'daxkv-portable', 'msync-floor', 'level'],
    maxRounds: FULL_ROUNDS,
    rows: [
      onDisk(perOperation('durable put, disk', 'daxkv-detected', 'level')),
      onDisk(perOperation('durable put, disk, undo log', 'daxkv-page-undo', 'daxkv-detected')),
      onDisk(perOperation('durable put, disk, portable executor', 'daxkv-portable', 'daxkv-detected')),
      onDisk(perOperation('durable put, disk, portable executor', 'daxkv-portable', 'msync-floor')),
    ],
    measure: (context, subject) =>
      subject.engine === 'floor'
        ? context.floor(context.diskFiles, subject, DISK_WRITES)
        : context.writes(context.diskFiles, subject, 'put', 'empty', {}, writes(context, DISK_WRITES)),
  },
]

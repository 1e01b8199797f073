import type { RoundContext, RowSpec, Workload } from '../workload.js'
import type { Measurement } from '../jobs.js'
import type { Subject } from '../subjects.js'
import { atLeast, atMost, FILLED_WRITES, manyWrites, mixed, perOperation, WRITES, writes } from './shapes.js'

const RANDOM = { order: 'random' } as const
const FULL_ROUNDS = 3

const fences = (title: string, subject: string, most: number): RowSpec => ({
  title,
  metric: 'fencesPerCommit',
  unit: '',
  subject,
  goal: atMost(most),
})

const intoEmpty = (context: RoundContext, subject: Subject): Promise<Measurement> =>
  context.writes(context.files, subject, 'put', 'empty', {}, writes(context, WRITES))

const intoFilled =
  (operation: 'put' | 'remove', target: 'new' | 'existing') =>
  (context: RoundContext, subject: Subject): Promise<Measurement> =>
    context.writes(context.files, subject, operation, target, RANDOM, writes(context, FILLED_WRITES))

/** Durable writes on tmpfs, one a transaction unless said. */
export const durableWrites: readonly Workload[] = [
  {
    id: 'put-empty',
    suite: 'goal',
    subjects: ['daxkv', 'lmdb-writemap', 'lmdb-c', 'pmemobj'],
    rows: [
      perOperation('durable put, from empty', 'daxkv', 'lmdb-writemap', atLeast(6, 3)),
      {
        ...perOperation('durable put, from empty, median batch', 'daxkv', 'lmdb-writemap'),
        metric: 'usPerOperationP50',
      },
      {
        ...perOperation('... of it growth of the file, a put', 'daxkv', undefined),
        metric: 'growthUsPerOperation',
      },
      {
        ...perOperation('... longest batch with a growth', 'daxkv', undefined),
        metric: 'growthLongestMs',
        unit: 'ms',
      },
      perOperation('durable put, from empty', 'daxkv', 'lmdb-c', atLeast(1.5)),
      perOperation('durable put, from empty', 'daxkv', 'pmemobj', atLeast(3)),
    ],
    measure: intoEmpty,
  },
  {
    id: 'put-into-filled',
    suite: 'goal',
    subjects: ['daxkv', 'lmdb-writemap'],
    rows: [
      perOperation('durable put, into filled', 'daxkv', 'lmdb-writemap', atLeast(3)),
      {
        ...perOperation('durable put, into filled, median batch', 'daxkv', 'lmdb-writemap'),
        metric: 'usPerOperationP50',
      },
    ],
    measure: intoFilled('put', 'new'),
  },
  {
    id: 'overwrite',
    suite: 'goal',
    subjects: ['daxkv', 'daxkv-redo', 'sqlite', 'pmemobj'],
    rows: [
      perOperation('durable overwrite', 'daxkv', 'sqlite', atLeast(6, 4)),
      perOperation('durable overwrite', 'daxkv', 'pmemobj', atLeast(1.3)),
      perOperation('durable overwrite, redo', 'daxkv-redo', 'daxkv'),
      fences('fences a durable overwrite, undo', 'daxkv', 2),
      fences('fences a durable overwrite, redo', 'daxkv-redo', 1),
    ],
    measure: intoFilled('put', 'existing'),
  },
  {
    id: 'transaction-1000',
    suite: 'goal',
    subjects: ['daxkv', 'daxkv-redo', 'lmdb-writemap', 'sqlite'],
    maxRounds: FULL_ROUNDS,
    rows: [
      fences('fences a transaction of 1,000 overwrites, undo', 'daxkv', 2),
      fences('fences a transaction of 1,000 overwrites, redo', 'daxkv-redo', 1),
      perOperation('transactions of 1,000 overwrites, a put', 'daxkv', ['lmdb-writemap', 'sqlite']),
    ],
    measure: (context, subject) =>
      context.writes(
        context.files,
        subject,
        'transaction',
        'existing',
        RANDOM,
        manyWrites(context, 1000, FILLED_WRITES),
      ),
  },
  {
    id: 'delete',
    suite: 'goal',
    subjects: ['daxkv', 'lmdb'],
    rows: [perOperation('durable delete', 'daxkv', 'lmdb', atLeast(8))],
    measure: intoFilled('remove', 'existing'),
  },
  {
    id: 'put-latency',
    suite: 'goal',
    subjects: ['daxkv', 'lmdb-writemap', 'sqlite'],
    maxRounds: FULL_ROUNDS,
    chart: {
      kind: 'latency',
      title: 'Latency, memory',
      lead: 'Durable puts into an empty store in memory, each timed by itself, one after another.',
    },
    rows: latencyRows('durable put, from empty', 'daxkv', 'lmdb-writemap'),
    measure: (context, subject) => context.latencies(context.files, subject, 'empty', {}, mixed(context, WRITES / 2)),
  },
]

/** p50, p99, p99.9 and the longest, each beside a peer's. */
export function latencyRows(title: string, subject: string, peer: string): RowSpec[] {
  const percentiles = [
    ['p50', 'latencyP50Us'],
    ['p99', 'latencyP99Us'],
    ['p99.9', 'latencyP999Us'],
    ['longest', 'latencyMaxUs'],
  ] as const
  return percentiles.map(([name, metric]) => ({ title: `${title}: ${name}`, metric, unit: 'us', subject, peer }))
}

import type { Measurement } from '../jobs.js'
import type { Subject } from '../subjects.js'
import type { RoundContext, Workload } from '../workload.js'
import { FILLED_WRITES, manyWrites, perOperation, WRITES, writes } from './shapes.js'

const RANDOM = { order: 'random' } as const
const ROUNDS = 3
const WRITERS = ['daxkv', 'lmdb-writemap', 'sqlite', 'level']
const JSON_KEYS = 10_000
const JSON_WRITES = 60
const MIB = 2 ** 20
/** Value sizes of the matrix, and how many bytes of values one measurement writes at most. */
const VALUE_SIZES = [
  { bytes: 16, name: '16 B' },
  { bytes: 4096, name: '4 KiB' },
  { bytes: MIB, name: '1 MiB' },
]
const VALUES_TOTAL_BYTES = 256 * MIB

const peersOf = (subjects: readonly string[], title: string): Workload['rows'] =>
  subjects.slice(1).map((peer) => perOperation(title, subjects[0], peer))

/** The rest of the matrix: other engines, granularities, logging policies, keys, values and sizes of transactions. */
export const matrix: readonly Workload[] = [
  {
    id: 'put-empty-peers',
    suite: 'full',
    subjects: ['daxkv', 'sqlite', 'level', 'lmdb', 'lmdb-nosync', 'sqlite-normal', 'level-async'],
    maxRounds: ROUNDS,
    rows: [
      ...peersOf(['daxkv', 'sqlite', 'level', 'lmdb'], 'durable put, from empty'),
      ...peersOf(['daxkv', 'lmdb-nosync', 'sqlite-normal', 'level-async'], 'durable put / not durable'),
    ],
    measure: (context, subject) => context.writes(context.files, subject, 'put', 'empty', {}, writes(context, WRITES)),
  },
  {
    id: 'put-empty-variants',
    suite: 'full',
    subjects: ['daxkv', 'daxkv-redo', 'daxkv-byte', 'daxkv-page', 'daxkv-page-undo'],
    maxRounds: ROUNDS,
    rows: ['daxkv-redo', 'daxkv-byte', 'daxkv-page', 'daxkv-page-undo'].map((subject) =>
      perOperation('durable put, from empty', subject, 'daxkv'),
    ),
    measure: (context, subject) => context.writes(context.files, subject, 'put', 'empty', {}, writes(context, WRITES)),
  },
  {
    id: 'delete-peers',
    suite: 'full',
    subjects: ['daxkv', 'lmdb-writemap', 'sqlite', 'level', 'lmdb-c'],
    maxRounds: ROUNDS,
    rows: peersOf(['daxkv', 'lmdb-writemap', 'sqlite', 'level', 'lmdb-c'], 'durable delete'),
    measure: (context, subject) =>
      context.writes(context.files, subject, 'remove', 'existing', RANDOM, writes(context, FILLED_WRITES)),
  },
  {
    id: 'overwrite-peers',
    suite: 'full',
    subjects: ['daxkv', 'lmdb-writemap', 'level', 'lmdb-c'],
    maxRounds: ROUNDS,
    rows: peersOf(['daxkv', 'lmdb-writemap', 'level', 'lmdb-c'], 'durable overwrite'),
    measure: (context, subject) =>
      context.writes(context.files, subject, 'put', 'existing', RANDOM, writes(context, FILLED_WRITES)),
  },
  {
    id: 'put-binary-key',
    suite: 'full',
    subjects: WRITERS,
    maxRounds: ROUNDS,
    rows: peersOf(WRITERS, 'durable put, from empty, binary keys'),
    measure: (context, subject) =>
      context.writes(context.files, subject, 'put', 'empty', { keyKind: 'binary' }, writes(context, FILLED_WRITES)),
  },
  ...VALUE_SIZES.map(({ bytes, name }): Workload => ({
    id: `put-value-${name.replace(' ', '').toLowerCase()}`,
    suite: 'full',
    subjects: WRITERS,
    maxRounds: ROUNDS,
    rows: peersOf(WRITERS, `durable put, from empty, values of ${name}`),
    measure: (context, subject) =>
      context.writes(
        context.files,
        subject,
        'put',
        'empty',
        { valueBytes: bytes },
        writes(context, Math.min(FILLED_WRITES, VALUES_TOTAL_BYTES / bytes)),
      ),
  })),
  ...[10, 100].map((rows): Workload => ({
    id: `transaction-${String(rows)}`,
    suite: 'full',
    subjects: WRITERS,
    maxRounds: ROUNDS,
    rows: peersOf(WRITERS, `transactions of ${String(rows)} overwrites, a put`),
    measure: (context, subject) =>
      context.writes(
        context.files,
        subject,
        'transaction',
        'existing',
        RANDOM,
        manyWrites(context, rows, FILLED_WRITES),
      ),
  })),
  {
    id: 'group-1000-memory',
    suite: 'full',
    subjects: WRITERS,
    maxRounds: ROUNDS,
    rows: peersOf(WRITERS, '1,000 outstanding puts, a put'),
    measure: (context, subject) =>
      context.writes(context.files, subject, 'group', 'empty', {}, manyWrites(context, 1000, FILLED_WRITES)),
  },
  {
    id: 'json-file',
    suite: 'full',
    subjects: ['daxkv', 'json-file'],
    maxRounds: ROUNDS,
    rows: peersOf(['daxkv', 'json-file'], 'durable overwrite, at most 10,000 keys, strings'),
    measure: (context: RoundContext, subject: Subject): Promise<Measurement> => {
      const keys = Math.min(context.keys, JSON_KEYS)
      return context.writes(
        context.files,
        subject,
        'put',
        'existing',
        { keys, values: 'string' },
        writes(context, JSON_WRITES),
      )
    },
  },
]

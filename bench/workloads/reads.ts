import type { Workload } from '../workload.js'
import { atLeast, perOperation, perRow, ranges, reads } from './shapes.js'

const SORTED = { order: 'sorted' } as const
const OBJECTS = { order: 'sorted', values: 'object' } as const
export const RANGE_ROWS = 100
const PASSES = 2
/** Whole passes, which take seconds, and what no goal hangs on. */
const FEW_ROUNDS = 3

/** Reads of a store that was filled in order, unless said. */
export const pointReads: readonly Workload[] = [
  {
    id: 'get-view',
    suite: 'goal',
    subjects: ['daxkv', 'lmdb', 'lmdb-c'],
    rows: [
      perOperation('get, withView / getBinaryFast', 'daxkv', 'lmdb', atLeast(2.2, 2)),
      perOperation('get, withView / C loop over LMDB', 'daxkv', 'lmdb-c'),
    ],
    measure: (context, subject) => context.reads(subject, 'view', SORTED, reads(context)),
  },
  {
    id: 'get-copy',
    suite: 'goal',
    subjects: ['daxkv', 'lmdb'],
    rows: [perOperation('get, copied Buffer', 'daxkv', 'lmdb', atLeast(2.4))],
    measure: (context, subject) => context.reads(subject, 'copy', SORTED, reads(context)),
  },
  {
    id: 'get-object',
    suite: 'goal',
    subjects: ['daxkv', 'lmdb'],
    rows: [perOperation('get of an object (msgpack)', 'daxkv', 'lmdb', atLeast(2.2, 2))],
    measure: (context, subject) => context.reads(subject, 'decoded', OBJECTS, reads(context)),
  },
  {
    id: 'get-miss',
    suite: 'goal',
    subjects: ['daxkv', 'lmdb'],
    rows: [perOperation('get, miss', 'daxkv', 'lmdb', atLeast(2))],
    measure: (context, subject) => context.reads(subject, 'miss', SORTED, reads(context)),
  },
  {
    id: 'get-copy-peers',
    suite: 'full',
    subjects: ['daxkv', 'sqlite', 'level'],
    maxRounds: FEW_ROUNDS,
    rows: [perOperation('get, copied Buffer', 'daxkv', 'sqlite'), perOperation('get, copied Buffer', 'daxkv', 'level')],
    measure: (context, subject) => context.reads(subject, 'copy', SORTED, reads(context)),
  },
  {
    id: 'get-object-shared',
    suite: 'full',
    subjects: ['daxkv', 'lmdb-shared'],
    rows: [perOperation('get of an object (msgpack)', 'daxkv', 'lmdb-shared')],
    measure: (context, subject) => context.reads(subject, 'decoded', OBJECTS, reads(context)),
  },
  {
    id: 'get-view-utf8',
    suite: 'full',
    subjects: ['daxkv-utf8', 'daxkv', 'lmdb'],
    rows: [
      perOperation('get, withView, utf8 keys', 'daxkv-utf8', 'daxkv'),
      perOperation('get, withView, utf8 keys', 'daxkv-utf8', 'lmdb'),
    ],
    measure: (context, subject) => context.reads(subject, 'view', SORTED, reads(context)),
  },
  {
    id: 'get-view-random-load',
    suite: 'full',
    subjects: ['daxkv', 'lmdb', 'lmdb-c', 'pmemobj', 'level'],
    rows: [
      perOperation('get, withView / getBinaryFast, loaded randomly', 'daxkv', 'lmdb'),
      perOperation('get, loaded randomly', 'daxkv', 'lmdb-c'),
      perOperation('get, loaded randomly', 'daxkv', 'pmemobj'),
      perOperation('get, loaded randomly', 'daxkv', 'level'),
    ],
    measure: (context, subject) => context.reads(subject, 'view', { order: 'random' }, reads(context)),
  },
  {
    id: 'get-string',
    suite: 'full',
    subjects: ['daxkv', 'lmdb', 'sqlite', 'level'],
    rows: [
      perOperation('get of a string', 'daxkv', 'lmdb'),
      perOperation('get of a string', 'daxkv', 'sqlite'),
      perOperation('get of a string', 'daxkv', 'level'),
    ],
    measure: (context, subject) => context.reads(subject, 'decoded', { values: 'string' }, reads(context)),
  },
  {
    id: 'get-binary-key',
    suite: 'full',
    subjects: ['daxkv', 'lmdb', 'sqlite', 'level'],
    rows: [
      perOperation('get by a binary key', 'daxkv', 'lmdb'),
      perOperation('get by a binary key', 'daxkv', 'sqlite'),
      perOperation('get by a binary key', 'daxkv', 'level'),
    ],
    measure: (context, subject) => context.reads(subject, 'view', { keyKind: 'binary' }, reads(context)),
  },
]

/** Whole passes and short ranges. */
export const scans: readonly Workload[] = [
  {
    id: 'scan',
    suite: 'goal',
    subjects: ['daxkv', 'lmdb', 'lmdb-c'],
    maxRounds: FEW_ROUNDS,
    rows: [perRow('full scan, a row', 'daxkv', 'lmdb', atLeast(12, 10)), perRow('full scan, a row', 'daxkv', 'lmdb-c')],
    measure: (context, subject) => context.pass(subject, 'scan', SORTED, PASSES),
  },
  {
    id: 'range-100',
    suite: 'goal',
    subjects: ['daxkv', 'lmdb'],
    rows: [perOperation('100-row range', 'daxkv', 'lmdb', atLeast(8, 6))],
    measure: (context, subject) => context.reads(subject, 'range', SORTED, ranges(context, RANGE_ROWS)),
  },
  {
    id: 'rows-object',
    suite: 'goal',
    subjects: ['daxkv', 'lmdb'],
    maxRounds: FEW_ROUNDS,
    rows: [perRow('range() of objects (msgpack), a row', 'daxkv', 'lmdb', atLeast(3))],
    measure: (context, subject) => context.pass(subject, 'rows', OBJECTS, PASSES),
  },
  {
    id: 'scan-decoded',
    suite: 'full',
    subjects: ['daxkv', 'lmdb', 'sqlite', 'level'],
    maxRounds: FEW_ROUNDS,
    rows: [
      perRow('forEach: keys decoded, Buffers copied', 'daxkv', 'lmdb'),
      perRow('forEach: keys decoded, Buffers copied', 'daxkv', 'sqlite'),
      perRow('forEach: keys decoded, Buffers copied', 'daxkv', 'level'),
    ],
    measure: (context, subject) => context.pass(subject, 'each-row', SORTED, PASSES),
  },
  {
    id: 'scan-reverse',
    suite: 'full',
    subjects: ['daxkv', 'lmdb', 'sqlite', 'level'],
    maxRounds: FEW_ROUNDS,
    rows: [
      perRow('full scan, reverse, a row', 'daxkv', 'lmdb'),
      perRow('full scan, reverse, a row', 'daxkv', 'sqlite'),
      perRow('full scan, reverse, a row', 'daxkv', 'level'),
    ],
    measure: (context, subject) => context.pass(subject, 'scan-reverse', SORTED, PASSES),
  },
  {
    id: 'scan-random-load',
    suite: 'full',
    subjects: ['daxkv', 'lmdb', 'lmdb-c', 'pmemobj'],
    maxRounds: FEW_ROUNDS,
    rows: [
      perRow('full scan, loaded randomly, a row', 'daxkv', 'lmdb'),
      perRow('full scan, loaded randomly, a row', 'daxkv', 'lmdb-c'),
      perRow('full scan, loaded randomly, a row', 'daxkv', 'pmemobj'),
    ],
    measure: (context, subject) => context.pass(subject, 'scan', { order: 'random' }, PASSES),
  },
  {
    id: 'range-100-reverse',
    suite: 'full',
    subjects: ['daxkv', 'lmdb', 'sqlite', 'level'],
    maxRounds: FEW_ROUNDS,
    rows: [
      perOperation('100-row range, reverse', 'daxkv', 'lmdb'),
      perOperation('100-row range, reverse', 'daxkv', 'sqlite'),
      perOperation('100-row range, reverse', 'daxkv', 'level'),
    ],
    measure: (context, subject) => context.reads(subject, 'range-reverse', SORTED, ranges(context, RANGE_ROWS)),
  },
]

/** The default run: the workloads with their goals, in the order of the table. */
import type { DataSet } from './store-files.js'
import type { RoundContext, Workload } from './workload.js'

const SORTED: DataSet = { order: 'sorted', values: 'binary' }
const RANDOM: DataSet = { order: 'random', values: 'binary' }
const OBJECTS: DataSet = { order: 'sorted', values: 'object' }

/** Durable writes a round, at most: into an empty store, and to a filled one, where each costs some peers ten times more. */
const WRITES = 100_000
const FILLED_WRITES = 40_000
const DISK_WRITES = 1000
const LONGEST_GETS = { operationsPerBatch: 1000, batches: 400, warmupBatches: 150 }
const LONGEST_RANGES = { operationsPerBatch: 10, batches: 1000, warmupBatches: 200 }
/** Loads in random order take lmdb and sqlite ten seconds a million. */
const RANDOM_LOAD_ROUNDS = 2
/** Whole passes that no goal hangs on. */
const INFORMATION_ROUNDS = 2
const PASSES = 2

/** A fifth more is written for warming up, and each key once only: stay below the data set's size. */
const writesOf = (context: RoundContext, most: number): number => Math.min(most, Math.floor(context.keys / 2))

const getsOf = ({ keys }: RoundContext): typeof LONGEST_GETS =>
  keys >= 100_000 ? LONGEST_GETS : { operationsPerBatch: 100, batches: 50, warmupBatches: 20 }

const rangesOf = ({ keys }: RoundContext): typeof LONGEST_RANGES =>
  keys >= 100_000 ? LONGEST_RANGES : { operationsPerBatch: 10, batches: 20, warmupBatches: 5 }

export const workloads: readonly Workload[] = [
  {
    id: 'floor-memory',
    subjects: [],
    rows: [
      { title: 'floor: copy of one page', metric: 'copyPageUs', unit: 'us', subject: 'machine' },
      { title: 'floor: msync of one page, memory', metric: 'msyncPageUs', unit: 'us', subject: 'machine' },
    ],
    measure: (context) => context.floor(context.files, 2000),
  },
  {
    id: 'floor-disk',
    subjects: [],
    rows: [
      { title: 'floor: msync of one page, disk', metric: 'msyncPageUs', unit: 'us', subject: 'machine' },
      { title: 'floor: write + fdatasync of one page, disk', metric: 'fdatasyncUs', unit: 'us', subject: 'machine' },
    ],
    measure: (context) => context.floor(context.diskFiles, 300),
  },
  {
    id: 'load-sorted',
    subjects: ['daxkv', 'lmdb', 'lmdb-writemap', 'sqlite'],
    rows: [
      {
        title: 'load sorted, 10k a transaction',
        metric: 'usPerRow',
        unit: 'us',
        subject: 'daxkv',
        peer: 'lmdb',
        goal: { kind: 'ratio', atLeast: 1.5 },
      },
      { title: 'load sorted', metric: 'usPerRow', unit: 'us', subject: 'daxkv', peer: 'lmdb-writemap' },
      { title: 'load sorted', metric: 'usPerRow', unit: 'us', subject: 'daxkv', peer: 'sqlite' },
      {
        title: 'bytes a key, sorted (pages in use)',
        metric: 'usedBytesPerKey',
        unit: 'B',
        subject: 'daxkv',
        goal: { kind: 'limit', atMost: 145 },
      },
      { title: 'bytes a key, sorted (file)', metric: 'fileBytesPerKey', unit: 'B', subject: 'daxkv', peer: 'lmdb' },
    ],
    measure: (context, subject) => context.load(subject, SORTED),
  },
  {
    id: 'load-random',
    subjects: ['daxkv', 'lmdb', 'sqlite'],
    maxRounds: RANDOM_LOAD_ROUNDS,
    rows: [
      { title: 'load random, 10k a transaction', metric: 'usPerRow', unit: 'us', subject: 'daxkv', peer: 'lmdb' },
      { title: 'load random', metric: 'usPerRow', unit: 'us', subject: 'daxkv', peer: 'sqlite' },
      {
        title: 'bytes a key, random (pages in use)',
        metric: 'usedBytesPerKey',
        unit: 'B',
        subject: 'daxkv',
        goal: { kind: 'limit', atMost: 200 },
      },
      { title: 'bytes a key, random (file)', metric: 'fileBytesPerKey', unit: 'B', subject: 'daxkv', peer: 'lmdb' },
    ],
    measure: (context, subject) => context.load(subject, RANDOM),
  },
  {
    id: 'put-empty',
    subjects: ['daxkv', 'lmdb-writemap', 'sqlite', 'level'],
    rows: [
      {
        title: 'durable put, random, from empty',
        metric: 'usPerOperation',
        unit: 'us',
        subject: 'daxkv',
        peer: 'lmdb-writemap',
        goal: { kind: 'ratio', atLeast: 3 },
      },
      {
        title: 'durable put, from empty, median batch',
        metric: 'usPerOperationP50',
        unit: 'us',
        subject: 'daxkv',
        peer: 'lmdb-writemap',
      },
      { title: 'durable put, from empty', metric: 'usPerOperation', unit: 'us', subject: 'daxkv', peer: 'sqlite' },
      { title: 'durable put, from empty', metric: 'usPerOperation', unit: 'us', subject: 'daxkv', peer: 'level' },
    ],
    measure: (context, subject) => context.writesIntoEmpty(context.files, subject, writesOf(context, WRITES)),
  },
  {
    id: 'put-into-filled',
    subjects: ['daxkv', 'lmdb-writemap', 'sqlite'],
    rows: [
      {
        title: 'durable put, random, into filled',
        metric: 'usPerOperation',
        unit: 'us',
        subject: 'daxkv',
        peer: 'lmdb-writemap',
        goal: { kind: 'ratio', atLeast: 3 },
      },
      {
        title: 'durable put, into filled, median batch',
        metric: 'usPerOperationP50',
        unit: 'us',
        subject: 'daxkv',
        peer: 'lmdb-writemap',
      },
      { title: 'durable put, into filled', metric: 'usPerOperation', unit: 'us', subject: 'daxkv', peer: 'sqlite' },
    ],
    measure: (context, subject) => context.writes(subject, 'put-new', RANDOM, writesOf(context, FILLED_WRITES)),
  },
  {
    id: 'overwrite',
    subjects: ['daxkv', 'sqlite', 'lmdb-writemap'],
    rows: [
      {
        title: 'durable overwrite',
        metric: 'usPerOperation',
        unit: 'us',
        subject: 'daxkv',
        peer: 'sqlite',
        goal: { kind: 'ratio', atLeast: 4 },
      },
      { title: 'durable overwrite', metric: 'usPerOperation', unit: 'us', subject: 'daxkv', peer: 'lmdb-writemap' },
    ],
    measure: (context, subject) => context.writes(subject, 'overwrite', RANDOM, writesOf(context, FILLED_WRITES)),
  },
  {
    id: 'delete',
    subjects: ['daxkv', 'lmdb', 'lmdb-writemap'],
    rows: [
      { title: 'durable delete', metric: 'usPerOperation', unit: 'us', subject: 'daxkv', peer: 'lmdb' },
      { title: 'durable delete', metric: 'usPerOperation', unit: 'us', subject: 'daxkv', peer: 'lmdb-writemap' },
    ],
    measure: (context, subject) => context.writes(subject, 'remove', RANDOM, writesOf(context, FILLED_WRITES)),
  },
  {
    id: 'get-view',
    subjects: ['daxkv', 'lmdb', 'daxkv-utf8'],
    rows: [
      {
        title: 'get, withView / getBinaryFast',
        metric: 'usPerOperation',
        unit: 'us',
        subject: 'daxkv',
        peer: 'lmdb',
        goal: { kind: 'ratio', atLeast: 2 },
      },
      { title: 'get, withView, utf8 keys', metric: 'usPerOperation', unit: 'us', subject: 'daxkv-utf8', peer: 'lmdb' },
    ],
    measure: (context, subject) => context.reads(subject, 'view', SORTED, getsOf(context)),
  },
  {
    id: 'get-view-random-load',
    subjects: ['daxkv', 'lmdb'],
    rows: [
      {
        title: 'get, withView / getBinaryFast, loaded randomly',
        metric: 'usPerOperation',
        unit: 'us',
        subject: 'daxkv',
        peer: 'lmdb',
      },
    ],
    measure: (context, subject) => context.reads(subject, 'view', RANDOM, getsOf(context)),
  },
  {
    id: 'get-object',
    subjects: ['daxkv', 'lmdb', 'lmdb-shared'],
    rows: [
      {
        title: 'get of an object (msgpack)',
        metric: 'usPerOperation',
        unit: 'us',
        subject: 'daxkv',
        peer: 'lmdb',
        goal: { kind: 'ratio', atLeast: 2 },
      },
      {
        title: 'get of an object (msgpack)',
        metric: 'usPerOperation',
        unit: 'us',
        subject: 'daxkv',
        peer: 'lmdb-shared',
      },
    ],
    measure: (context, subject) => context.reads(subject, 'object', OBJECTS, getsOf(context)),
  },
  {
    id: 'get-copy',
    subjects: ['daxkv', 'lmdb', 'sqlite'],
    rows: [
      { title: 'get, getBinary (copy)', metric: 'usPerOperation', unit: 'us', subject: 'daxkv', peer: 'lmdb' },
      { title: 'get, getBinary (copy)', metric: 'usPerOperation', unit: 'us', subject: 'daxkv', peer: 'sqlite' },
    ],
    measure: (context, subject) => context.reads(subject, 'copy', SORTED, getsOf(context)),
  },
  {
    id: 'get-miss',
    subjects: ['daxkv', 'lmdb'],
    rows: [{ title: 'get, miss', metric: 'usPerOperation', unit: 'us', subject: 'daxkv', peer: 'lmdb' }],
    measure: (context, subject) => context.reads(subject, 'miss', SORTED, getsOf(context)),
  },
  {
    id: 'scan',
    subjects: ['daxkv', 'lmdb'],
    rows: [
      {
        title: 'full scan, a row',
        metric: 'usPerRow',
        unit: 'us',
        subject: 'daxkv',
        peer: 'lmdb',
        goal: { kind: 'ratio', atLeast: 10 },
      },
    ],
    measure: (context, subject) => context.pass(subject, 'scan', SORTED, PASSES),
  },
  {
    id: 'scan-random-load',
    subjects: ['daxkv', 'lmdb'],
    maxRounds: INFORMATION_ROUNDS,
    rows: [
      { title: 'full scan, loaded randomly, a row', metric: 'usPerRow', unit: 'us', subject: 'daxkv', peer: 'lmdb' },
    ],
    measure: (context, subject) => context.pass(subject, 'scan', RANDOM, PASSES),
  },
  {
    id: 'scan-reverse',
    subjects: ['daxkv', 'lmdb'],
    maxRounds: INFORMATION_ROUNDS,
    rows: [{ title: 'full scan, reverse, a row', metric: 'usPerRow', unit: 'us', subject: 'daxkv', peer: 'lmdb' }],
    measure: (context, subject) => context.pass(subject, 'scan-reverse', SORTED, PASSES),
  },
  {
    id: 'scan-decoded',
    subjects: ['daxkv', 'lmdb'],
    maxRounds: INFORMATION_ROUNDS,
    rows: [
      {
        title: 'forEach: keys decoded, Buffers copied',
        metric: 'usPerRow',
        unit: 'us',
        subject: 'daxkv',
        peer: 'lmdb',
      },
    ],
    measure: (context, subject) => context.pass(subject, 'each-row', SORTED, PASSES),
  },
  {
    id: 'rows-object',
    subjects: ['daxkv', 'lmdb'],
    maxRounds: INFORMATION_ROUNDS,
    rows: [
      { title: 'range() of objects (msgpack), a row', metric: 'usPerRow', unit: 'us', subject: 'daxkv', peer: 'lmdb' },
    ],
    measure: (context, subject) => context.pass(subject, 'rows', OBJECTS, PASSES),
  },
  {
    id: 'range-100',
    subjects: ['daxkv', 'lmdb'],
    rows: [
      {
        title: '100-row range',
        metric: 'usPerOperation',
        unit: 'us',
        subject: 'daxkv',
        peer: 'lmdb',
        goal: { kind: 'ratio', atLeast: 6 },
      },
    ],
    measure: (context, subject) => context.reads(subject, 'range', SORTED, rangesOf(context)),
  },
  {
    id: 'open-clean',
    subjects: ['daxkv', 'lmdb', 'sqlite'],
    rows: [
      {
        title: 'open + first get, clean',
        metric: 'openMs',
        unit: 'ms',
        subject: 'daxkv',
        peer: 'lmdb',
        goal: { kind: 'limit', atMost: 3 },
      },
      { title: 'open + first get, clean', metric: 'openMs', unit: 'ms', subject: 'daxkv', peer: 'sqlite' },
    ],
    measure: (context, subject) => context.openClean(subject, SORTED),
  },
  {
    id: 'open-killed',
    subjects: ['daxkv', 'lmdb', 'sqlite'],
    rows: [
      {
        title: 'open + first get, after SIGKILL',
        metric: 'openMs',
        unit: 'ms',
        subject: 'daxkv',
        peer: 'lmdb',
        goal: { kind: 'limit', atMost: 3 },
      },
      { title: 'open + first get, after SIGKILL', metric: 'openMs', unit: 'ms', subject: 'daxkv', peer: 'sqlite' },
    ],
    measure: (context, subject) => context.openKilled(subject, RANDOM),
  },
  {
    id: 'put-disk',
    subjects: ['daxkv-detected', 'sqlite', 'lmdb-writemap', 'level'],
    rows: [
      {
        onDisk: true,
        title: 'durable put, disk',
        metric: 'usPerOperation',
        unit: 'us',
        subject: 'daxkv-detected',
        peer: 'sqlite',
      },
      {
        onDisk: true,
        title: 'durable put, disk',
        metric: 'usPerOperation',
        unit: 'us',
        subject: 'daxkv-detected',
        peer: 'lmdb-writemap',
      },
      {
        onDisk: true,
        title: 'durable put, disk',
        metric: 'usPerOperation',
        unit: 'us',
        subject: 'daxkv-detected',
        peer: 'level',
      },
    ],
    measure: (context, subject) => context.writesIntoEmpty(context.diskFiles, subject, writesOf(context, DISK_WRITES)),
  },
]

import type { RowSpec, Workload } from '../workload.js'
import { atLeast, atMost, perRow } from './shapes.js'

/** Loads in random order take some engines ten seconds a million. */
const RANDOM_LOAD_ROUNDS = 3

const bytes = (title: string, metric: 'usedBytesPerKey' | 'fileBytesPerKey'): RowSpec => ({
  title,
  metric,
  unit: 'B',
  subject: 'daxkv',
})

/** Filling an empty store, 10,000 entries a transaction. What is filled is kept for the workloads after these. */
export const loads: readonly Workload[] = [
  {
    id: 'load-sorted',
    suite: 'goal',
    subjects: ['daxkv', 'lmdb', 'lmdb-c'],
    rows: [
      perRow('load sorted, 10k a transaction', 'daxkv', 'lmdb', atLeast(2, 1.5)),
      perRow('load sorted', 'daxkv', 'lmdb-c'),
      { ...bytes('bytes a key, sorted (pages in use)', 'usedBytesPerKey'), goal: atMost(135, 145) },
      { ...bytes('bytes a key, sorted (file)', 'fileBytesPerKey'), peer: 'lmdb' },
      { title: 'peak memory of a sorted load', metric: 'peakMemoryMib', unit: 'MiB', subject: 'daxkv', peer: 'lmdb' },
    ],
    measure: (context, subject) => context.load(subject, { order: 'sorted' }),
  },
  {
    id: 'load-random',
    suite: 'goal',
    subjects: ['daxkv', 'lmdb'],
    maxRounds: RANDOM_LOAD_ROUNDS,
    rows: [
      perRow('load random, 10k a transaction', 'daxkv', 'lmdb', atLeast(4)),
      { ...bytes('bytes a key, random (pages in use)', 'usedBytesPerKey'), goal: atMost(180, 200) },
      { ...bytes('bytes a key, random (file)', 'fileBytesPerKey'), peer: 'lmdb' },
    ],
    measure: (context, subject) => context.load(subject, { order: 'random' }),
  },
  {
    id: 'load-sorted-peers',
    suite: 'full',
    subjects: ['daxkv', 'lmdb-writemap', 'sqlite', 'level'],
    maxRounds: RANDOM_LOAD_ROUNDS,
    rows: [
      perRow('load sorted', 'daxkv', 'lmdb-writemap'),
      perRow('load sorted', 'daxkv', 'sqlite'),
      perRow('load sorted', 'daxkv', 'level'),
    ],
    measure: (context, subject) => context.load(subject, { order: 'sorted' }),
  },
  {
    id: 'load-random-peers',
    suite: 'full',
    subjects: ['daxkv', 'daxkv-redo', 'lmdb-writemap', 'lmdb-c', 'pmemobj', 'sqlite', 'level'],
    maxRounds: RANDOM_LOAD_ROUNDS,
    rows: [
      perRow('load random', 'daxkv-redo', 'daxkv'),
      perRow('load random', 'daxkv', 'lmdb-writemap'),
      perRow('load random', 'daxkv', 'lmdb-c'),
      perRow('load random', 'daxkv', 'pmemobj'),
      perRow('load random', 'daxkv', 'sqlite'),
      perRow('load random', 'daxkv', 'level'),
      { ...bytes('bytes a key, random (file)', 'fileBytesPerKey'), peer: 'sqlite' },
      { ...bytes('bytes a key, random (file)', 'fileBytesPerKey'), peer: 'level' },
      { ...bytes('bytes a key, random (file)', 'fileBytesPerKey'), peer: 'pmemobj' },
    ],
    measure: (context, subject) => context.load(subject, { order: 'random' }),
  },
]

import type { YcsbMix } from '../jobs.js'
import type { Workload } from '../workload.js'
import { atLeast, mixed, perOperation } from './shapes.js'

const OPERATIONS = 40_000
const MOSTLY_READS = 150_000
/** Three peers with writes that take tens of microseconds. */
const ROUNDS = 3

interface Mix {
  readonly mix: YcsbMix
  readonly what: string
  readonly goal?: number
  readonly operations?: number
  /** Peers that have a chance to be the best JavaScript peer; classic-level is far behind in each mix. */
  readonly peers: readonly string[]
}

const READ_PEERS = ['lmdb', 'lmdb-writemap']
const WRITE_PEERS = [...READ_PEERS, 'sqlite']

const MIXES: readonly Mix[] = [
  { mix: 'A', what: 'half reads, half overwrites', goal: 5, peers: WRITE_PEERS },
  { mix: 'B', what: '95 % reads, 5 % overwrites', goal: 2.5, operations: MOSTLY_READS, peers: READ_PEERS },
  { mix: 'C', what: 'reads only', goal: 2, operations: MOSTLY_READS, peers: ['lmdb'] },
  { mix: 'D', what: '95 % reads of what came last, 5 % inserts', peers: WRITE_PEERS },
  { mix: 'E', what: '95 % ranges of 1 to 100 rows, 5 % inserts', goal: 8, operations: 15_000, peers: READ_PEERS },
  { mix: 'F', what: 'half reads, half reads followed by an overwrite', goal: 5, peers: WRITE_PEERS },
]

/** Zipfian choice of keys (0.99) in a store that was filled randomly; each write is durable by itself. */
export const ycsbMixes: readonly Workload[] = MIXES.map(({ mix, what, goal, operations = OPERATIONS, peers }) => ({
  id: `ycsb-${mix.toLowerCase()}`,
  suite: goal === undefined ? 'full' : 'goal',
  subjects: ['daxkv', ...peers],
  maxRounds: ROUNDS,
  rows: [perOperation(`YCSB ${mix}: ${what}`, 'daxkv', peers, goal === undefined ? undefined : atLeast(goal))],
  measure: (context, subject) => context.ycsb(subject, mix, { order: 'random' }, mixed(context, operations)),
}))

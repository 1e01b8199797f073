import type { Measurement } from '../jobs.js'
import type { Subject } from '../subjects.js'
import type { RoundContext, Workload } from '../workload.js'
import { atMost, onDisk } from './shapes.js'

const open = { metric: 'openMs', unit: 'ms', subject: 'daxkv' } as const
const PEERS = ['daxkv', 'lmdb', 'sqlite']
/** Records after the last checkpoint. The log is made so large that none comes in between. */
const RECOVERY_PUTS = [100, 1000, 5000]
const RECOVERY_LOG_BYTES = 128 * 2 ** 20
const RECOVERY_ROUNDS = 3

/** Opening a store in a fresh process and reading one key. */
export const opening: readonly Workload[] = [
  {
    id: 'open-clean',
    suite: 'goal',
    subjects: PEERS,
    rows: [
      { title: 'open + first get, clean', ...open, peer: 'lmdb', goal: atMost(3) },
      { title: 'open + first get, clean', ...open, peer: 'sqlite' },
    ],
    measure: (context, subject) => context.openClean(subject, { order: 'sorted' }),
  },
  {
    id: 'open-killed',
    suite: 'goal',
    subjects: PEERS,
    rows: [
      { title: 'open + first get, after SIGKILL', ...open, peer: 'lmdb', goal: atMost(2, 3) },
      { title: 'open + first get, after SIGKILL', ...open, peer: 'sqlite' },
    ],
    measure: (context, subject) => context.openKilled(subject, { order: 'random' }),
  },
  {
    id: 'recovery',
    suite: 'full',
    subjects: ['daxkv-detected'],
    maxRounds: RECOVERY_ROUNDS,
    chart: {
      kind: 'sizes',
      title: 'Recovery time',
      lead: 'Opening after SIGKILL and reading one key, against the number of commits since the last checkpoint, on disk.',
      unit: 'ms',
      axis: 'commits in the log',
    },
    rows: RECOVERY_PUTS.map((puts) =>
      onDisk({
        ...open,
        title: `open after SIGKILL, ${puts.toLocaleString('en-US')} commits in the log`,
        metric: `openMs@${puts}`,
        subject: 'daxkv-detected',
      }),
    ),
    measure: async (context: RoundContext, subject: Subject): Promise<Measurement> => {
      const metrics: Partial<Record<`openMs@${number}`, number>> = {}
      for (const puts of RECOVERY_PUTS) {
        const { metrics: one } = await context.recovery(context.diskFiles, subject, puts, RECOVERY_LOG_BYTES)
        metrics[`openMs@${puts}`] = one.openMs ?? NaN
      }
      return { metrics }
    },
  },
]

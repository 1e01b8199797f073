import type { BaseMetric, Measurement, Metric } from '../jobs.js'
import type { Subject } from '../subjects.js'
import type { RoundContext, RowSpec, Workload } from '../workload.js'
import { atMost, reads, writes } from './shapes.js'

/** Sizes measured, as multiples of the run's number of keys: 10^4 .. 10^7 by default. */
const MULTIPLES = [0.01, 0.1, 1, 10]
const SMALLEST_KEYS = 1000
const MOST_COST = 4
const WRITES = 20_000
const ROUNDS = 3
const FULL_ROUNDS = 2
const HOT_KEYS = 1000
const PEERS = ['daxkv', 'lmdb', 'sqlite', 'lmdb-c']
/**
 * Reads of 1,000 keys touch 1,000 leaves and at most as many nodes above them (the levels above are a handful of pages); around
 * each page the kernel maps what else is in the page cache, 64 KiB in all.
 */
const MOST_MAPPED_MIB = (2 * HOT_KEYS * 64) / 1024

/** The data sets of one measurement, smallest first. */
export function sizesOf(keys: number): number[] {
  return [...new Set(MULTIPLES.map((multiple) => Math.max(SMALLEST_KEYS, Math.round(keys * multiple))))]
}

/** One figure at each size, and how much the largest costs more than the smallest. */
async function atSizes(
  context: RoundContext,
  metric: BaseMetric,
  measure: (keys: number, context: RoundContext) => Promise<Measurement>,
): Promise<Measurement> {
  const metrics: Partial<Record<Metric, number>> = {}
  const figures: number[] = []
  for (const keys of sizesOf(context.keys)) {
    const figure = (await measure(keys, context)).metrics[metric]
    if (figure === undefined) continue
    metrics[`${metric}@${keys}`] = figure
    figures.push(figure)
  }
  return { metrics: { ...metrics, growthOfCost: (figures.at(-1) ?? NaN) / figures[0] } }
}

const gets = (context: RoundContext, subject: Subject): Promise<Measurement> =>
  atSizes(context, 'usPerOperation', (keys) => context.reads(subject, 'view', { keys }, reads(context)))

const overwrites = (context: RoundContext, subject: Subject): Promise<Measurement> =>
  atSizes(context, 'usPerOperation', (keys) =>
    context.writes(context.files, subject, 'put', 'existing', { keys }, writes(context, WRITES)),
  )

const rowScans = (context: RoundContext, subject: Subject): Promise<Measurement> =>
  atSizes(context, 'usPerRow', (keys) => context.pass(subject, 'scan', { keys }, 2))

const growth = (title: string): RowSpec => ({
  title,
  metric: 'growthOfCost',
  unit: 'x',
  subject: 'daxkv',
  goal: atMost(MOST_COST),
})

const chart = (title: string, lead: string): NonNullable<Workload['chart']> => ({
  kind: 'sizes',
  title,
  lead: `${lead}, against the number of keys in the store`,
  unit: 'us',
  axis: 'keys',
})

/** Cost as the work grows. */
export const sizes: readonly Workload[] = [
  {
    id: 'size-get',
    suite: 'goal',
    subjects: ['daxkv'],
    maxRounds: ROUNDS,
    chart: chart('Size: get', 'One get by withView'),
    rows: [growth('get: cost at 10x the keys / at a hundredth')],
    measure: gets,
  },
  {
    id: 'size-put',
    suite: 'goal',
    subjects: ['daxkv'],
    maxRounds: ROUNDS,
    chart: chart('Size: overwrite', 'One durable overwrite'),
    rows: [growth('durable overwrite: cost at 10x the keys / at a hundredth')],
    measure: overwrites,
  },
  {
    id: 'size-memory',
    suite: 'goal',
    subjects: ['daxkv'],
    maxRounds: ROUNDS,
    rows: [
      {
        title: 'resident pages of the store, 1,000 keys of 10x read',
        metric: 'mappedMib',
        unit: 'MiB',
        subject: 'daxkv',
        goal: atMost(MOST_MAPPED_MIB),
      },
      { title: 'memory of the process itself then', metric: 'privateMib', unit: 'MiB', subject: 'daxkv' },
    ],
    measure: (context: RoundContext, subject: Subject): Promise<Measurement> => {
      const keys = sizesOf(context.keys).at(-1) ?? context.keys
      return context.reads(subject, 'view', { keys }, { ...reads(context), hotKeys: HOT_KEYS })
    },
  },
  {
    id: 'size-get-peers',
    suite: 'full',
    subjects: PEERS,
    maxRounds: FULL_ROUNDS,
    chart: chart('Size: get, peers', 'One get'),
    rows: [growth('get: cost at 10x the keys / at a hundredth')],
    measure: gets,
  },
  {
    id: 'size-put-peers',
    suite: 'full',
    subjects: PEERS,
    maxRounds: FULL_ROUNDS,
    chart: chart('Size: overwrite, peers', 'One durable overwrite'),
    rows: [growth('durable overwrite: cost at 10x the keys / at a hundredth')],
    measure: overwrites,
  },
  {
    id: 'size-scan-peers',
    suite: 'full',
    subjects: PEERS,
    maxRounds: FULL_ROUNDS,
    chart: chart('Size: scan, peers', 'One row of a full scan'),
    rows: [growth('full scan, a row: cost at 10x the keys / at a hundredth')],
    measure: rowScans,
  },
]

import type { Metric } from '../../bench/jobs.js'
import type { Machine } from '../../bench/machine.js'
import { resultDocument, type ResultDocument } from '../../bench/result-document.js'
import type { WorkloadResult } from '../../bench/run.js'
import type { RowSpec, Workload } from '../../bench/workload.js'

export const ratioRow: RowSpec = {
  title: 'get',
  metric: 'usPerOperation',
  unit: 'us',
  subject: 'daxkv',
  peer: 'lmdb',
  goal: { kind: 'ratio', atLeast: 2 },
}

export const limitRow: RowSpec = {
  title: 'open',
  metric: 'openMs',
  unit: 'ms',
  subject: 'daxkv',
  goal: { kind: 'limit', atMost: 3 },
}

export const machine: Machine = {
  cpu: 'a processor',
  cores: 2,
  cpuFlags: ['clwb'],
  memoryGib: 8,
  system: 'Linux',
  node: 'v20',
  versions: { lmdb: '3' },
  memoryFileSystem: 'tmpfs',
  diskFileSystem: 'ext4',
  clockSource: 'tsc',
  sharedHugePages: 'never',
  commit: 'abc',
  load: 0,
}

export function workloadOf(rows: readonly RowSpec[], id = 'get'): Workload {
  const measured = rows.flatMap(({ subject, peer }) => [subject, ...(peer === undefined ? [] : [peer].flat())])
  return {
    id,
    suite: 'goal',
    subjects: [...new Set(measured)],
    rows,
    measure: () => Promise.reject(new Error('not run')),
  }
}

type Series = Readonly<Record<string, Partial<Record<Metric, readonly number[]>>>>

/** What a run would have given that measured these figures. */
export function resultOf(workload: Workload, series: Series, over: Partial<WorkloadResult> = {}): WorkloadResult {
  return {
    workload,
    series: new Map(
      Object.entries(series).map(([id, metrics]) => [
        id,
        new Map(Object.entries(metrics) as [Metric, readonly number[]][]),
      ]),
    ),
    latencies: new Map(),
    notes: new Map(),
    failures: new Map(),
    skipped: new Map(),
    elapsedMs: 1,
    ...over,
  }
}

/** Rounds of `daxkv` and `lmdb` in the row `get`. */
export function getResult(daxkv: readonly number[], lmdb: readonly number[]): WorkloadResult {
  return resultOf(workloadOf([ratioRow]), { daxkv: { usPerOperation: daxkv }, lmdb: { usPerOperation: lmdb } })
}

export function documentOf(results: readonly WorkloadResult[], over: Partial<ResultDocument> = {}): ResultDocument {
  const facts = { started: new Date(0), elapsedMs: 1000, keys: 1000, rounds: 3, clock: 'wall', machine } as const
  return { ...resultDocument(facts, results), ...over }
}

/** From rounds to the rows of the table: figures, ratios and verdicts. */
import type { Metric } from './jobs.js'
import type { Clock } from './options.js'
import type { WorkloadResult } from './run.js'
import { median, pairedRatio, summarise, type Ratio, type Summary } from './statistics.js'
import type { RowSpec } from './workload.js'

/**
 * - `met`, `MISSED`: the median says so.
 * - `met (noise)`, `MISSED (noise)`: so does the median, but the rounds lie on both sides of the goal.
 * - `UNCLEAR`: the rounds differ too much for a ratio.
 * - `no figure`: the measurement failed.
 * - empty: no goal.
 */
export type Verdict = 'met' | 'MISSED' | 'met (noise)' | 'MISSED (noise)' | 'UNCLEAR' | 'no figure' | ''

export interface Row {
  readonly workload: string
  readonly spec: RowSpec
  readonly ours: Summary | undefined
  readonly theirs: Summary | undefined
  readonly ratio: Ratio | undefined
  readonly verdict: Verdict
}

/** The same figure by the other clock. */
const CPU_METRICS: Readonly<Partial<Record<Metric, Metric>>> = {
  usPerOperation: 'cpuUsPerOperation',
  usPerRow: 'cpuUsPerRow',
  openMs: 'openCpuMs',
}

export function rowsOf(result: WorkloadResult, clock: Clock): Row[] {
  return result.workload.rows.map((written) => {
    const cpuMetric = clock === 'cpu' && written.onDisk !== true ? CPU_METRICS[written.metric] : undefined
    const spec = cpuMetric === undefined ? written : { ...written, metric: cpuMetric }
    const ours = result.series.get(spec.subject)?.get(spec.metric)
    const theirs = spec.peer === undefined ? undefined : result.series.get(spec.peer)?.get(spec.metric)
    const ratio = ours === undefined || theirs === undefined ? undefined : pairedRatio(ours, theirs)
    const oursSummary = ours === undefined ? undefined : summarise(ours)
    return {
      workload: result.workload.id,
      spec,
      ours: oursSummary,
      theirs: theirs === undefined ? undefined : summarise(theirs),
      ratio,
      verdict: verdictOf(spec, oursSummary, ratio),
    }
  })
}

export function verdictOf(spec: RowSpec, ours: Summary | undefined, ratio: Ratio | undefined): Verdict {
  const { goal } = spec
  if (goal === undefined) return ours === undefined ? 'no figure' : ''
  if (goal.kind === 'limit') {
    if (ours === undefined) return 'no figure'
    return verdict(ours.median <= goal.atMost, ours.p10 <= goal.atMost, ours.p90 <= goal.atMost)
  }
  if (ratio === undefined) return 'no figure'
  if (ratio.meaningless) return 'UNCLEAR'
  return verdict(ratio.median >= goal.atLeast, ratio.p10 >= goal.atLeast, ratio.p90 >= goal.atLeast)
}

function verdict(median: boolean, p10: boolean, p90: boolean): Verdict {
  if (p10 === p90) return median ? 'met' : 'MISSED'
  return median ? 'met (noise)' : 'MISSED (noise)'
}

/**
 * How much longer the clock on the wall ran than the measured processes had a processor, over all rounds that wait for nothing
 * else: 1 on a machine with no other work.
 */
export function disturbance(results: readonly WorkloadResult[]): number {
  const factors: number[] = []
  for (const { workload, series } of results) {
    if (workload.rows.some(({ onDisk }) => onDisk === true)) continue
    for (const metrics of series.values()) {
      for (const [wall, cpu] of Object.entries(CPU_METRICS) as [Metric, Metric][]) {
        const cpuRounds = metrics.get(cpu)
        metrics.get(wall)?.forEach((value, round) => {
          const cpuValue = cpuRounds?.[round] ?? 0
          if (cpuValue > 0) factors.push(value / cpuValue)
        })
      }
    }
  }
  return factors.length === 0 ? 1 : median(factors)
}

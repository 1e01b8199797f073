/** From rounds to the rows of the table: figures, ratios and verdicts. */
import type { Metric } from './jobs.js'
import type { Clock } from './options.js'
import type { WorkloadResult } from './run.js'
import { median, pairedRatio, summarise, type Ratio, type Summary } from './statistics.js'
import { subjects } from './subjects.js'
import type { Goal, RowSpec, Unit } from './workload.js'

/**
 * - `met`, `MISSED`: the whole interval of the median says so (see `medianInterval`).
 * - `met (noise)`, `MISSED (noise)`: so does the median, but its interval lies on both sides of the goal.
 * - `UNCLEAR`: it lies on both sides, and the rounds differ too much for the median to mean anything; or there are too
 *   few rounds.
 * - `not measured`: the measurement failed. `left out`: this machine or this version has no such engine.
 * - empty: no goal.
 */
export type Verdict = 'met' | 'MISSED' | 'met (noise)' | 'MISSED (noise)' | 'UNCLEAR' | 'not measured' | 'left out' | ''

/** A row of the table, as it stands in the result file. */
export interface Row {
  readonly workload: string
  readonly title: string
  readonly metric: Metric
  readonly unit: Unit
  readonly subject: string
  readonly subjectLabel: string
  readonly peer?: string
  readonly peerLabel?: string
  /** The peer was the cheapest of several, and may be another one in another run. */
  readonly ofSeveral?: true
  readonly onDisk: boolean
  readonly goal?: Goal
  readonly figure?: Summary
  readonly peerFigure?: Summary
  /** How many times the peer costs what the subject costs. */
  readonly ratio?: Ratio
  readonly verdict: Verdict
}

/** The same figure by the other clock. */
const CPU_METRICS: Readonly<Partial<Record<Metric, Metric>>> = {
  usPerOperation: 'cpuUsPerOperation',
  usPerRow: 'cpuUsPerRow',
  openMs: 'openCpuMs',
}

export function rowsOf(result: WorkloadResult, clock: Clock): Row[] {
  return result.workload.rows.map((spec) => rowOf(result, spec, clock))
}

function rowOf({ workload, series, skipped }: WorkloadResult, spec: RowSpec, clock: Clock): Row {
  const cpuMetric = clock === 'cpu' && spec.onDisk !== true ? CPU_METRICS[spec.metric] : undefined
  const metric = cpuMetric ?? spec.metric
  const roundsOf = (id: string): readonly number[] | undefined => series.get(id)?.get(metric)
  const ours = roundsOf(spec.subject)
  const peer = cheapest(spec.peer, roundsOf)
  const theirs = peer === undefined ? undefined : roundsOf(peer)
  const figure = ours === undefined ? undefined : summarise(ours)
  // Nothing is a multiple of nothing: bytes written to a device by stores in memory.
  const comparable = ours?.every((cost) => cost > 0) === true && theirs?.every((cost) => cost > 0) === true
  const ratio = comparable ? pairedRatio(ours, theirs) : undefined
  const left = skipped.has(spec.subject) || (peer !== undefined && skipped.has(peer))
  return {
    workload: workload.id,
    title: spec.title,
    metric,
    unit: spec.unit,
    subject: spec.subject,
    subjectLabel: labelOf(spec.subject),
    ...(peer === undefined ? {} : { peer, peerLabel: labelOf(peer) }),
    ...(typeof spec.peer === 'object' ? { ofSeveral: true as const } : {}),
    onDisk: spec.onDisk ?? false,
    ...(spec.goal === undefined ? {} : { goal: spec.goal }),
    ...(figure === undefined ? {} : { figure }),
    ...(theirs === undefined ? {} : { peerFigure: summarise(theirs) }),
    ...(ratio === undefined ? {} : { ratio }),
    verdict: verdictOf(spec, figure, ratio, left, theirs !== undefined),
  }
}

/** The peer itself, or of several the one that costs least. */
function cheapest(peer: RowSpec['peer'], roundsOf: (id: string) => readonly number[] | undefined): string | undefined {
  if (peer === undefined || typeof peer === 'string') return peer
  const medians = peer.map((id) => {
    const rounds = roundsOf(id)
    return { id, cost: rounds === undefined ? Infinity : median(rounds) }
  })
  return medians.sort((a, b) => a.cost - b.cost).at(0)?.id
}

export function labelOf(id: string): string {
  return subjects.get(id)?.label ?? id
}

export function verdictOf(
  { goal, peer }: Pick<RowSpec, 'goal' | 'peer'>,
  figure: Summary | undefined,
  ratio: Ratio | undefined,
  leftOut: boolean,
  peerMeasured = ratio !== undefined,
): Verdict {
  const missing = leftOut ? 'left out' : 'not measured'
  if (figure === undefined || (peer !== undefined && !peerMeasured)) return missing
  if (goal === undefined) return ''
  switch (goal.kind) {
    case 'limit':
      return verdict((value) => value <= goal.atMost, figure, true)
    case 'ratio':
      if (ratio === undefined) return missing
      return ratioVerdict((value) => value >= goal.atLeast, ratio)
    case 'multiple':
      if (ratio === undefined) return missing
      return ratioVerdict((value) => value >= 1 / goal.atMost, ratio)
  }
}

/** One or two rounds say nothing; many that differ may still all lie on one side of the goal. */
function ratioVerdict(reached: (value: number) => boolean, ratio: Ratio): Verdict {
  return ratio.quality === 'few rounds' ? 'UNCLEAR' : verdict(reached, ratio, ratio.quality === 'good')
}

function verdict(reached: (value: number) => boolean, { median: middle, low, high }: Summary, clear: boolean): Verdict {
  if (reached(low) === reached(high)) return reached(middle) ? 'met' : 'MISSED'
  if (!clear) return 'UNCLEAR'
  return reached(middle) ? 'met (noise)' : 'MISSED (noise)'
}

/** A goal as text, its smaller step behind it. */
export function goalText({ goal, unit }: Pick<Row, 'goal' | 'unit'>): string {
  if (goal === undefined) return ''
  const step = goal.step === undefined ? '' : ` (step ${String(goal.step)})`
  switch (goal.kind) {
    case 'ratio':
      return `>= ${String(goal.atLeast)}x${step}`
    case 'multiple':
      return `costs <= ${String(goal.atMost)}x${step}`
    case 'limit':
      return `<= ${String(goal.atMost)} ${unit}`.trimEnd() + step
  }
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

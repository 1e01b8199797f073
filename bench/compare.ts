/** Regressions between two results: what has become worse by more than both runs' noise. */
import type { ResultDocument } from './result-document.js'
import type { Row } from './rows.js'
import type { Summary } from './statistics.js'
import { figure } from './table.js'

/**
 * A row with a peer is judged by its ratio to it, in which the state of the machine cancels; this much worse, and
 * intervals that do not overlap, make a regression.
 */
export const RATIO_TOLERANCE = 0.1
/** A row without one is judged by its figure, which moves with the machine from one day to the next. */
export const FIGURE_TOLERANCE = 0.3
/** Counts and sizes do not move with the machine. */
const EXACT_TOLERANCE = 0.02
const EXACT_UNITS: ReadonlySet<string> = new Set(['', 'B'])

export type Change = 'regression' | 'improvement' | 'same' | 'not comparable'

export interface ComparedRow {
  readonly row: Row
  readonly before: Row
  readonly change: Change
  /** By how much the cost has grown, as a factor; NaN where it cannot be said. */
  readonly factor: number
}

export interface Comparison {
  readonly rows: readonly ComparedRow[]
  /** Titles that only one of the two runs has. */
  readonly unmatched: readonly string[]
  /** Why figures of the two runs should not be compared at all; undefined when they may. */
  readonly refusal: string | undefined
}

export function compareResults(before: ResultDocument, after: ResultDocument): Comparison {
  const refusal = refusalOf(before, after)
  if (refusal !== undefined) return { rows: [], unmatched: [], refusal }
  const earlier = new Map(before.rows.map((row) => [keyOf(row), row]))
  const later = new Set(after.rows.map(keyOf))
  const rows = after.rows.flatMap((row) => {
    const match = earlier.get(keyOf(row))
    return match === undefined ? [] : [compareRows(match, row)]
  })
  const unmatched = [
    ...after.rows.filter((row) => !earlier.has(keyOf(row))),
    ...before.rows.filter((row) => !later.has(keyOf(row))),
  ].map(({ workload, title }) => `${workload}: ${title}`)
  return { rows, unmatched: [...new Set(unmatched)], refusal: undefined }
}

function refusalOf(before: ResultDocument, after: ResultDocument): string | undefined {
  if (before.keys !== after.keys) {
    return `the earlier run had ${String(before.keys)} keys, this one has ${String(after.keys)}: use --keys ${String(before.keys)}`
  }
  if (before.clock !== after.clock) {
    return `the earlier run used --clock ${before.clock}, this one ${after.clock}`
  }
  return undefined
}

/** The peer is not part of it where it is the cheapest of several, which may be another one each time. */
function keyOf({ workload, title, metric, subject, peer, ofSeveral }: Row): string {
  const fixedPeer = ofSeveral === true ? '' : (peer ?? '')
  return [workload, title, metric, subject, fixedPeer].join('|')
}

function compareRows(before: Row, row: Row): ComparedRow {
  const samePeer = before.peer !== undefined && before.peer === row.peer
  if (samePeer && before.ratio !== undefined && row.ratio !== undefined) {
    if (before.ratio.quality !== 'good' || row.ratio.quality !== 'good') return notComparable(before, row)
    // A ratio is better when larger: compared as the cost it stands for.
    return judge(before, row, inverse(before.ratio), inverse(row.ratio), RATIO_TOLERANCE)
  }
  if (before.figure === undefined || row.figure === undefined) return notComparable(before, row)
  const tolerance = EXACT_UNITS.has(row.unit) ? EXACT_TOLERANCE : FIGURE_TOLERANCE
  return judge(before, row, before.figure, row.figure, tolerance)
}

function notComparable(before: Row, row: Row): ComparedRow {
  return { row, before, change: 'not comparable', factor: NaN }
}

function inverse({ median, low, high }: Summary): Summary {
  return { median: 1 / median, low: 1 / high, high: 1 / low, rounds: [] }
}

function judge(before: Row, row: Row, was: Summary, is: Summary, tolerance: number): ComparedRow {
  const factor = was.median === 0 ? (is.median === 0 ? 1 : Infinity) : is.median / was.median
  let change: Change = 'same'
  if (factor > 1 + tolerance && is.low > was.high) change = 'regression'
  else if (factor < 1 / (1 + tolerance) && is.high < was.low) change = 'improvement'
  return { row, before, change, factor }
}

/** Lines for the terminal: regressions first, then improvements, then counts. */
export function comparisonLines({ rows, unmatched, refusal }: Comparison): string[] {
  if (refusal !== undefined) return [`Not compared: ${refusal}.`]
  const line = ({ row, before, factor, change }: ComparedRow): string => {
    const figures = `${was(before)} -> ${was(row)}`
    return `${change.padEnd(11)}  ${row.title} (${row.subjectLabel}${row.peerLabel === undefined ? '' : ` / ${row.peerLabel}`}): ${figures}, costs ${figure(factor)} times as much`
  }
  const of = (change: Change): readonly ComparedRow[] => rows.filter((row) => row.change === change)
  return [
    ...of('regression').map(line),
    ...of('improvement').map(line),
    ...unmatched.map((title) => `only in one of the runs: ${title}`),
    `Compared ${String(rows.length)} rows: ${String(of('regression').length)} regressions, ${String(of('improvement').length)} improvements, ${String(of('same').length)} within the noise, ${String(of('not comparable').length)} not comparable.`,
  ]
}

function was(row: Row): string {
  const { ratio, figure: summary, unit } = row
  if (ratio !== undefined) return `${figure(ratio.median)}x`
  return summary === undefined ? '-' : `${figure(summary.median)} ${unit}`.trimEnd()
}

export function hasRegression({ rows, refusal }: Comparison): boolean {
  return refusal !== undefined || rows.some(({ change }) => change === 'regression')
}

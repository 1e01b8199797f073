/** The JSON file of a run: everything that table, charts and comparisons are made from, so that they need not measure again. */
import { readFileSync } from 'node:fs'
import type { LatencyProfile, Metric } from './jobs.js'
import type { Machine } from './machine.js'
import type { Clock } from './options.js'
import { disturbance, rowsOf, type Row } from './rows.js'
import type { WorkloadResult } from './run.js'
import type { ChartPlace } from './workload.js'

/** Grows when a reader of older files would misunderstand a newer one. */
export const RESULT_VERSION = 2

export interface ResultSeries {
  readonly workload: string
  readonly elapsedMs: number
  readonly chart?: ChartPlace
  /** By subject id, then metric: one figure for each round. */
  readonly subjects: Readonly<Record<string, Readonly<Partial<Record<Metric, readonly number[]>>>>>
  readonly latencies: Readonly<Record<string, LatencyProfile>>
  readonly notes: Readonly<Record<string, readonly string[]>>
  readonly failures: Readonly<Record<string, string>>
  readonly skipped: Readonly<Record<string, string>>
}

export interface ResultDocument {
  readonly version: number
  readonly started: string
  readonly elapsedSeconds: number
  readonly keys: number
  readonly rounds: number
  readonly clock: Clock
  readonly machine: Machine
  /** Elapsed time over processor time, 1 on a machine with no other work. */
  readonly disturbance: number
  readonly rows: readonly Row[]
  readonly series: readonly ResultSeries[]
}

export interface RunFacts {
  readonly started: Date
  readonly elapsedMs: number
  readonly keys: number
  readonly rounds: number
  readonly clock: Clock
  readonly machine: Machine
}

export function resultDocument(facts: RunFacts, results: readonly WorkloadResult[]): ResultDocument {
  const { started, elapsedMs, keys, rounds, clock, machine } = facts
  return {
    version: RESULT_VERSION,
    started: started.toISOString(),
    elapsedSeconds: Math.round(elapsedMs / 1000),
    keys,
    rounds,
    clock,
    machine,
    disturbance: disturbance(results),
    rows: results.flatMap((result) => rowsOf(result, clock)),
    series: results.map((result) => ({
      workload: result.workload.id,
      elapsedMs: Math.round(result.elapsedMs),
      ...(result.workload.chart === undefined ? {} : { chart: result.workload.chart }),
      subjects: Object.fromEntries([...result.series].map(([id, metrics]) => [id, Object.fromEntries(metrics)])),
      latencies: Object.fromEntries(result.latencies),
      notes: Object.fromEntries(result.notes),
      failures: Object.fromEntries(result.failures),
      skipped: Object.fromEntries(result.skipped),
    })),
  }
}

/** What is wrong with a file somebody named. */
export class ResultFileError extends Error {}

/** @throws ResultFileError when the file cannot be read, is no result, or is of another version */
export function readResult(path: string): ResultDocument {
  let document: Partial<ResultDocument>
  try {
    document = JSON.parse(readFileSync(path, 'utf8')) as Partial<ResultDocument>
  } catch (error) {
    throw new ResultFileError(`${path}: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (document.version !== RESULT_VERSION) {
    throw new ResultFileError(
      `${path}: a result of version ${String(RESULT_VERSION)} is needed, this one has ${String(document.version)}`,
    )
  }
  if (!Array.isArray(document.rows) || !Array.isArray(document.series)) {
    throw new ResultFileError(`${path}: not a result of npm run bench`)
  }
  return document as ResultDocument
}

/** Rounds to six significant digits: more is noise, and makes the file three times as long. */
export function resultText(document: ResultDocument): string {
  const text = JSON.stringify(
    document,
    (_name, value: unknown) =>
      typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value,
    1,
  )
  return `${text}\n`
}

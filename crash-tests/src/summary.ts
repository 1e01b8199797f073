import type { SuiteRow } from '../suites/suite.js'
import type { Amount } from './amounts.js'
import type { CrashModel } from './medium.js'
import { REPORT_SCHEMA_VERSION } from './report-data.js'
import type {
  ModelReport,
  MutantReport,
  ReportData,
  SuiteReport,
  SuiteRowReport,
  ViolationReport,
} from './report-data.js'
import type { ShardFailure } from './suite-messages.js'

interface SuiteState {
  readonly rows: Map<string, SuiteRowReport>
  durationMs: number
  error: string | undefined
}

export interface RunDescription {
  readonly amount: Amount
  readonly seed: number
  readonly jobs: number
  readonly command: string
}

/** Adds up what the shards report. */
export class Summary {
  readonly #startedAt = new Date()
  readonly #begin = performance.now()
  readonly #suites = new Map<string, SuiteState>()
  readonly #mutants: MutantReport[] = []
  readonly #violations: ViolationReport[] = []
  readonly #lints: Record<string, number> = {}
  #lintedTraces = 0
  #lintedEvents = 0

  constructor(readonly run: RunDescription) {}

  get violations(): readonly ViolationReport[] {
    return this.#violations
  }

  addRow(suite: string, row: SuiteRow, durationMs: number): void {
    const { rows } = this.#suite(suite)
    const { mutant, lints } = row
    if (mutant !== undefined) this.#mutants.push(mutant)
    if (lints !== undefined) {
      this.#lintedTraces += lints.traces
      this.#lintedEvents += lints.events
      for (const [name, count] of Object.entries(lints.violations)) this.#lints[name] = (this.#lints[name] ?? 0) + count
    }
    const next: SuiteRowReport = {
      name: row.name,
      result: row.result,
      durationMs,
      ...(row.model === undefined ? {} : { model: row.model }),
      ...(row.points === undefined ? {} : { points: row.points }),
      ...(row.generated === undefined ? {} : { images: row.generated }),
      ...(row.images === undefined ? {} : { distinctImages: row.images }),
      ...(row.figures === undefined ? {} : { figures: row.figures }),
    }
    const before = rows.get(row.name)
    rows.set(row.name, before === undefined ? next : added(before, next))
  }

  addTime(suite: string, durationMs: number): void {
    this.#suite(suite).durationMs += durationMs
  }

  addFailure(suite: string, seed: number, failure: ShardFailure, replayCommand: string, replayFile?: string): void {
    const state = this.#suite(suite)
    state.error ??= failure.message
    if (failure.where === undefined) return
    const model = /^\[([a-z-]+)\]/.exec(failure.where)?.[1] as CrashModel | undefined
    this.#violations.push({
      suite,
      ...(model === undefined ? {} : { model }),
      message: failure.message.split('\n')[0],
      where: failure.where,
      seed,
      replayCommand,
      ...(replayFile === undefined ? {} : { replayFile }),
    })
  }

  report(distinctImages: number): ReportData {
    const suites = [...this.#suites].map(([name, { rows, durationMs, error }]): SuiteReport => ({
      name,
      failed: error !== undefined,
      ...(error === undefined ? {} : { error }),
      durationMs,
      rows: [...rows.values()],
    }))
    const rows = suites.flatMap((suite) => suite.rows)
    const outcomes = (outcome: MutantReport['outcome']): number =>
      this.#mutants.filter((mutant) => mutant.outcome === outcome).length
    return {
      schemaVersion: REPORT_SCHEMA_VERSION,
      startedAt: this.#startedAt.toISOString(),
      durationMs: performance.now() - this.#begin,
      nodeVersion: process.version,
      ...this.run,
      totals: {
        points: sum(rows, 'points'),
        images: sum(rows, 'images'),
        distinctImages,
        violations: this.#violations.length,
        mutants: this.#mutants.length,
        mutantsCaught: outcomes('caught'),
        mutantsEquivalent: outcomes('equivalent'),
        mutantsSurvived: outcomes('survived'),
        suitesFailed: suites.filter(({ failed }) => failed).length,
      },
      suites,
      models: this.#models(rows),
      mutants: this.#mutants,
      violations: this.#violations,
      lints: { traces: this.#lintedTraces, events: this.#lintedEvents, violations: this.#lints },
    }
  }

  #models(rows: readonly SuiteRowReport[]): ModelReport[] {
    const models = new Set(rows.flatMap(({ model }) => model ?? []))
    return [...models].map((model) => {
      const mine = rows.filter((row) => row.model === model)
      return {
        model,
        points: sum(mine, 'points'),
        images: sum(mine, 'images'),
        distinctImages: sum(mine, 'distinctImages'),
        violations: this.#violations.filter((violation) => violation.model === model).length,
      }
    })
  }

  #suite(name: string): SuiteState {
    let state = this.#suites.get(name)
    if (state === undefined) this.#suites.set(name, (state = { rows: new Map(), durationMs: 0, error: undefined }))
    return state
  }
}

/** Two rows of one name, from two shards. */
function added(left: SuiteRowReport, right: SuiteRowReport): SuiteRowReport {
  const figures: Record<string, number> = { ...left.figures }
  for (const [name, count] of Object.entries(right.figures ?? {})) figures[name] = (figures[name] ?? 0) + count
  const total = (name: 'points' | 'images' | 'distinctImages'): Record<string, number> =>
    left[name] === undefined && right[name] === undefined ? {} : { [name]: (left[name] ?? 0) + (right[name] ?? 0) }
  return {
    ...left,
    result: Object.entries(figures)
      .map(([name, count]) => `${count.toLocaleString('en')} ${name}`)
      .join(', '),
    figures,
    ...total('points'),
    ...total('images'),
    ...total('distinctImages'),
    durationMs: left.durationMs + right.durationMs,
  }
}

function sum(rows: readonly SuiteRowReport[], name: 'points' | 'images' | 'distinctImages'): number {
  return rows.reduce((total, row) => total + (row[name] ?? 0), 0)
}

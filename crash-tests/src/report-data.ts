import type { CrashModel } from './medium.js'

/**
 * What a run of the crash tests leaves as JSON (`crash-tests/results/last-run.json`, see docs/crash-testing.md): everything the
 * summary on the terminal says, and what the HTML report draws. Times are in milliseconds; counts are never estimates.
 */
export interface ReportData {
  readonly schemaVersion: typeof REPORT_SCHEMA_VERSION
  /** ISO 8601. */
  readonly startedAt: string
  readonly durationMs: number
  readonly nodeVersion: string
  /** Processes the suites were spread over. */
  readonly jobs: number
  readonly amount: 'quick' | 'full' | 'long'
  readonly seed: number
  /** The command that does the same run again. */
  readonly command: string
  readonly totals: ReportTotals
  readonly suites: readonly SuiteReport[]
  /** One entry a crash model that was explored, over all suites. */
  readonly models: readonly ModelReport[]
  readonly mutants: readonly MutantReport[]
  readonly violations: readonly ViolationReport[]
  readonly lints: LintReport
}

export const REPORT_SCHEMA_VERSION = 1

export interface ReportTotals {
  /** Crash points: (trace, number of events that had happened) pairs at which images were made, a model each. */
  readonly points: number
  /** Images generated; equal ones count as often as they came up. */
  readonly images: number
  /**
   * Images that differ from all others of the run, whatever suite, model or process they come from: the size of the union of
   * their hashes. Each was recovered and checked at least once. Images of mutants do not count.
   */
  readonly distinctImages: number
  readonly violations: number
  readonly mutants: number
  readonly mutantsCaught: number
  readonly mutantsEquivalent: number
  readonly mutantsSurvived: number
  readonly suitesFailed: number
}

export interface SuiteReport {
  readonly name: string
  readonly failed: boolean
  /** Message of the failure. */
  readonly error?: string
  /** Sum over all processes that worked on it. */
  readonly durationMs: number
  readonly rows: readonly SuiteRowReport[]
}

/** One line of the summary. */
export interface SuiteRowReport {
  readonly name: string
  /** What was found, in words. */
  readonly result: string
  readonly model?: CrashModel
  readonly points?: number
  readonly images?: number
  /** Distinct within this row (the same image may come up in another row again). */
  readonly distinctImages?: number
  /** Further counts of the suite, such as kills or operations, by name. */
  readonly figures?: Readonly<Record<string, number>>
  readonly durationMs: number
}

export interface ModelReport {
  readonly model: CrashModel
  readonly points: number
  readonly images: number
  /** Distinct within the rows of this model. */
  readonly distinctImages: number
  readonly violations: number
}

export interface MutantReport {
  readonly name: string
  /** Protocol of docs/internals.md that it breaks: A undo, C redo ring, E growth, or what all of them share. */
  readonly protocol: 'A' | 'B' | 'C' | 'E' | 'all'
  /** The rule that is turned off. */
  readonly rule: string
  /** Written by hand for a rule, or made from the programs by removing or swapping one step. */
  readonly origin: 'rule' | 'generated'
  readonly outcome: 'caught' | 'equivalent' | 'survived'
  /** What noticed it: workload and attempt; absent unless caught. */
  readonly caughtBy?: string
  readonly model?: CrashModel
  /** First line of the violation. */
  readonly message?: string
  /** Why an equivalent mutant cannot be caught. */
  readonly proof?: string
  /** Images it was given, until caught or to the end. */
  readonly images: number
  readonly durationMs: number
}

export interface ViolationReport {
  readonly suite: string
  readonly model?: CrashModel
  readonly message: string
  /** Crash point and the lines that were not in their newest version. */
  readonly where: string
  readonly seed: number
  /** The command that shows it again; the file holds the image. */
  readonly replayCommand: string
  readonly replayFile?: string
}

export interface LintReport {
  /** Traces and events that were linted. */
  readonly traces: number
  readonly events: number
  /** Violations by name of the lint; a lint that found nothing has 0. */
  readonly violations: Readonly<Record<string, number>>
}

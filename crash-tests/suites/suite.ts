import type { Amount } from '../src/amounts.js'
import type { Census } from '../src/census.js'
import type { CrashModel } from '../src/medium.js'
import type { LintReport, MutantReport } from '../src/report-data.js'

export interface SuiteOptions {
  readonly amount: Amount
  readonly seed: number
  /** One line about what is going on; called often. */
  readonly progress?: (text: string) => void
  /** The part of the suite to do, of as many as main.ts divides it into. Default: all of it. */
  readonly shard?: Shard
  /** To be told of every distinct image; not of those that mutants have made. */
  readonly census?: Census
}

export interface Shard {
  readonly index: number
  readonly count: number
}

/**
 * One line of the summary. A failure ends the suite with an exception instead. Rows of the same name that come from
 * several shards are added up.
 */
export interface SuiteRow {
  readonly name: string
  readonly result: string
  /** Distinct images, within this row. */
  readonly images?: number
  readonly model?: CrashModel
  /** Crash points, and images made at them. */
  readonly points?: number
  readonly generated?: number
  /** Further counts by name; where rows are added up, their result is made of these. */
  readonly figures?: Readonly<Record<string, number>>
  readonly mutant?: MutantReport
  readonly lints?: LintReport
}

export type Suite = (options: SuiteOptions) => Iterable<SuiteRow> | AsyncIterable<SuiteRow>

/** Whether the `number`-th piece of work of a suite falls to this shard. */
export function isMine(number: number, shard: Shard | undefined): boolean {
  return shard === undefined || number % shard.count === shard.index
}

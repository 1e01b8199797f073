import type { Amount } from '../src/amounts.js'

export interface SuiteOptions {
  readonly amount: Amount
  readonly seed: number
  /** One line about what is going on; called often. */
  readonly progress?: (text: string) => void
}

/** One line of the summary. A failure ends the suite with an exception instead. */
export interface SuiteRow {
  readonly name: string
  readonly result: string
  readonly images?: number
}

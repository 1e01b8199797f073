import type { SuiteRow } from '../suites/suite.js'
import type { Amount } from './amounts.js'
import type { ReplayData } from './replay.js'

/** From main.ts to the processes that do the work. */
export interface ShardTask {
  readonly suite: string
  readonly index: number
  readonly count: number
  readonly amount: Amount
  readonly seed: number
}

export interface ShardFailure {
  readonly message: string
  readonly stack?: string
  /** Present when a crash image was wrong. */
  readonly where?: string
  readonly replay?: ReplayData
}

/** And back. `fresh`: fingerprints of images that this process had not seen before. */
export type ShardMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'progress'; readonly text: string }
  | { readonly kind: 'row'; readonly row: SuiteRow; readonly durationMs: number; readonly fresh: Float64Array }
  | { readonly kind: 'done'; readonly durationMs: number; readonly fresh: Float64Array }
  | {
      readonly kind: 'failed'
      readonly durationMs: number
      readonly failure: ShardFailure
      readonly fresh: Float64Array
    }

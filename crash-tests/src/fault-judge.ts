import { DaxkvError } from '../../src/errors.js'
import { expectedCodes } from './fault-cases.js'
import type { FaultCall, FaultRule } from './faults.js'

export interface CaseResult {
  /** How often each call was made. */
  readonly made: ReadonlyMap<FaultCall, number>
  /** Code of the error, `carried on`, or `not reached`: the call was not made this time. */
  readonly outcome: string
}

/** Every failure is a DaxkvError with a code that fits, and names errno and file. Throws when it is not. */
export function judgeFailure(error: unknown, rule: FaultRule | undefined, path: string, hits: number): string {
  // A worker thread makes some calls, and how many depends on which thread is faster.
  if (rule !== undefined && hits === 0 && error === undefined) return 'not reached'
  if (error === undefined) return 'carried on'
  if (rule === undefined) throw new Error('failed without a fault', { cause: error })
  if (!(error instanceof DaxkvError)) throw new Error('an exception of another kind came out', { cause: error })
  // A checkpoint after a commit failed: the commit stands, and the next call is told.
  const { code, errno } = error.code === 'POISONED' && error.cause instanceof DaxkvError ? error.cause : error
  // Half of a write is a success: only what it leads to may be an error.
  const codes = rule.action === 'short' ? ['IO_ERROR', 'NO_SPACE'] : expectedCodes(rule)
  if (!codes.includes(code)) throw new Error(`${code} instead of ${codes.join(' or ')}`, { cause: error })
  if (rule.errno !== undefined && errno !== rule.errno) {
    throw new Error(`the error names errno ${String(errno)}`, { cause: error })
  }
  if (!error.message.includes(path)) throw new Error('the error does not name the file', { cause: error })
  return error.code
}

export function codeOf(call: () => unknown): string | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    return error instanceof DaxkvError ? error.code : String(error)
  }
}

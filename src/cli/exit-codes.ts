import { DaxkvError, type DaxkvErrorCode } from '../index.js'
import { CliError, type CliErrorCode } from './cli-error.js'

/** What the exit status of every command means; documented in `docs/cli.md` and at the end of `daxkv --help`. */
export const EXIT_OK = 0
/** The answer is no: no such key or keyspace, key exists already, file system not good. */
export const EXIT_NEGATIVE = 1
/** Wrong arguments or wrong input. */
export const EXIT_USAGE = 2
/** The pool is damaged. */
export const EXIT_DAMAGED = 3
/** The pool cannot be opened (or not in this way, or not now). */
export const EXIT_CANNOT_OPEN = 4
/** Anything else that went wrong: disk full, input or output errors, a failed persist. */
export const EXIT_FAILED = 5
/** Stopped by SIGINT or SIGTERM after finishing the transaction at hand. */
export const EXIT_INTERRUPTED = 130

export const EXIT_CODES_HELP = `Exit status:
  0  done
  1  the answer is no: no such key or keyspace, key exists already, not a good file system
  2  wrong arguments or input
  3  the pool is damaged
  4  the pool cannot be opened (missing, locked, not a pool, needs recovery ...)
  5  failed while working: disk full, input or output error, failed persist`

const LIBRARY_CODES: Partial<Record<DaxkvErrorCode, number>> = {
  INVALID_ARGUMENT: EXIT_USAGE,
  UNKNOWN_OPTION: EXIT_USAGE,
  KEY_TOO_LONG: EXIT_USAGE,
  VALUE_TOO_LARGE: EXIT_USAGE,
  ENCODING_MISMATCH: EXIT_USAGE,
  POOL_LOCKED: EXIT_CANNOT_OPEN,
  POOL_ALREADY_OPEN: EXIT_CANNOT_OPEN,
  POOL_NOT_FOUND: EXIT_CANNOT_OPEN,
  PERMISSION_DENIED: EXIT_CANNOT_OPEN,
  NOT_A_POOL: EXIT_CANNOT_OPEN,
  UNSUPPORTED_FORMAT: EXIT_CANNOT_OPEN,
  NEEDS_RECOVERY: EXIT_CANNOT_OPEN,
  GRANULARITY_UNAVAILABLE: EXIT_CANNOT_OPEN,
  EXTENTS_UNSAFE: EXIT_CANNOT_OPEN,
  UNSUPPORTED_TARGET: EXIT_CANNOT_OPEN,
  NATIVE_UNAVAILABLE: EXIT_CANNOT_OPEN,
  TRUNCATED: EXIT_DAMAGED,
  CORRUPT: EXIT_DAMAGED,
  MEDIA_ERROR: EXIT_DAMAGED,
}

const CLI_CODES: Record<CliErrorCode, number> = {
  USAGE: EXIT_USAGE,
  BAD_INPUT: EXIT_USAGE,
  KEYSPACE_NOT_FOUND: EXIT_NEGATIVE,
  KEY_NOT_FOUND: EXIT_NEGATIVE,
  KEY_EXISTS: EXIT_NEGATIVE,
  DAMAGED: EXIT_DAMAGED,
  UNSUPPORTED_VALUE: EXIT_FAILED,
  INTERRUPTED: EXIT_INTERRUPTED,
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof DaxkvError) return LIBRARY_CODES[error.code] ?? EXIT_FAILED
  if (error instanceof CliError) return CLI_CODES[error.code]
  return EXIT_FAILED
}

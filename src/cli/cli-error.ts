/** Errors the command line finds by itself; those of the library keep their own codes (`docs/errors.md`). */
export type CliErrorCode =
  | 'USAGE' // arguments that make no sense
  | 'BAD_INPUT' // what `load` or `put` was given to read
  | 'KEYSPACE_NOT_FOUND'
  | 'KEY_NOT_FOUND'
  | 'KEY_EXISTS' // put --if-absent
  | 'DAMAGED' // check found problems
  | 'UNSUPPORTED_VALUE' // a value JSON cannot carry, not even tagged
  | 'INTERRUPTED' // load, stopped by a signal

export class CliError extends Error {
  override readonly name = 'CliError'

  constructor(
    readonly code: CliErrorCode,
    message: string,
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause })
  }
}

/**
 * The one error family of the library. Codes are stable and documented in `docs/errors.md`; messages say what
 * happened, to which file, the limit and the actual value, and what to do next.
 */
export type DaxkvErrorCode =
  // the caller's input
  | 'INVALID_ARGUMENT' // a wrong type or value; the message names the argument
  | 'UNKNOWN_OPTION' // a misspelt option name; the message says which was probably meant
  | 'KEY_TOO_LONG'
  | 'VALUE_TOO_LARGE'
  | 'ENCODING_MISMATCH' // a keyspace exists with other encodings
  // the life of a store
  | 'CLOSED'
  | 'READ_ONLY'
  | 'BUSY' // the call is not legal here (a write inside withView, close inside a transaction ...)
  | 'ASYNC_TRANSACTION' // a synchronous transaction callback returned a Promise
  | 'TX_TOO_LARGE' // staging or log limit
  | 'CONFLICT'
  | 'POISONED' // an earlier persist failed: only reopening continues
  | 'PERSIST_FAILED' // the persist that poisons the store
  // opening
  | 'POOL_LOCKED' // another process has it
  | 'POOL_ALREADY_OPEN' // this process has it
  | 'POOL_NOT_FOUND'
  | 'PERMISSION_DENIED'
  | 'NOT_A_POOL'
  | 'UNSUPPORTED_FORMAT' // newer format version or unknown incompatible feature
  | 'TRUNCATED' // the file is shorter than its capacity
  | 'NEEDS_RECOVERY' // read-only open of a pool that was not closed cleanly
  | 'GRANULARITY_UNAVAILABLE'
  | 'EXTENTS_UNSAFE' // holes, unwritten or shared extents that could not be repaired
  | 'UNSUPPORTED_TARGET' // device-dax, directory, a runtime that forbids external memory ...
  | 'NATIVE_UNAVAILABLE' // the addon could not be loaded
  | 'PORTABLE_UNAVAILABLE' // the package mmap-io, which the portable executor needs, could not be loaded
  // data
  | 'CORRUPT' // a checksum or a structural rule is violated
  | 'MEDIA_ERROR' // the mapping faulted: truncated file or poisoned memory
  | 'NO_SPACE' // disk or maxSizeBytes is exhausted
  | 'IO_ERROR' // a system call failed in another way
  | 'INTERNAL' // an assertion of the library failed

/** Extra facts of an error, present where they make sense. */
export interface DaxkvErrorDetails {
  /** Pool file the error is about. */
  readonly path?: string
  /** Byte offset in the pool file and length of the damaged or lost range. */
  readonly offset?: number
  readonly length?: number
  /** Errno name of the failed system call, such as `ENOSPC`. */
  readonly errno?: string
  /** Limit and the value that exceeded it. */
  readonly limit?: number
  readonly actual?: number
  readonly cause?: unknown
}

/** Every error the library throws on purpose; `code` is stable across versions. */
export class DaxkvError extends Error {
  override readonly name = 'DaxkvError'
  readonly code: DaxkvErrorCode
  readonly path?: string
  readonly offset?: number
  readonly length?: number
  readonly errno?: string
  readonly limit?: number
  readonly actual?: number

  constructor(code: DaxkvErrorCode, message: string, details: DaxkvErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    if (details.path !== undefined) this.path = details.path
    if (details.offset !== undefined) this.offset = details.offset
    if (details.length !== undefined) this.length = details.length
    if (details.errno !== undefined) this.errno = details.errno
    if (details.limit !== undefined) this.limit = details.limit
    if (details.actual !== undefined) this.actual = details.actual
  }

  /** The same error with the pool file it is about, which the lower layers do not know. */
  locatedIn(path: string): DaxkvError {
    const { message, stack, offset, length, errno, limit, actual, cause } = this
    const located = new DaxkvError(this.code, `${path}: ${message}`, {
      path,
      ...(offset === undefined ? {} : { offset }),
      ...(length === undefined ? {} : { length }),
      ...(errno === undefined ? {} : { errno }),
      ...(limit === undefined ? {} : { limit }),
      ...(actual === undefined ? {} : { actual }),
      ...(cause === undefined ? {} : { cause }),
    })
    // Where it was found says more than where it was told the path.
    if (stack !== undefined) located.stack = stack.replace(message, () => located.message)
    return located
  }
}

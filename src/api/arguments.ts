/** Checks of arguments that the compiler vouches for in TypeScript, and nobody in JavaScript. */
import { describe } from '../codec/key-codec.js'
import { DaxkvError } from '../errors.js'

/** @throws DaxkvError INVALID_ARGUMENT */
export function checkFunction(call: string, argument: string, actual: unknown): void {
  if (typeof actual === 'function') return
  throw new DaxkvError('INVALID_ARGUMENT', `${call}: ${argument} must be a function, not ${describe(actual)}`)
}

/** @throws DaxkvError INVALID_ARGUMENT */
export function checkIterable(call: string, argument: string, actual: unknown): void {
  const iterable = typeof actual === 'object' && actual !== null && Symbol.iterator in actual
  if (iterable && typeof actual[Symbol.iterator] === 'function') return
  throw new DaxkvError('INVALID_ARGUMENT', `${call}: ${argument} must be iterable, not ${describe(actual)}`)
}

/** A pool path: something `fs.open` can take. @throws DaxkvError INVALID_ARGUMENT */
export function checkPath(path: unknown): asserts path is string {
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return
  throw new DaxkvError('INVALID_ARGUMENT', `open: path must be a non-empty string without NUL, not ${describe(path)}`)
}

/** The type of a batch operation. @throws DaxkvError INVALID_ARGUMENT */
export function checkOperation(operation: unknown, index: number): void {
  const type = typeof operation === 'object' && operation !== null && 'type' in operation ? operation.type : undefined
  if (type === 'put' || type === 'del') return
  throw new DaxkvError(
    'INVALID_ARGUMENT',
    `batch: operation ${index} must have type 'put' or 'del', not ${describe(type)}`,
  )
}

export function valueTooLarge(actual: number, limit: number): DaxkvError {
  return new DaxkvError(
    'VALUE_TOO_LARGE',
    `the value has ${actual} encoded bytes, the limit of this pool is ${limit} (what a segment can hold)`,
    { limit, actual },
  )
}

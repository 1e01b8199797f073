import { DaxkvError } from './errors.js'

/** Bounds of a numeric option. */
export interface NumberBounds {
  readonly min?: number
  readonly max?: number
  /** The value must be a multiple of this. */
  readonly multipleOf?: number
}

/**
 * Checks an options argument before anything is read from it: it must be absent or an object, and hold only known
 * names. An option whose value is undefined counts as not given.
 *
 * @param what names the call in messages, such as `open` or `range`
 * @throws `INVALID_ARGUMENT` for something that is not an object, `UNKNOWN_OPTION` for an unknown name
 */
export function checkOptions(given: unknown, known: readonly string[], what: string): CheckedOptions {
  if (given === undefined) return new CheckedOptions(NO_OPTIONS, what)
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    throw new DaxkvError('INVALID_ARGUMENT', `${what}: options must be an object, not ${printed(given)}`)
  }
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue
    const nearest = nearestName(name, known)
    const advice =
      nearest !== undefined
        ? `did you mean '${nearest}'?`
        : known.length > 0
          ? `known options: ${known.join(', ')}`
          : 'it takes no options'
    throw new DaxkvError('UNKNOWN_OPTION', `${what}: unknown option '${name}'; ${advice}`)
  }
  return new CheckedOptions(given as Readonly<Record<string, unknown>>, what)
}

const NO_OPTIONS: Readonly<Record<string, unknown>> = Object.freeze({})

/** Typed access to options whose names have been checked. Every reader throws `INVALID_ARGUMENT` for a wrong value. */
export class CheckedOptions {
  private readonly given: Readonly<Record<string, unknown>>
  private readonly what: string

  constructor(given: Readonly<Record<string, unknown>>, what: string) {
    this.given = given
    this.what = what
  }

  boolean<D>(name: string, fallback: D): boolean | D {
    const value = this.given[name]
    if (value === undefined) return fallback
    if (typeof value !== 'boolean') throw this.invalid(name, 'true or false', value)
    return value
  }

  string<D>(name: string, fallback: D): string | D {
    const value = this.given[name]
    if (value === undefined) return fallback
    if (typeof value !== 'string') throw this.invalid(name, 'a string', value)
    return value
  }

  oneOf<const T extends string, D>(name: string, allowed: readonly T[], fallback: D): T | D {
    const value = this.given[name]
    if (value === undefined) return fallback
    if (!allowed.includes(value as T)) throw this.invalid(name, allowed.map((one) => `'${one}'`).join(' or '), value)
    return value as T
  }

  /** An integer, from 0 on unless the bounds say otherwise. */
  integer<D>(name: string, fallback: D, bounds: NumberBounds = {}): number | D {
    return this.number(name, fallback, bounds, 'an integer')
  }

  /** A size in bytes: a positive integer. */
  byteSize<D>(name: string, fallback: D, bounds: NumberBounds = {}): number | D {
    return this.number(name, fallback, { min: 1, ...bounds }, 'a number of bytes')
  }

  /** A function; its signature cannot be checked, the caller asserts it. */
  function<D>(name: string, fallback: D): ((...args: never[]) => unknown) | D {
    const value = this.given[name]
    if (value === undefined) return fallback
    if (typeof value !== 'function') throw this.invalid(name, 'a function', value)
    return value as (...args: never[]) => unknown
  }

  /** A value of any type, for options whose check lies elsewhere (keys, snapshots). */
  value(name: string): unknown {
    return this.given[name]
  }

  /** The error for a value that failed a check of the caller's. */
  invalid(name: string, expected: string, actual: unknown): DaxkvError {
    return new DaxkvError(
      'INVALID_ARGUMENT',
      `${this.what}: option '${name}' must be ${expected}, not ${printed(actual)}`,
    )
  }

  private number<D>(name: string, fallback: D, bounds: NumberBounds, noun: string): number | D {
    const value = this.given[name]
    if (value === undefined) return fallback
    const { min = 0, max = Number.MAX_SAFE_INTEGER, multipleOf = 1 } = bounds
    if (
      typeof value !== 'number' ||
      !Number.isSafeInteger(value) ||
      value < min ||
      value > max ||
      value % multipleOf !== 0
    ) {
      const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
      const multiple = multipleOf === 1 ? '' : ` and a multiple of ${multipleOf}`
      throw this.invalid(name, `${noun} ${range}${multiple}`, value)
    }
    return value
  }
}

function printed(value: unknown): string {
  if (typeof value === 'string') return value.length > 60 ? `a string of ${value.length} characters` : `'${value}'`
  if (typeof value === 'bigint') return `the bigint ${value}`
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  return typeof value === 'function' || typeof value === 'symbol' ? `a ${typeof value}` : String(value)
}

/** The known name a misspelt one was probably meant to be, or undefined when none is near. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const wanted = name.toLowerCase()
  let nearest: string | undefined
  // A third of the letters may be wrong; beyond that a suggestion would mislead.
  let best = Math.max(2, Math.floor(wanted.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.toLowerCase())
    if (distance < best) {
      best = distance
      nearest = candidate
    }
  }
  // A name without its unit or its qualifier: growthStep for growthStepBytes, granularity for requireGranularity.
  return (
    nearest ?? (wanted.length > 3 ? known.find((candidate) => candidate.toLowerCase().includes(wanted)) : undefined)
  )
}

/** Levenshtein distance: single letters inserted, deleted or replaced. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const replaced = previous[column - 1] + (a[row - 1] === b[column - 1] ? 0 : 1)
      current.push(Math.min(replaced, previous[column] + 1, current[column - 1] + 1))
    }
    previous = current
  }
  return previous[b.length]
}

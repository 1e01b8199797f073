/**
 * JSON that loses nothing: what JSON has no word for is written as an object `{"$daxkv": type, "data": ...}`, so that
 * `dump` and `load` carry every value a pool can hold. An object of the user's own that has a property `$daxkv`
 * is wrapped in the type `object`.
 */
import { CliError } from './cli-error.js'

const TAG = '$daxkv'

type Tagged = Record<string, unknown>

const TYPED_ARRAYS = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
} as const

const ERRORS: Record<string, ErrorConstructor> = {
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
}

/** One line of JSON, or several with `indent`. */
export function stringifyTagged(value: unknown, indent?: number): string {
  return JSON.stringify(toTagged(value), undefined, indent)
}

/** The value with everything beyond JSON replaced by tagged objects. */
export function toTagged(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) ? value : tagged('number', String(value))
    case 'bigint':
      return tagged('bigint', value.toString())
    case 'undefined':
      return { [TAG]: 'undefined' }
    case 'object':
      return value === null ? null : objectToTagged(value)
    default:
      throw new CliError('UNSUPPORTED_VALUE', `JSON cannot carry a ${typeof value}; read this value with the library`)
  }
}

function objectToTagged(value: object): unknown {
  if (Array.isArray(value)) return value.map(toTagged)
  if (Buffer.isBuffer(value)) return tagged('binary', value.toString('base64'))
  if (value instanceof Date) return tagged('date', Number.isNaN(value.getTime()) ? null : value.toISOString())
  if (value instanceof Map)
    return tagged(
      'map',
      Array.from(value, ([key, item]) => [toTagged(key), toTagged(item)]),
    )
  if (value instanceof Set) return tagged('set', Array.from(value, toTagged))
  if (value instanceof RegExp) return { ...tagged('regexp', value.source), flags: value.flags }
  if (value instanceof Error) return { ...tagged('error', value.message), name: value.name }
  if (value instanceof ArrayBuffer) return tagged('array-buffer', Buffer.from(value).toString('base64'))
  if (ArrayBuffer.isView(value)) {
    const name = value.constructor.name
    if (!Object.hasOwn(TYPED_ARRAYS, name)) {
      throw new CliError('UNSUPPORTED_VALUE', `JSON cannot carry a ${name}; read this value with the library`)
    }
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    return { ...tagged('typed-array', bytes.toString('base64')), of: name }
  }
  // fromEntries defines properties, so that one named __proto__ stays an ordinary one.
  const plain = Object.fromEntries(Object.entries(value).map(([name, item]) => [name, toTagged(item)]))
  return Object.hasOwn(value, TAG) ? tagged('object', plain) : plain
}

/** The inverse of `toTagged`; plain JSON stays as it is. */
export function fromTagged(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(fromTagged)
  if (Object.hasOwn(value, TAG)) return untag(value as Tagged)
  return properties(value)
}

function untag(value: Tagged): unknown {
  const { [TAG]: type, data } = value
  switch (type) {
    case 'number':
      if (data === 'NaN' || data === 'Infinity' || data === '-Infinity') return Number(data)
      break
    case 'bigint':
      if (typeof data === 'string' && /^-?\d+$/.test(data)) return BigInt(data)
      break
    case 'undefined':
      return undefined
    case 'binary':
      if (typeof data === 'string') return Buffer.from(data, 'base64')
      break
    case 'date':
      if (data === null || typeof data === 'string') return new Date(data ?? Number.NaN)
      break
    case 'map':
      if (isPairs(data)) return new Map(data.map(([key, item]) => [fromTagged(key), fromTagged(item)]))
      break
    case 'set':
      if (Array.isArray(data)) return new Set(data.map(fromTagged))
      break
    case 'regexp':
      if (typeof data === 'string' && typeof value['flags'] === 'string') return toRegExp(data, value['flags'])
      break
    case 'error':
      if (typeof data === 'string') return toError(String(value['name']), data)
      break
    case 'array-buffer':
      if (typeof data === 'string') return bytesOf(data)
      break
    case 'typed-array': {
      const name = value['of']
      if (typeof data === 'string' && typeof name === 'string' && Object.hasOwn(TYPED_ARRAYS, name)) {
        return toTypedArray(name as keyof typeof TYPED_ARRAYS, data)
      }
      break
    }
    case 'object':
      if (typeof data === 'object' && data !== null) return properties(data)
      break
  }
  throw new CliError('BAD_INPUT', `not a tagged value: ${JSON.stringify(value).slice(0, 80)}`)
}

function tagged(type: string, data: unknown): Tagged {
  return { [TAG]: type, data }
}

function properties(value: object): object {
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, fromTagged(item)]))
}

function isPairs(data: unknown): data is [unknown, unknown][] {
  return Array.isArray(data) && data.every((pair) => Array.isArray(pair) && pair.length === 2)
}

function bytesOf(base64: string): ArrayBuffer {
  const bytes = Buffer.from(base64, 'base64')
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
}

function toTypedArray(name: keyof typeof TYPED_ARRAYS, base64: string): unknown {
  try {
    return new TYPED_ARRAYS[name](bytesOf(base64))
  } catch (error) {
    throw new CliError('BAD_INPUT', `not the bytes of a ${name}`, error)
  }
}

function toRegExp(source: string, flags: string): RegExp {
  try {
    return new RegExp(source, flags)
  } catch (error) {
    throw new CliError('BAD_INPUT', `not a regular expression: /${source}/${flags}`, error)
  }
}

function toError(name: string, message: string): Error {
  const constructor = Object.hasOwn(ERRORS, name) ? ERRORS[name] : Error
  const error = new constructor(message)
  if (error.name !== name) error.name = name
  return error
}

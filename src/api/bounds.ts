/** From bounds as the caller gives them (keys) to bounds as a tree takes them (bytes). */
import { keyCodec } from '../codec/key-codecs.js'
import { KEY_TARGET_BYTES, type KeyCodec } from '../codec/key-codec.js'
import { DaxkvError } from '../errors.js'
import { type CheckedOptions, checkOptions } from '../options.js'
import type { KeyRange } from '../tree/cursor.js'
import type { AnyKey } from './types.js'

/** A range ready to be walked. */
export interface RangePlan {
  readonly range: KeyRange
  readonly limit: number
  readonly offset: number
  /** The bounds exclude every key: nothing needs to be read. */
  readonly empty: boolean
  /** No bounds at all. */
  readonly whole: boolean
}

const BOUND_NAMES = ['gt', 'gte', 'lt', 'lte', 'prefix'] as const
const RANGE_NAMES = [...BOUND_NAMES, 'reverse', 'limit', 'offset'] as const

/** First byte of every string, and of every array that begins with one, in ordered keys. */
const ORDERED_STRING_FIRST_BYTE = 27

const EVERYTHING: RangePlan = Object.freeze({ range: {}, limit: Infinity, offset: 0, empty: false, whole: true })

/** Checks and encodes the options of an iteration or a count. */
export function planRange<K>(options: unknown, codec: KeyCodec<K>, what: string): RangePlan {
  if (options === undefined) return EVERYTHING
  const checked = checkOptions(options, RANGE_NAMES, what)
  const limit = checked.value('limit') === Infinity ? Infinity : checked.integer('limit', Infinity)
  const offset = checked.integer('offset', 0)
  const reverse = checked.boolean('reverse', false)
  return plan(checked, codec, what, reverse, limit, offset)
}

/** Checks and encodes bounds alone, for `first` and `last`. */
export function planBounds<K>(bounds: unknown, codec: KeyCodec<K>, what: string, reverse: boolean): RangePlan {
  return plan(checkOptions(bounds, BOUND_NAMES, what), codec, what, reverse, 1, 0)
}

/** Checks and encodes the bounds of a deletion, where a bound that is forgotten or undefined would do harm. */
export function planDeletion<K>(bounds: unknown, codec: KeyCodec<K>): RangePlan {
  const checked = checkOptions(bounds, BOUND_NAMES, 'deleteRange')
  const given = Object.entries(bounds ?? {})
  for (const [name, value] of given) {
    if (value === undefined) throw checked.invalid(name, 'a key (leave the bound out to have none)', value)
  }
  if (given.length === 0) {
    throw new DaxkvError(
      'INVALID_ARGUMENT',
      'deleteRange: give at least one bound, or use clear() to remove everything',
    )
  }
  return plan(checked, codec, 'deleteRange', false, Infinity, 0)
}

function plan<K>(
  checked: CheckedOptions,
  codec: KeyCodec<K>,
  what: string,
  reverse: boolean,
  limit: number,
  offset: number,
): RangePlan {
  let gt = encodeBound(checked, 'gt', codec)
  let gte = encodeBound(checked, 'gte', codec)
  const lt = encodeBound(checked, 'lt', codec)
  const lte = encodeBound(checked, 'lte', codec)
  if (gt !== undefined && gte !== undefined) throw twoBounds(what, 'gt', 'gte')
  if (lt !== undefined && lte !== undefined) throw twoBounds(what, 'lt', 'lte')
  const prefix = checked.value('prefix')
  if (prefix !== undefined) {
    const bytes = encodePrefix(prefix, codec, checked)
    const lower = gt ?? gte
    if (lower === undefined || lower.compare(bytes) < 0) {
      gte = bytes
      gt = undefined
    }
    const end = prefix === '' && codec.name === 'ordered' ? undefined : successor(bytes)
    const upper = lt ?? lte
    if (end !== undefined && (upper === undefined || upper.compare(end) >= 0)) {
      return finish(gt, gte, end, undefined, reverse, limit, offset)
    }
  }
  return finish(gt, gte, lt, lte, reverse, limit, offset)
}

function finish(
  gt: Buffer | undefined,
  gte: Buffer | undefined,
  lt: Buffer | undefined,
  lte: Buffer | undefined,
  reverse: boolean,
  limit: number,
  offset: number,
): RangePlan {
  const range: { gt?: Buffer; gte?: Buffer; lt?: Buffer; lte?: Buffer; reverse?: boolean } = {}
  if (gt !== undefined) range.gt = gt
  if (gte !== undefined) range.gte = gte
  if (lt !== undefined) range.lt = lt
  if (lte !== undefined) range.lte = lte
  if (reverse) range.reverse = true
  const lower = gt ?? gte
  const upper = lt ?? lte
  let empty = limit === 0
  if (lower !== undefined && upper !== undefined) {
    const order = lower.compare(upper)
    empty ||= order > 0 || (order === 0 && (gt !== undefined || lt !== undefined))
  }
  return { range, limit, offset, empty, whole: lower === undefined && upper === undefined }
}

const scratch = Buffer.alloc(KEY_TARGET_BYTES)

function encodeBound<K>(checked: CheckedOptions, name: string, codec: KeyCodec<K>): Buffer | undefined {
  const key = checked.value(name)
  // null is a key of ordered keyspaces; only undefined means "no bound".
  return key === undefined ? undefined : encodeKey(key as K, codec)
}

function encodeKey<K>(key: K, codec: KeyCodec<K>): Buffer {
  return Buffer.from(scratch.subarray(0, codec.encode(key, scratch, 0)))
}

function encodePrefix(prefix: unknown, codec: KeyCodec<unknown>, checked: CheckedOptions): Buffer {
  if (codec.name === 'uint32') throw checked.invalid('prefix', 'left out: uint32 keys have none', prefix)
  if (codec.name !== 'ordered') return encodeKey(prefix, codec)
  if (prefix === '') return Buffer.from([ORDERED_STRING_FIRST_BYTE])
  if (typeof prefix === 'string') return encodeKey(prefix, codec)
  if (!Array.isArray(prefix) || prefix.length === 0) {
    throw checked.invalid('prefix', 'a string or an array of at least one element', prefix)
  }
  // What all arrays with these first elements begin with ends in a separator: null is the element of one byte.
  const longer = encodeKey([...(prefix as AnyKey[]), null], keyCodec('ordered') as KeyCodec<unknown>)
  return longer.subarray(0, longer.length - 1)
}

/** The lowest byte string above all that begin with these bytes; undefined when there is none. */
function successor(bytes: Buffer): Buffer | undefined {
  let length = bytes.length
  while (length > 0 && bytes[length - 1] === 0xff) length--
  if (length === 0) return undefined
  const next = Buffer.from(bytes.subarray(0, length))
  next[length - 1] += 1
  return next
}

function twoBounds(what: string, one: string, other: string): DaxkvError {
  return new DaxkvError('INVALID_ARGUMENT', `${what}: '${one}' and '${other}' exclude each other; give one of them`)
}

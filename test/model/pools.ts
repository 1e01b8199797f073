/**
 * Keys and values the model tests draw from, by encoding. A test case names them by number, so that it shrinks and prints
 * well; different numbers always give different keys and values.
 */
import type { AnyKey, KeyEncoding, ValueEncoding } from '../../src/index.js'

export const KEY_COUNT = 160
export const VALUE_COUNT = 60

/** Lengths from nothing to the limit; with keys of a thousand bytes a node holds two or three, so trees get deep. */
function fillerLength(index: number): number {
  return index % 3 === 0 ? index % 7 : (index * 617) % 1700
}

function text(index: number): string {
  const number = String(index).padStart(3, '0')
  if (index === 0) return ''
  if (index % 10 === 1) return `ä${'€'.repeat(index)}${number}`
  if (index % 10 === 2) return `😀${number}`
  // Neighbours that differ in their last bytes only, unlike all others: no prefix to cut off and no short separator.
  if (index % 2 === 1) {
    const group = Math.floor(index / 16)
    return `${'abc'[group % 3]}${String(group).padStart(2, '0')}${'g'.repeat(1890)}${number}`
  }
  // Many long keys share their first thousand bytes: prefix truncation has something to do.
  const shared = index % 4 === 0 ? 'shared'.repeat(index % 8 === 0 ? 200 : 2) : ''
  return `${shared}${'abc'[index % 3]}${number}${'x'.repeat(shared.length > 1000 ? index % 50 : fillerLength(index))}`
}

function ordered(index: number): AnyKey {
  switch (index % 8) {
    case 0:
      return index === 0 ? null : index === 8 ? false : index === 16 ? true : [index, null]
    case 1:
      return index - 80
    case 2:
      return (index - 80) * 1e10 + 0.5
    case 3:
      return ['pair', index % 5, `${index} ${text(index).slice(0, 1000)}`]
    default:
      return text(index)
  }
}

function binary(index: number): Buffer {
  if (index === 0) return Buffer.alloc(0)
  const head = index % 5 === 0 ? Buffer.alloc(index % 4, 0xff) : Buffer.alloc((index % 6) * 100, index % 2)
  return Buffer.concat([head, Buffer.from([index]), Buffer.alloc(fillerLength(index) % 1300, index)])
}

export function keyPool(encoding: KeyEncoding): AnyKey[] {
  const make = {
    ordered,
    utf8: text,
    binary,
    uint32: (index: number) => (index % 2 === 0 ? index : 0xffff_ffff - index),
  }[encoding]
  return Array.from({ length: KEY_COUNT }, (_, index) => make(index))
}

const SHAPES = 45 // more than can be shared

function structured(index: number, json: boolean): unknown {
  switch (index % 6) {
    case 0:
      return { [`field${index % SHAPES}`]: index, name: `name ${index}` }
    case 1:
      return index - 30
    case 2:
      return `text ${index} ${'y'.repeat(index * 40)}`
    case 3:
      return [index, null, true, { deep: { index } }]
    case 4:
      return json ? { large: 'z'.repeat(index * 150), index } : { bytes: Buffer.alloc(index * 150, index), index }
    default:
      return json
        ? { index }
        : new Map<unknown, unknown>([
            ['index', index],
            [2, new Date(index)],
          ])
  }
}

export function valuePool(encoding: ValueEncoding): unknown[] {
  const make = {
    msgpack: (index: number) => structured(index, false),
    json: (index: number) => structured(index, true),
    string: (index: number) => (index === 0 ? '' : `${index} ${'ü'.repeat((index * index * 3) % 6000)}`),
    binary: (index: number) =>
      index === 0
        ? Buffer.alloc(0)
        : Buffer.concat([Buffer.from([index]), Buffer.alloc((index * index * 7) % 12_000, index)]),
  }[encoding]
  return Array.from({ length: VALUE_COUNT }, (_, index) => make(index))
}

/** The order of keys as documented, written down without looking at their bytes. */
export function compareKeys(a: AnyKey, b: AnyKey): number {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b)
  const [left, right] = [a, b].map((key) => (Array.isArray(key) ? (key as AnyKey[]) : [key])) as [AnyKey[], AnyKey[]]
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = compareScalars(left[i], right[i])
    if (order !== 0) return order
  }
  return left.length - right.length
}

function compareScalars(a: AnyKey, b: AnyKey): number {
  const rank = (key: AnyKey): number => ['object', 'boolean', 'number', 'string'].indexOf(typeof key)
  if (rank(a) !== rank(b)) return rank(a) - rank(b)
  if (typeof a === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b as string))
  return Number(a) - Number(b)
}

/** Prefixes worth asking for, made from a key; undefined where the encoding has none. */
export function prefixOf(encoding: KeyEncoding, key: AnyKey, length: number): AnyKey | undefined {
  if (typeof key === 'string') return key.slice(0, length).toWellFormed()
  if (Array.isArray(key)) return (key as AnyKey[]).slice(0, 1 + (length % 2)) as AnyKey
  if (key instanceof Uint8Array) return key.subarray(0, length)
  return encoding === 'ordered' ? '' : undefined
}

export function hasPrefix(key: AnyKey, prefix: AnyKey): boolean {
  if (prefix instanceof Uint8Array) return Buffer.from((key as Uint8Array).subarray(0, prefix.length)).equals(prefix)
  if (typeof prefix === 'string') {
    const first = Array.isArray(key) ? (key as AnyKey[])[0] : key
    return typeof first === 'string' && first.startsWith(prefix)
  }
  const elements = prefix as AnyKey[]
  if (!Array.isArray(key) || key.length <= elements.length) return false
  return elements.every((element, index) => element === key[index])
}

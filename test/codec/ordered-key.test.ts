import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { toBufferKey } from 'ordered-binary'
import { MAX_KEY_BYTES } from '../../src/codec/key-codec.js'
import { keyCodec } from '../../src/codec/key-codecs.js'
import { encodeOrderedPrefix } from '../../src/codec/ordered-key.js'
import type { OrderedKey, OrderedKeyElement } from '../../src/codec/ordered-key.js'
import { decodeAs, encodeKey, errorOf } from './helpers.js'

const ordered = keyCodec('ordered')
const encode = (key: OrderedKey): Buffer => encodeKey(ordered, key)

const wellFormed = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 120 }),
    fc.string({
      unit: fc.constantFrom('\0', '\x01', '\x04', '\x05', '\x1a', '\x1b', '\x1c', 'a', 'é', '€', '😀'),
      maxLength: 90,
    }),
    fc.string({ unit: 'grapheme-ascii', maxLength: 120 }),
  )
  .filter((text) => text.isWellFormed())
const number = fc
  .oneof(
    fc.double({ noNaN: true }),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.constantFrom(Infinity, -Infinity, 5e-324, -5e-324, 2 ** 53, 0.1, 1),
  )
  .map((value) => value + 0)
const element: fc.Arbitrary<OrderedKeyElement> = fc.oneof(wellFormed, number, fc.boolean(), fc.constant(null))
const key: fc.Arbitrary<OrderedKey> = fc.oneof(element, fc.array(element, { minLength: 2, maxLength: 5 }))

/** The documented order, written without regard to bytes. */
function compareElements(a: OrderedKeyElement, b: OrderedKeyElement): number {
  const rank = (value: OrderedKeyElement): number =>
    value === null ? 0 : typeof value === 'boolean' ? 1 : typeof value === 'number' ? 2 : 3
  if (rank(a) !== rank(b)) return rank(a) - rank(b)
  if (typeof a === 'string' && typeof b === 'string') {
    const left = Array.from(a).map((c) => c.codePointAt(0) ?? 0)
    const right = Array.from(b).map((c) => c.codePointAt(0) ?? 0)
    for (let i = 0; i < Math.min(left.length, right.length); i++) {
      if (left[i] !== right[i]) return left[i] - right[i]
    }
    return left.length - right.length
  }
  return Number(a) < Number(b) ? -1 : Number(a) > Number(b) ? 1 : 0
}

function compareKeys(a: OrderedKey, b: OrderedKey): number {
  const left = Array.isArray(a) ? (a as OrderedKeyElement[]) : [a as OrderedKeyElement]
  const right = Array.isArray(b) ? (b as OrderedKeyElement[]) : [b as OrderedKeyElement]
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = compareElements(left[i] ?? null, right[i] ?? null)
    if (order !== 0) return order
  }
  return left.length - right.length
}

test('every ordered key reads back as itself', () => {
  fc.assert(
    fc.property(key, (k) => {
      const bytes = encode(k)
      assert.deepEqual(decodeAs(ordered, bytes), k)
    }),
    { numRuns: 3000 },
  )
})

test('the bytes of ordered keys compare as documented', () => {
  fc.assert(
    fc.property(key, key, (a, b) => {
      assert.equal(Math.sign(Buffer.compare(encode(a), encode(b))), Math.sign(compareKeys(a, b)))
    }),
    { numRuns: 5000 },
  )
})

test('strings that differ in control characters only, short and long, stay in order', () => {
  const units = [
    '',
    '\0',
    '\x01',
    '\x04',
    '\x05',
    '\x1a',
    '\x1b',
    '\x1c',
    'a',
    '\x7f',
    '\x80',
    '\u07ff',
    '\u0800',
    '\uffff',
    '😀',
  ]
  for (const stem of ['', 'k', 'x'.repeat(27), 'x'.repeat(28), 'x'.repeat(63), 'x'.repeat(64), 'x'.repeat(200)]) {
    for (let i = 1; i < units.length; i++) {
      const before = encode(stem + units[i - 1])
      const after = encode(stem + units[i])
      assert.ok(Buffer.compare(before, after) < 0, JSON.stringify([stem, units[i - 1], units[i]]))
      assert.equal(decodeAs(ordered, after), stem + units[i])
      const inArray: OrderedKey = [stem + units[i], 7]
      assert.deepEqual(decodeAs(ordered, encode(inArray)), inArray)
    }
  }
})

test('the bytes are those of the ordered-binary package', () => {
  // Beyond 63 characters that package forgets its own escapes; plain text is the same at every length.
  const text = fc.oneof(
    wellFormed.filter((s) => s.length < 64),
    fc.string({ unit: 'grapheme-ascii', maxLength: 1500 }),
  )
  const part = fc.oneof(text, number, fc.boolean(), fc.constant(null))
  fc.assert(
    fc.property(fc.oneof(part, fc.array(part, { minLength: 2, maxLength: 3 })), (k) => {
      fc.pre(!Array.isArray(k) || k.join('').length < 1500)
      assert.deepEqual(encode(k), Buffer.from(toBufferKey(k as string)))
    }),
    { numRuns: 3000 },
  )
})

test('bytes that are no ordered key are CORRUPT, never another value', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      let decoded: OrderedKey
      try {
        decoded = decodeAs(ordered, Buffer.from(bytes))
      } catch (error) {
        assert.equal(errorOf(error).code, 'CORRUPT')
        return
      }
      assert.deepEqual(encode(decoded), Buffer.from(bytes))
    }),
    { numRuns: 10_000 },
  )
})

test('what would not read back or not be ordered is rejected', () => {
  const rejected: unknown[] = [
    undefined,
    NaN,
    1n,
    2n ** 70n,
    Symbol('s'),
    Buffer.from('b'),
    new Uint8Array(2),
    new Date(),
    {},
    () => 1,
    [],
    ['one'],
    [1, undefined],
    [1, NaN],
    [1, [2, 3]],
    [1, 2n],
    '\ud800',
    'x'.repeat(50) + '\udc00',
    ['a', '\ud800'],
  ]
  for (const value of rejected) {
    assert.throws(() => encode(value as OrderedKey), { name: 'DaxkvError', code: 'INVALID_ARGUMENT' })
  }
  assert.throws(() => encode(5n as unknown as string), /the bigint 5 .*'binary'/)
  assert.throws(() => encode(Buffer.from('b') as unknown as string), /a Buffer .*'binary'/)
})

test('-0 is stored as 0', () => {
  assert.deepEqual(encode(-0), encode(0))
  assert.deepEqual(encode([-0, 'a']), encode([0, 'a']))
  assert.ok(Object.is(decodeAs(ordered, encode(-0)), 0))
})

test('a key of exactly the limit is taken, one byte more is KEY_TOO_LONG, and nothing is written past the target room', () => {
  const fits: OrderedKey[] = [
    'a'.repeat(MAX_KEY_BYTES),
    '\0'.repeat((MAX_KEY_BYTES - 2) / 2),
    'é'.repeat(MAX_KEY_BYTES / 2),
    ['a'.repeat(MAX_KEY_BYTES - 11), 'b', 1].slice(0, 2),
    ['a'.repeat(MAX_KEY_BYTES - 10), 1],
  ]
  for (const k of fits) assert.deepEqual(decodeAs(ordered, encode(k)), k)
  const tooLong: OrderedKey[] = [
    'a'.repeat(MAX_KEY_BYTES + 1),
    '\x1b' + 'a'.repeat(MAX_KEY_BYTES - 1),
    '\0'.repeat(MAX_KEY_BYTES / 2),
    'é'.repeat(MAX_KEY_BYTES / 2) + 'a',
    '€'.repeat(MAX_KEY_BYTES),
    'a'.repeat(1_000_000),
    ['a'.repeat(MAX_KEY_BYTES), 1],
    ['a'.repeat(MAX_KEY_BYTES - 10), 1, null],
    Array.from({ length: 500 }, (_, i) => i),
    Array.from({ length: 500 }, () => 'x'.repeat(200)),
  ]
  for (const k of tooLong) {
    const target = Buffer.alloc(8192, 0xee)
    assert.throws(
      () => ordered.encode(k, target, 2048),
      (error) => {
        const { code, limit, actual } = errorOf(error)
        assert.equal(code, 'KEY_TOO_LONG')
        assert.equal(limit, MAX_KEY_BYTES)
        assert.ok(Number(actual) > MAX_KEY_BYTES, `actual ${actual}`)
        return true
      },
    )
    assert.ok(target.subarray(4096).every((byte) => byte === 0xee))
    assert.ok(target.subarray(0, 2048).every((byte) => byte === 0xee))
  }
})

test('a prefix of elements stands before exactly the array keys that begin with them', () => {
  fc.assert(
    fc.property(fc.array(element, { minLength: 1, maxLength: 3 }), key, (prefix, other) => {
      const target = Buffer.alloc(4096)
      const common = target.subarray(0, encodeOrderedPrefix(prefix, target, 0))
      const from = Buffer.concat([common, Buffer.from([0])])
      const to = Buffer.concat([common, Buffer.from([1])])
      for (const candidate of [
        other,
        [...prefix, null],
        [...prefix, ...(Array.isArray(other) ? (other as string[]) : [other as string])],
      ]) {
        const bytes = encode(candidate)
        const inRange = Buffer.compare(bytes, from) >= 0 && Buffer.compare(bytes, to) < 0
        const begins =
          Array.isArray(candidate) &&
          candidate.length > prefix.length &&
          compareKeys(candidate.slice(0, prefix.length) as OrderedKeyElement[], prefix) === 0
        assert.equal(inRange, begins)
      }
    }),
  )
})

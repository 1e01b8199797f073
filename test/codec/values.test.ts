import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ValueEncoding } from '../../src/codec/value-codec.js'
import { createValueCodec } from '../../src/codec/value-codecs.js'
import { errorOf } from './helpers.js'

const none = { loadStructures: () => undefined, saveStructures: () => {} }
const encodings: ValueEncoding[] = ['msgpack', 'json', 'string', 'binary']

function roundTrip(name: ValueEncoding, value: unknown): unknown {
  const codec = createValueCodec(name, none)
  const bytes = codec.encode(value)
  const source = Buffer.concat([Buffer.alloc(5, 0xc1), bytes, Buffer.alloc(5, 0xc1)])
  const before = Buffer.from(source)
  const decoded: unknown = codec.decode(source, 5, 5 + bytes.length)
  assert.deepEqual(source, before)
  assert.equal(Object.hasOwn(source, 'dataView'), false, 'no property may be added to the store’s Buffer')
  source.fill(0x7f)
  return decoded
}

test('undefined is an error in every encoding', () => {
  for (const name of encodings) {
    assert.throws(() => createValueCodec(name, none).encode(undefined), { code: 'INVALID_ARGUMENT' })
  }
})

test('json keeps every JSON value, lone surrogates too', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      assert.deepEqual(roundTrip('json', value), JSON.parse(JSON.stringify(value)))
    }),
  )
  assert.equal(roundTrip('json', 'a\ud800'), 'a\ud800')
  const cycle: unknown[] = []
  cycle.push(cycle)
  for (const value of [1n, cycle, () => 1, Symbol('s')]) {
    assert.throws(() => roundTrip('json', value), { code: 'INVALID_ARGUMENT' })
  }
})

test('string keeps every well-formed string, and rejects a lone surrogate', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      if (text.isWellFormed()) assert.equal(roundTrip('string', text), text)
      else assert.throws(() => roundTrip('string', text), { code: 'INVALID_ARGUMENT' })
    }),
  )
  for (const length of [0, 1, 21_845, 21_846, 70_000]) {
    for (const unit of ['a', 'é', '€']) assert.equal(roundTrip('string', unit.repeat(length)), unit.repeat(length))
  }
  assert.throws(() => roundTrip('string', 1), { code: 'INVALID_ARGUMENT' })
})

test('binary comes back as a Buffer that is a copy, at every size class', () => {
  for (const length of [0, 1, 24, 25, 100, 4096, 4097, 100_000]) {
    const bytes = new Uint8Array(length).map((_, i) => i * 7)
    const decoded = roundTrip('binary', bytes)
    assert.ok(Buffer.isBuffer(decoded))
    assert.deepEqual(decoded, Buffer.from(bytes))
  }
  // Pooled copies must not overlap.
  const codec = createValueCodec('binary', none)
  const source = Buffer.alloc(5000).map((_, i) => i % 251)
  const copies = Array.from({ length: 300 }, (_, i) => codec.decode(Buffer.from(source), i, i + 1 + ((i * 13) % 1000)))
  copies.forEach((copy, i) => assert.deepEqual(copy, source.subarray(i, i + 1 + ((i * 13) % 1000))))
  assert.throws(() => roundTrip('binary', 'text'), { code: 'INVALID_ARGUMENT' })
})

test('msgpack keeps JSON values and the types beyond JSON', () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: true }), (value) => {
      const expected = JSON.parse(JSON.stringify(value), (_, v: unknown) => (Object.is(v, -0) ? 0 : v)) as unknown
      fc.pre(!JSON.stringify(value).includes('__proto__'))
      assert.deepEqual(roundTrip('msgpack', value), expected)
    }),
  )
  const beyond: unknown[] = [
    null,
    true,
    NaN,
    Infinity,
    -Infinity,
    2 ** 53,
    1.5,
    'text',
    '€'.repeat(100),
    5n,
    -5n,
    2n ** 63n,
    2n ** 64n,
    -(2n ** 200n),
    2n ** 3000n,
    new Date(0),
    new Date('2024-02-29T12:34:56.789Z'),
    new Date(-1),
    new Date(-62135596800000),
    new Map<unknown, unknown>([
      [1, 'a'],
      ['k', { x: 1 }],
    ]),
    new Set([1, 'b', { y: 2 }]),
    /a+b/gi,
    { a: undefined, b: null },
    [undefined, 1],
    {},
    [[]],
    [{}, {}],
    Buffer.from('bytes'),
    new Uint8Array([1, 2, 3]),
    new Uint8ClampedArray([1, 300]),
    new Int16Array([-1, 2]),
    new Float64Array([1.5, NaN]),
    new BigInt64Array([5n]),
    new Uint8Array([1, 2]).buffer,
  ]
  for (const value of beyond) assert.deepEqual(roundTrip('msgpack', value), value)
  assert.deepEqual(roundTrip('msgpack', { all: beyond }), { all: beyond })
  class Point {
    constructor(readonly x: number) {}
  }
  assert.deepEqual(roundTrip('msgpack', new Point(3)), { x: 3 })
})

test('msgpack refuses cycles, symbols and functions', () => {
  const cycle: Record<string, unknown> = { name: 'cycle' }
  cycle['self'] = cycle
  for (const value of [cycle, Symbol('s'), () => 1, { s: Symbol('s') }]) {
    assert.throws(() => roundTrip('msgpack', value), { code: 'INVALID_ARGUMENT' })
  }
  // and goes on working
  assert.deepEqual(roundTrip('msgpack', { name: 'ada' }), { name: 'ada' })
})

test('an error thrown by a toJSON of the user is the cause', () => {
  const own = new Error('mine')
  class Hostile {
    toJSON(): never {
      throw own
    }
  }
  for (const name of ['msgpack', 'json'] as const) {
    assert.throws(
      () => roundTrip(name, new Hostile()),
      (error) => errorOf(error).cause === own,
    )
  }
})

test('large msgpack values leave no large buffer behind', () => {
  const codec = createValueCodec('msgpack', none)
  const large = codec.encode('x'.repeat(5 << 20))
  assert.equal(large.length, (5 << 20) + 5)
  assert.ok(codec.encode('small').buffer.byteLength <= 65536)
})

test('damaged value bytes give CORRUPT or another value, never a hang or another error', () => {
  const seedValues = [
    { id: 1, name: 'ada', tags: ['a', 'b'], when: new Date(), blob: Buffer.alloc(20), set: new Set([1]), re: /x/ },
    [new Map([[1, 2]]), 2n ** 100n, new Float32Array(4), 'x'.repeat(300)],
  ]
  for (const name of ['msgpack', 'json'] as const) {
    const codec = createValueCodec(name, none)
    for (const value of seedValues) {
      const bytes = name === 'json' ? Buffer.from('{"a":[1,2,{"b":"text"}]}') : Buffer.from(codec.encode(value))
      fc.assert(
        fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, byte, length) => {
          const damaged = Buffer.from(bytes)
          damaged[at] = byte
          const big = Buffer.concat([damaged.subarray(0, length), Buffer.alloc(1000, 0xdd)])
          try {
            codec.decode(big, 0, length)
          } catch (error) {
            assert.equal(errorOf(error).code, 'CORRUPT')
          }
        }),
        { numRuns: 3000 },
      )
    }
  }
  const codec = createValueCodec('msgpack', none)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        codec.decode(Buffer.from(bytes), 0, bytes.length)
      } catch (error) {
        assert.equal(errorOf(error).code, 'CORRUPT')
      }
    }),
    { numRuns: 5000 },
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_KEY_BYTES } from '../../src/codec/key-codec.js'
import { keyCodec } from '../../src/codec/key-codecs.js'
import { decodeAs, encodeKey } from './helpers.js'

const utf8 = keyCodec('utf8')
const binary = keyCodec('binary')
const uint32 = keyCodec('uint32')

test('utf8 keys are their UTF-8 bytes and read back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
      if (!text.isWellFormed()) {
        assert.throws(() => encodeKey(utf8, text), { code: 'INVALID_ARGUMENT' })
        return
      }
      const bytes = encodeKey(utf8, text)
      assert.deepEqual(bytes, Buffer.from(text))
      assert.equal(decodeAs(utf8, bytes), text)
    }),
    { numRuns: 2000 },
  )
})

test('a lone surrogate is rejected in short and long utf8 keys', () => {
  for (const text of ['\ud800', 'a\udfff', 'x'.repeat(100) + '\ud83d']) {
    assert.throws(() => encodeKey(utf8, text), { code: 'INVALID_ARGUMENT' })
  }
})

test('bytes that are not UTF-8 are CORRUPT, a stored replacement character is not', () => {
  assert.throws(() => decodeAs(utf8, Buffer.from([0x61, 0xff])), { code: 'CORRUPT' })
  assert.equal(decodeAs(utf8, Buffer.from('a\ufffdb')), 'a\ufffdb')
})

test('binary keys come back as copies', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const source = encodeKey(binary, bytes)
      const decoded = binary.decode(source, 0, source.length) as Buffer
      assert.ok(Buffer.isBuffer(decoded))
      assert.deepEqual(decoded, Buffer.from(bytes))
      source.fill(0xbb)
      assert.deepEqual(decoded, Buffer.from(bytes))
    }),
  )
})

test('uint32 keys are four big-endian bytes', () => {
  for (const value of [0, 1, 255, 256, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
    const bytes = encodeKey(uint32, value)
    assert.equal(bytes.readUInt32BE(0), value)
    assert.equal(bytes.length, 4)
    assert.equal(decodeAs(uint32, bytes), value)
  }
  for (const value of [-1, 2 ** 32, 0.5, NaN, '1', 1n, undefined]) {
    assert.throws(() => encodeKey(uint32, value as number), { code: 'INVALID_ARGUMENT' })
  }
  assert.throws(() => decodeAs(uint32, Buffer.alloc(5)), { code: 'CORRUPT' })
})

test('the empty key is legal in utf8 and binary', () => {
  assert.equal(decodeAs(utf8, encodeKey(utf8, '')), '')
  assert.equal(decodeAs(binary, encodeKey(binary, new Uint8Array())).length, 0)
})

test('the limit is named', () => {
  assert.equal(encodeKey(utf8, 'a'.repeat(MAX_KEY_BYTES)).length, MAX_KEY_BYTES)
  for (const [codec, key, actual] of [
    [utf8, 'a'.repeat(MAX_KEY_BYTES + 1), MAX_KEY_BYTES + 1],
    [utf8, '€'.repeat(MAX_KEY_BYTES), 3 * MAX_KEY_BYTES],
    [binary, new Uint8Array(5000), 5000],
  ] as const) {
    assert.throws(() => encodeKey<never>(codec as never, key as never), {
      code: 'KEY_TOO_LONG',
      limit: MAX_KEY_BYTES,
      actual,
      message: new RegExp(`${MAX_KEY_BYTES}.*${actual}`),
    })
  }
})

test('wrong types and unknown encodings are rejected', () => {
  assert.throws(() => encodeKey(utf8, 1 as unknown as string), { code: 'INVALID_ARGUMENT' })
  assert.throws(() => encodeKey(binary, 'a' as unknown as Buffer), { code: 'INVALID_ARGUMENT' })
  assert.throws(() => keyCodec('constructor' as 'utf8'), { code: 'INVALID_ARGUMENT' })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import xxhash from 'xxhash-wasm'
import { nativeAddon } from '../../src/pmem/native-binding.js'
import { OP_CHECKSUM_FRESH, OP_FENCE, OP_STORE, PAGE_BYTES } from '../../src/pmem/program.js'
import { lineHash, pageChecksum, ready, xxh64 } from '../../src/pmem/xxh64.js'
import { runWords, stagingFrame, withPool } from './native-support.js'

const word = fc.integer({ min: 0, max: 0xffffffff })

test('the addon, xxhash-wasm and the wrapper give the same XXH64', async () => {
  const wasm = await xxhash()
  await ready
  const native = new Uint32Array(2)
  const wrapped = new Uint32Array(2)
  const check = (bytes: Uint8Array, lo: number, hi: number): void => {
    nativeAddon().xxh64(bytes, lo, hi, native)
    xxh64(bytes, lo, hi, wrapped)
    const expected = wasm.h64Raw(bytes, (BigInt(hi) << 32n) | BigInt(lo))
    assert.equal((BigInt(native[1]) << 32n) | BigInt(native[0]), expected)
    assert.deepEqual(wrapped, native)
  }
  for (let length = 0; length <= 200; length++)
    check(
      Uint8Array.from({ length }, (_, i) => i * 7),
      length,
      3,
    )
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ minLength: 4000, maxLength: 4200 }))
  fc.assert(fc.property(bytes, word, word, check), { numRuns: 300 })
})

test('inputs larger than one piece are hashed as one stream', async () => {
  await ready
  const bytes = Uint8Array.from({ length: 200_001 }, (_, i) => i ^ (i >>> 8))
  const native = new Uint32Array(2)
  const wrapped = new Uint32Array(2)
  nativeAddon().xxh64(bytes, 1, 2, native)
  xxh64(bytes, 1, 2, wrapped)
  assert.deepEqual(wrapped, native)
})

test('a result array that is too small or of another type is refused by the addon', () => {
  const addon = nativeAddon()
  assert.throws(() => addon.xxh64(new Uint8Array(1), 0, 0, new Uint32Array(1)), RangeError)
  assert.throws(() => addon.xxh64(new Uint8Array(1), 0, 0, new Uint8Array(8) as unknown as Uint32Array), TypeError)
  assert.throws(() => addon.xxh64(new Uint8Array(1), -1, 0, new Uint32Array(2)), TypeError)
})

test('page checksums of the TypeScript side agree with the executor, which ignores the checksum field', async () => {
  await ready
  await withPool({ forceGranularity: 'cache-line' }, ({ memory }) => {
    const frame = stagingFrame(memory, 3)
    for (let i = 0; i < PAGE_BYTES; i++) frame[i] = i * 31
    runWords(memory, [OP_CHECKSUM_FRESH, 9, 3, OP_STORE, 9, 3, 0xffffffff, 0xffffffff, OP_FENCE])
    const checksum = new Uint32Array(2)
    pageChecksum(memory.segments[0].u8, 9 * PAGE_BYTES, 9, checksum)
    assert.deepEqual(
      [...checksum],
      [...memory.segments[0].u32.subarray((9 * PAGE_BYTES) / 4, (9 * PAGE_BYTES) / 4 + 2)],
    )
    assert.ok(memory.verifyPage(9))
    assert.ok(!memory.verifyPage(8))
  })
})

test('a line hash depends on page and line, also above 2^26 pages', async () => {
  await ready
  const bytes = new Uint8Array(PAGE_BYTES)
  const seen = new Set<string>()
  const out = new Uint32Array(2)
  for (const pageId of [0, 1, 2 ** 26, 2 ** 26 + 1, 2 ** 32 - 1]) {
    for (const line of [0, 1, 63]) {
      lineHash(bytes, 0, pageId, line, out)
      seen.add(`${out[0]} ${out[1]}`)
      const expected = new Uint32Array(2)
      const seed = BigInt(pageId) * 64n + BigInt(line)
      nativeAddon().xxh64(bytes.subarray(0, 64), Number(seed & 0xffffffffn), Number(seed >> 32n), expected)
      assert.deepEqual(out, expected)
    }
  }
  assert.equal(seen.size, 15)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  OP_CHECKSUM,
  OP_CHECKSUM_FRESH,
  OP_FENCE,
  OP_FLUSH,
  OP_STORE,
  OP_SYNC_ALL,
  PAGE_BYTES,
} from '../../src/pmem/program.js'
import { frame, page, pattern, referenceChecksum, referenceHash, run, smallPool } from './simulated-support.js'

const ALL = 0xffffffff

test('a store copies exactly the masked lines, in any segment, and flushes each', () => {
  const memory = smallPool()
  frame(memory, 3).set(pattern(PAGE_BYTES, 1))
  run(memory, OP_STORE, 6, 3, 0b101, 0x80000000)
  const expected = Buffer.alloc(PAGE_BYTES)
  for (const line of [0, 2, 63]) frame(memory, 3).copy(expected, line * 64, line * 64, line * 64 + 64)
  assert.deepEqual(page(memory, 6), expected)
  assert.equal(memory.counters.flushedLines, 3)
  assert.equal(memory.counters.fences, 0)
  assert.ok(
    memory
      .image()
      .subarray(0, 6 * PAGE_BYTES)
      .every((byte) => byte === 0),
  )
})

test('a whole page is written past the cache', () => {
  const memory = smallPool()
  run(memory, OP_STORE, 6, 3, ALL, ALL)
  assert.deepEqual([memory.counters.flushedLines, memory.counters.nonTemporalLines], [0, 64])
})

test('frames of later staging chunks are found', () => {
  const memory = smallPool()
  memory.addStagingChunk()
  frame(memory, 130).set(pattern(PAGE_BYTES, 2))
  run(memory, OP_STORE, 0, 130, ALL, ALL)
  assert.deepEqual(page(memory, 0), frame(memory, 130))
})

test('the checksum of a fresh page is the XOR of its keyed line hashes with the field itself as zero', () => {
  const memory = smallPool()
  frame(memory, 0).set(pattern(PAGE_BYTES, 3))
  run(memory, OP_CHECKSUM_FRESH, 7, 0)
  assert.equal(frame(memory, 0).readBigUInt64LE(0), referenceChecksum(7, frame(memory, 0)))
  assert.equal(memory.verifyPage(7), false, 'the pool is not touched')
  run(memory, OP_STORE, 7, 0, ALL, ALL)
  assert.equal(memory.verifyPage(7), true)
})

test('a checksum brought up to date from dirty lines equals one computed anew', () => {
  const memory = smallPool()
  frame(memory, 0).set(pattern(PAGE_BYTES, 4))
  run(memory, OP_CHECKSUM_FRESH, 5, 0, OP_STORE, 5, 0, ALL, ALL)
  page(memory, 5).copy(frame(memory, 1))
  frame(memory, 1).set(pattern(64, 5), 40 * 64)
  frame(memory, 1).set(pattern(20, 6), 20)
  run(memory, OP_CHECKSUM, 5, 1, 1, 1 << 8)
  assert.equal(frame(memory, 1).readBigUInt64LE(0), referenceChecksum(5, frame(memory, 1)))
  run(memory, OP_STORE, 5, 1, 1, 1 << 8, OP_FENCE)
  assert.equal(memory.verifyPage(5), true)
  page(memory, 5)[4000] ^= 1
  assert.equal(memory.verifyPage(5), false)
})

test('exchanged lines and exchanged pages have another checksum', () => {
  const memory = smallPool()
  frame(memory, 0).set(pattern(PAGE_BYTES, 7))
  run(memory, OP_CHECKSUM_FRESH, 1, 0, OP_STORE, 1, 0, ALL, ALL, OP_STORE, 2, 0, ALL, ALL)
  assert.equal(memory.verifyPage(1), true)
  assert.equal(memory.verifyPage(2), false)
  const [first, second] = [page(memory, 1).subarray(64, 128), page(memory, 1).subarray(128, 192)]
  const saved = Buffer.from(first)
  first.set(second)
  second.set(saved)
  assert.equal(memory.verifyPage(1), false)
})

test('flush, fence and sync-all change no byte and are counted', () => {
  const memory = smallPool()
  run(memory, OP_FLUSH, 9, 0xf0, 1, OP_FENCE, OP_SYNC_ALL)
  assert.ok(memory.image().every((byte) => byte === 0))
  assert.deepEqual(memory.counters, {
    fences: 2,
    flushedLines: 5,
    nonTemporalLines: 0,
    syncs: 1,
    programs: 1,
    backgroundSyncs: 0,
  })
})

test('under granularity byte there is nothing to flush', () => {
  const memory = smallPool(10, { granularity: 'byte' })
  run(memory, OP_STORE, 9, 0, 0xf0, 1, OP_FLUSH, 9, 0xf0, 1, OP_FENCE)
  assert.deepEqual(memory.counters, {
    fences: 1,
    flushedLines: 0,
    nonTemporalLines: 0,
    syncs: 0,
    programs: 1,
    backgroundSyncs: 0,
  })
})

test('under granularity page a fence is an msync, if there is anything to sync', () => {
  const memory = smallPool(10, { granularity: 'page' })
  run(memory, OP_FENCE, OP_FLUSH, 0, 1, 0, OP_FENCE, OP_FENCE)
  assert.equal(memory.counters.syncs, 1)
})

test('an extent may cross segments, its hash is that of the bytes alone', () => {
  const memory = smallPool()
  const [written, read] = [new Uint32Array(2), new Uint32Array(2)]
  for (const byteLength of [0, 1, 64, 4095, 4096, 9000, 20000]) {
    const bytes = pattern(byteLength, byteLength)
    memory.writeExtent(3, bytes, written)
    memory.hashExtent(3, byteLength, read)
    assert.deepEqual(written, read)
    assert.equal(Buffer.from(written.buffer).readBigUInt64LE(0), referenceHash(bytes))
    assert.deepEqual(memory.image().subarray(3 * PAGE_BYTES, 3 * PAGE_BYTES + byteLength), bytes)
  }
  memory.hashExtent(1, 5000, read)
  assert.equal(Buffer.from(read.buffer).readBigUInt64LE(0), referenceHash(memory.image().subarray(4096, 9096)))
})

test('extents and pages outside the pool are refused', () => {
  const memory = smallPool()
  const out = new Uint32Array(2)
  assert.throws(() => memory.writeExtent(9, Buffer.alloc(4097), out), { code: 'INTERNAL' })
  assert.throws(() => memory.hashExtent(10, 1, out), { code: 'INTERNAL' })
  assert.throws(() => memory.hashExtent(-1, 1, out), { code: 'INTERNAL' })
  assert.throws(() => memory.verifyPage(10), { code: 'INTERNAL' })
})

test('growth adds zero pages and segments, the size never shrinks', () => {
  const memory = smallPool(3)
  frame(memory, 0).fill(1)
  run(memory, OP_STORE, 2, 0, ALL, ALL)
  memory.grow(9 * PAGE_BYTES)
  assert.equal(memory.sizeBytes, 9 * PAGE_BYTES)
  assert.equal(memory.segments.length, 3)
  assert.ok(
    memory
      .image()
      .subarray(3 * PAGE_BYTES)
      .every((byte) => byte === 0),
  )
  run(memory, OP_STORE, 8, 0, ALL, ALL)
  assert.equal(page(memory, 8)[0], 1)
  assert.throws(() => memory.grow(3 * PAGE_BYTES), { code: 'INVALID_ARGUMENT' })
  assert.throws(() => memory.grow(9 * PAGE_BYTES + 1), { code: 'INVALID_ARGUMENT' })
})

test('what lies beyond a limit is out of reach, and zero once the pool has grown over it', () => {
  const memory = smallPool(10, { image: pattern(10 * PAGE_BYTES, 9) })
  memory.limitTo(6 * PAGE_BYTES)
  assert.equal(memory.sizeBytes, 6 * PAGE_BYTES)
  assert.throws(() => run(memory, OP_FLUSH, 6, 1, 0), { code: 'INTERNAL' })
  assert.equal(memory.image().length, 10 * PAGE_BYTES)
  memory.grow(8 * PAGE_BYTES)
  const image = memory.image()
  assert.deepEqual(image.subarray(0, 6 * PAGE_BYTES), pattern(10 * PAGE_BYTES, 9).subarray(0, 6 * PAGE_BYTES))
  assert.ok(image.subarray(6 * PAGE_BYTES, 8 * PAGE_BYTES).every((byte) => byte === 0))
  assert.deepEqual(image.subarray(8 * PAGE_BYTES), pattern(10 * PAGE_BYTES, 9).subarray(8 * PAGE_BYTES))
  assert.throws(() => memory.limitTo(9 * PAGE_BYTES), { code: 'INTERNAL' })
})

test('an image is copied in, over segment borders, and cut at the size', () => {
  const image = pattern(11 * PAGE_BYTES, 8)
  const memory = smallPool(10, { image })
  assert.deepEqual(memory.image(), image.subarray(0, 10 * PAGE_BYTES))
  memory.segments[0].u8.fill(0)
  assert.notEqual(image[5], 0)
})

test('closing detaches every view and is idempotent', () => {
  const memory = smallPool(10, { record: true })
  const [segment, chunk] = [memory.segments[0], memory.stagingChunks[0]]
  memory.close()
  memory.close()
  assert.equal(segment.u8.length, 0)
  assert.equal(chunk.u32.length, 0)
  assert.throws(() => memory.run(0), { code: 'CLOSED' })
  assert.throws(() => memory.verifyPage(0), { code: 'CLOSED' })
  assert.equal(memory.trace().image.length, 10 * PAGE_BYTES)
})

test('the report says that nothing outlives the process', () => {
  const { persistence } = smallPool()
  assert.equal(persistence.executor, 'simulated')
  assert.match(persistence.reason, /in memory only/)
})

import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { nativeAddon } from '../../src/pmem/native-binding.js'
import type { PersistCounters } from '../../src/pmem/persistent-memory.js'
import * as P from '../../src/pmem/program.js'
import {
  FOLDERS,
  hasCode,
  randomWords,
  readFilePage,
  runWords,
  segmentOf,
  stagingFrame,
  withPool,
} from './native-support.js'

const FULL = 0xffffffff

function counts(counters: PersistCounters): number[] {
  return [counters.fences, counters.flushedLines, counters.nonTemporalLines, counters.syncs, counters.programs]
}

for (const folder of FOLDERS) {
  test(`a store changes exactly the masked lines of the file in ${folder}`, async () => {
    await withPool({ folder }, ({ memory, fd }) => {
      stagingFrame(memory, 5).fill(0xab)
      const before = readFilePage(fd, 7)
      runWords(memory, [P.OP_STORE, 7, 5, 0b1010, 0x80000000, P.OP_FENCE])
      const after = readFilePage(fd, 7)
      for (let line = 0; line < 64; line++) {
        const expected =
          line === 1 || line === 3 || line === 63 ? Buffer.alloc(64, 0xab) : before.subarray(line * 64, line * 64 + 64)
        assert.deepEqual(after.subarray(line * 64, line * 64 + 64), expected, `line ${line}`)
      }
      assert.ok(
        segmentOf(memory, 0)
          .u8.subarray(7 * 4096, 8 * 4096)
          .equals(after),
        'JavaScript sees the same bytes',
      )
    })
  })
}

// one page of two lines: a record of header + directory + two bodies, then two stores of two lines and of a full page
const PROGRAM = [
  ...[P.OP_CHECKSUM, 9, 0, 0b11, 0],
  ...[P.OP_RECORD, P.RECORD_UNDO, 1, 1, 1, 0, 1, 0, 5, 6, 0, 1, 9, 0, 0b11, 0],
  P.OP_FENCE,
  ...[P.OP_STORE, 9, 0, 0b11, 0],
  ...[P.OP_STORE, 10, 1, FULL, FULL],
  ...[P.OP_FLUSH, 11, 0b111, 0],
  P.OP_FENCE,
]

for (const [granularity, expected] of [
  ['byte', [2, 0, 68, 0, 1]],
  ['cache-line', [2, 5, 68, 0, 1]],
  ['page', [2, 5, 68, 2, 1]],
] as const) {
  test(`under granularity ${granularity} a commit costs exactly its fences, lines and syncs`, async () => {
    await withPool({ forceGranularity: granularity }, ({ memory }) => {
      runWords(memory, PROGRAM)
      assert.deepEqual(counts(memory.counters), expected)
      assert.equal(memory.persistence.granularity, granularity)
      assert.ok(memory.persistence.forced)
    })
  })
}

test('under granularity page a fence with nothing noted makes no system call', async () => {
  await withPool({ forceGranularity: 'page' }, ({ memory }) => {
    runWords(memory, [P.OP_FENCE, P.OP_STORE, 3, 0, 1, 0, P.OP_FENCE, P.OP_FENCE])
    assert.deepEqual(counts(memory.counters), [3, 1, 0, 1, 1])
    runWords(memory, [P.OP_STORE, 3, 0, 1, 0, P.OP_SYNC_ALL, P.OP_FENCE])
    assert.deepEqual(counts(memory.counters), [5, 2, 0, 2, 2])
  })
})

test('under granularity page stores in several segments cost one sync', async () => {
  await withPool({ forceGranularity: 'page', segmentShift: 3 }, ({ memory, fd }) => {
    assert.equal(memory.segments.length, 4)
    stagingFrame(memory, 0).fill(0x11)
    runWords(memory, [P.OP_STORE, 2, 0, FULL, FULL, P.OP_STORE, 30, 0, 1, 0, P.OP_FENCE])
    assert.equal(memory.counters.syncs, 1)
    assert.equal(readFilePage(fd, 30)[63], 0x11)
    assert.equal(segmentOf(memory, 3).u8[6 * 4096], 0x11)
  })
})

function hash(bytes: Uint8Array, seedLo: number, seedHi: number): number[] {
  const out = new Uint32Array(2)
  nativeAddon().xxh64(bytes, seedLo, seedHi, out)
  return [...out]
}

for (const kind of [P.RECORD_UNDO, P.RECORD_REDO]) {
  test(`a record of kind ${kind} has the documented layout and goes on in its extents`, async () => {
    await withPool({ forceGranularity: 'cache-line' }, ({ memory, fd }) => {
      stagingFrame(memory, 0).fill(0x55)
      stagingFrame(memory, 1).fill(0x66)
      const entries = [20, 0, 0b101, 0, 21, 1, FULL, FULL]
      const extents = [14, 1, 12, 1]
      const committed = Buffer.concat([readFilePage(fd, 20), readFilePage(fd, 21)])
      runWords(memory, [P.OP_RECORD, kind, 1, 1, 3, 4, 5, 6, 7, 8, 2, 2, ...extents, ...entries])
      const stream = Buffer.concat([readFilePage(fd, 1), readFilePage(fd, 14), readFilePage(fd, 12)])
      const total = P.recordLines(2, 2, 66)
      const header = new Uint32Array(stream.buffer, stream.byteOffset, 16)
      assert.deepEqual([...header.subarray(0, 10)], [P.RECORD_MAGIC, kind, 3, 4, 5, 6, 2, 66, 2, total])
      assert.deepEqual([...new Uint32Array(stream.buffer, stream.byteOffset + 64, 4)], extents)
      assert.deepEqual(
        [...new Uint32Array(stream.buffer, stream.byteOffset + 128, 8)],
        [20, 0b101, 0, 0, 21, FULL, FULL, 0],
      )
      const post = Buffer.concat([Buffer.alloc(128, 0x55), Buffer.alloc(4096, 0x66)])
      const pre = Buffer.concat([committed.subarray(0, 64), committed.subarray(128, 192), committed.subarray(4096)])
      assert.ok(stream.subarray(192, total * 64).equals(kind === P.RECORD_UNDO ? pre : post))
      const postHash = kind === P.RECORD_UNDO ? hash(post, 7, 8) : [0, 0]
      assert.deepEqual([...header.subarray(10, 14)], [...postHash, 0, 0])
      const whole = Buffer.from(stream.subarray(0, total * 64))
      whole.fill(0, P.RECORD_OFFSET_HASH, P.RECORD_OFFSET_HASH + 8)
      assert.deepEqual([...header.subarray(14)], hash(whole, 7, 8))
      assert.equal(memory.counters.nonTemporalLines, total)
    })
  })
}

const REFUSED: readonly (readonly [string, readonly number[], RegExp])[] = [
  ['an unknown operation', [99], /unknown operation/],
  ['a zero word', [0], /unknown operation/],
  ['a cut operation', [P.OP_STORE, 1, 0, 1], /cut off/],
  ['a page beyond the pool', [P.OP_STORE, 32, 0, 1, 0], /page id/],
  ['a frame that is not there', [P.OP_STORE, 1, 128, 1, 0], /frame/],
  ['an empty mask', [P.OP_STORE, 1, 0, 0, 0], /mask/],
  ['a checksum without line 0', [P.OP_CHECKSUM, 1, 0, 2, 0], /mask/],
  ['a flush of nothing', [P.OP_FLUSH, 1, 0, 0], /mask/],
  ['an unknown record kind', [P.OP_RECORD, 4, 1, 1, 1, 0, 1, 0, 5, 6, 0, 1, 9, 0, 1, 0], /kind/],
  [
    'a record on a line its page does not have',
    [P.OP_RECORD, 2 + 64 * 256, 1, 1, 1, 0, 1, 0, 5, 6, 0, 1, 9, 0, 1, 0],
    /slot/,
  ],
  [
    'a record with extents not on the first line',
    [P.OP_RECORD, 2 + 256, 1, 1, 1, 0, 1, 0, 5, 6, 1, 1, 7, 1, 9, 0, 1, 0],
    /slot/,
  ],
  [
    'a record that no longer fits where it begins',
    [P.OP_RECORD, 2 + 62 * 256, 1, 1, 1, 0, 1, 0, 5, 6, 0, 1, 9, 0, 1, 0],
    /does not fit/,
  ],
  ['a slot record not on the first line', [P.OP_RECORD, 3 + 256, 1, 1, 1, 0, 1, 0, 5, 6, 0, 1, 9, 0, 1, 0], /slot/],
  ['a slot record that logs nothing', [P.OP_RECORD, 3, 1, 1, 1, 0, 1, 0, 5, 6, 0, 1, 9, FULL, 1, 0], /without pages/],
  ['an unlogged frame that is none', [P.OP_RECORD, 3, 1, 1, 1, 0, 1, 0, 5, 6, 0, 1, 9, 0xfffffffe, 1, 0], /frame/],
  ['an applied record on a line its page does not have', [P.OP_APPLY, 1, 1, 64], /slot/],
  ['a checksum from a frame that is none', [P.OP_CHECKSUM_FROM, 1, 0, FULL, 1, 0], /frame/],
  ['a checksum from a frame without line 0', [P.OP_CHECKSUM_FROM, 1, 0, 1, 2, 0], /mask/],
  ['a record without pages', [P.OP_RECORD, 1, 1, 1, 1, 0, 1, 0, 5, 6, 0, 0], /without pages/],
  ['a slot beyond the pool', [P.OP_RECORD, 1, 31, 2, 1, 0, 1, 0, 5, 6, 0, 1, 9, 0, 1, 0], /slot/],
  ['an extent beyond the pool', [P.OP_RECORD, 1, 1, 1, 1, 0, 1, 0, 5, 6, 1, 1, FULL, 2, 9, 0, 1, 0], /extent/],
  ['an empty extent', [P.OP_RECORD, 1, 1, 1, 1, 0, 1, 0, 5, 6, 1, 1, 5, 0, 9, 0, 1, 0], /extent/],
  ['an extent on the slot', [P.OP_RECORD, 1, 1, 2, 1, 0, 1, 0, 5, 6, 1, 1, 2, 1, 9, 0, 1, 0], /overlap/],
  ['extents on each other', [P.OP_RECORD, 1, 1, 1, 1, 0, 1, 0, 5, 6, 2, 1, 6, 2, 5, 2, 9, 0, 1, 0], /overlap/],
  ['a covered page under the record', [P.OP_RECORD, 1, 1, 1, 1, 0, 1, 0, 5, 6, 1, 1, 8, 2, 9, 0, 1, 0], /overlap/],
  ['a record larger than its space', [P.OP_RECORD, 1, 1, 1, 1, 0, 1, 0, 5, 6, 0, 1, 9, 0, FULL, FULL], /does not fit/],
  ['counts beyond the program', [P.OP_RECORD, 1, 1, 1, 1, 0, 1, 0, 5, 6, FULL, FULL], /cut off/],
]

for (const [name, words, reason] of REFUSED) {
  test(`${name} is refused before the first store`, async () => {
    await withPool({ forceGranularity: 'cache-line' }, ({ memory, file }) => {
      const before = fs.readFileSync(file)
      stagingFrame(memory, 0).fill(0xee)
      assert.throws(
        () => runWords(memory, [P.OP_STORE, 4, 0, FULL, FULL, ...words]),
        (error: Error) => hasCode('INTERNAL')(error) && reason.test(error.message),
      )
      assert.ok(fs.readFileSync(file).equals(before))
      assert.deepEqual(counts(memory.counters), [0, 0, 0, 0, 0])
    })
  })
}

test('more words than the program holds are refused', async () => {
  await withPool({}, ({ memory }) => {
    assert.throws(() => memory.run(memory.program.length + 1), hasCode('INTERNAL'))
    assert.throws(() => memory.run(-1), hasCode('INTERNAL'))
  })
})

test('five thousand random programs never crash, and refused ones leave the file untouched', async () => {
  await withPool({ forceGranularity: 'cache-line', segmentShift: 2 }, ({ memory, file }) => {
    const random = randomWords(20261120)
    let before = fs.readFileSync(file)
    let refused = 0
    for (let round = 0; round < 5000; round++) {
      const length = random() % 24
      const words = Array.from({ length }, () => {
        const value = random()
        return value % 8 < 6 ? value % 40 : value % 8 === 6 ? 0xffffffff - (value % 3) : value
      })
      // half of them begin like something valid
      if (round % 2 === 0) words.unshift(P.OP_STORE, round % 32, round % 128, 1, 0)
      if (round % 3 === 0)
        words.unshift(P.OP_RECORD, 1 + (round % 2), 1, 2, 1, 0, 1, 0, 5, 6, random() % 3, random() % 3)
      try {
        runWords(memory, words)
        before = fs.readFileSync(file)
      } catch (error) {
        assert.ok(hasCode('INTERNAL')(error), String(error))
        assert.ok(fs.readFileSync(file).equals(before), `program ${words.join(' ')}`)
        refused++
      }
    }
    assert.ok(refused > 3000 && refused < 5000, `${refused} refused`)
    assert.equal(memory.takeFault(), undefined)
  })
})

test('an extent is written with its hash, also across segments, and read back', async () => {
  await withPool({ segmentShift: 2, forceGranularity: 'cache-line' }, ({ memory, fd }) => {
    for (const length of [0, 1, 63, 64, 65, 4095, 4096, 4097, 20_001]) {
      const bytes = Buffer.from(Array.from({ length }, (_, i) => i * 13 + length))
      const written = new Uint32Array(2)
      const read = new Uint32Array(2)
      memory.writeExtent(10, bytes, written)
      memory.hashExtent(10, length, read)
      assert.deepEqual([...written], hash(bytes, 0, 0))
      assert.deepEqual(read, written)
      const stored = Buffer.alloc(length)
      fs.readSync(fd, stored, 0, length, 10 * 4096)
      assert.ok(stored.equals(bytes))
    }
    assert.throws(() => memory.writeExtent(31, Buffer.alloc(4097), new Uint32Array(2)), hasCode('INTERNAL'))
    assert.throws(() => memory.hashExtent(32, 1, new Uint32Array(2)), hasCode('INTERNAL'))
    assert.throws(() => memory.verifyPage(32), hasCode('INTERNAL'))
  })
})

test('staging chunks come and go, and the program keeps its words when it grows', async () => {
  await withPool({}, ({ memory, fd }) => {
    memory.program[0] = 77
    const old = memory.program
    memory.reserveProgram(100_000)
    assert.ok(memory.program.length >= 100_000)
    assert.equal(memory.program[0], 77)
    assert.equal(old.length, 0)
    for (let i = 0; i < 20; i++) memory.addStagingChunk()
    const last = memory.stagingChunks[20]
    stagingFrame(memory, 20 * 128 + 5).fill(0x42)
    runWords(memory, [P.OP_STORE, 6, 20 * 128 + 5, FULL, FULL, P.OP_FENCE])
    assert.ok(readFilePage(fd, 6).every((byte) => byte === 0x42))
    memory.trimStagingChunks(1)
    assert.equal(memory.stagingChunks.length, 1)
    assert.equal(last.u8.length, 0)
    assert.throws(() => runWords(memory, [P.OP_STORE, 6, 128, 1, 0]), hasCode('INTERNAL'))
  })
})

test('staging chunks that share a stretch of memory are trimmed and added one by one', async () => {
  await withPool({}, ({ memory, fd }) => {
    for (let i = 1; i < 12; i++) memory.addStagingChunk()
    for (let chunk = 0; chunk < 12; chunk++) stagingFrame(memory, chunk * 128).fill(chunk + 1)
    // The second chunk of the first stretch, the first of which begins behind four chunks.
    memory.trimStagingChunks(6)
    for (let chunk = 0; chunk < 6; chunk++) assert.equal(stagingFrame(memory, chunk * 128)[9], chunk + 1)
    for (let chunk = 6; chunk < 11; chunk++) {
      memory.addStagingChunk()
      const frame = stagingFrame(memory, chunk * 128)
      assert.ok(frame.every((byte) => byte === 0))
      frame.fill(0x50 + chunk)
    }
    for (let chunk = 0; chunk < 11; chunk++) {
      runWords(memory, [P.OP_STORE, 6, chunk * 128, FULL, FULL, P.OP_FENCE])
      assert.ok(readFilePage(fd, 6).every((byte) => byte === (chunk < 6 ? chunk + 1 : 0x50 + chunk)))
    }
  })
})

test('a staging chunk that cannot be detached stays in both lists', async () => {
  const addon = nativeAddon()
  const openPool = addon.openPool.bind(addon)
  // Keeps one chunk more than it is asked to, as the addon does when V8 refuses to detach it.
  const reluctant: typeof openPool = (...args) => {
    const pool = openPool(...args)
    if (typeof pool === 'number') return pool
    const trimChunks = pool.trimChunks.bind(pool)
    return Object.assign(pool, { trimChunks: (keep: number) => trimChunks(keep + 1) })
  }
  Object.assign(addon, { openPool: reluctant })
  try {
    await withPool({}, ({ memory, fd }) => {
      for (let i = 0; i < 4; i++) memory.addStagingChunk()
      memory.trimStagingChunks(1)
      assert.equal(memory.stagingChunks.length, 2)
      memory.addStagingChunk()
      stagingFrame(memory, 2 * 128).fill(0x43)
      runWords(memory, [P.OP_STORE, 6, 2 * 128, FULL, FULL, P.OP_FENCE])
      assert.ok(readFilePage(fd, 6).every((byte) => byte === 0x43))
    })
  } finally {
    Object.assign(addon, { openPool })
  }
})

test('a read-only pool refuses programs, extents and growth, and can be verified', async () => {
  await withPool({ readOnly: true }, ({ memory }) => {
    assert.throws(() => memory.run(0), hasCode('READ_ONLY'))
    assert.throws(() => memory.writeExtent(1, Buffer.alloc(1), new Uint32Array(2)), hasCode('READ_ONLY'))
    assert.throws(() => memory.grow(1 << 20), hasCode('READ_ONLY'))
    assert.equal(segmentOf(memory, 0).u8[5 * 4096 + 2], 7)
    assert.equal(memory.verifyPage(3), false)
  })
})

test('under granularity page a lazy store or extent is noted for no msync, only OP_SYNC_ALL covers it', async () => {
  await withPool({ forceGranularity: 'page' }, ({ memory, fd }) => {
    stagingFrame(memory, 0).fill(0x21)
    runWords(memory, [P.OP_STORE_LAZY, 3, 0, 0b10, 0, P.OP_STORE_LAZY, 4, 0, FULL, FULL, P.OP_FENCE])
    memory.writeExtent(5, Buffer.alloc(5000, 0x22), new Uint32Array(2), true)
    runWords(memory, [P.OP_FENCE])
    assert.deepEqual(counts(memory.counters), [2, 0, 0, 0, 2])
    assert.deepEqual([readFilePage(fd, 3)[64], readFilePage(fd, 4)[4095], readFilePage(fd, 6)[0]], [0x21, 0x21, 0x22])
    runWords(memory, [P.OP_SYNC_ALL, P.OP_FENCE])
    assert.equal(memory.counters.syncs, 1)
  })
})

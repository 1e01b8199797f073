import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DaxkvError } from '../../src/errors.js'
import { popCount, validateProgram } from '../../src/pmem/program-validator.js'
import {
  FRAME_IN_POOL,
  FRAME_UNLOGGED,
  OP_APPLY,
  OP_CHECKSUM,
  OP_CHECKSUM_FRESH,
  OP_CHECKSUM_FROM,
  OP_FENCE,
  OP_FLUSH,
  OP_RECORD,
  OP_STORE,
  PAGE_BYTES,
  RECORD_FIRST_LINE,
} from '../../src/pmem/program.js'
import { run, smallPool } from './simulated-support.js'

const limits = { pageCount: 10, frameCount: 128 }
const MAX = 0xffffffff

function refused(words: number[], message: RegExp): void {
  assert.throws(
    () => validateProgram(Uint32Array.from(words), words.length, limits),
    (error) => error instanceof DaxkvError && error.code === 'INTERNAL' && message.test(error.message),
    words.join(' '),
  )
}

test('an operation that names no page, frame or line of this pool is refused', () => {
  refused([0], /unknown operation 0/)
  refused([11], /unknown operation 11/)
  refused([OP_STORE, 10, 0, 1, 0], /page 10 is outside/)
  refused([OP_STORE, MAX, 0, 1, 0], /page 4294967295 is outside/)
  refused([OP_STORE, 0, 128, 1, 0], /frame 128 is outside/)
  refused([OP_CHECKSUM, 10, 0, 1, 0], /page 10/)
  refused([OP_CHECKSUM, 0, 128, 1, 0], /frame 128/)
  refused([OP_CHECKSUM, 0, 0, 2, 0], /lacks line 0/)
  refused([OP_CHECKSUM_FROM, 10, 0, 0, 1, 0], /page 10/)
  refused([OP_CHECKSUM_FROM, 0, 128, 0, 1, 0], /frame 128/)
  refused([OP_CHECKSUM_FROM, 0, 0, 128, 1, 0], /frame 128/)
  refused([OP_CHECKSUM_FROM, 0, 0, 0, 2, 0], /lacks line 0/)
  refused([OP_APPLY, 9, 2, 0], /leave the pool/)
  refused([OP_APPLY, 9, 1, 64], /no line 64/)
  refused([OP_CHECKSUM_FRESH, 10, 0], /page 10/)
  refused([OP_CHECKSUM_FRESH, 0, 128], /frame 128/)
  refused([OP_FLUSH, 10, 1, 0], /page 10/)
  refused([OP_FLUSH, 1, 0, 0], /no line/)
  refused([OP_STORE, 0, 0, 0, 0], /no line/)
  refused([OP_CHECKSUM, 0, 0, 0, 0], /no line/)
})

test('an operation that ends before its operands is refused', () => {
  for (const [operation, length] of [
    [OP_CHECKSUM, 5],
    [OP_CHECKSUM_FRESH, 3],
    [OP_CHECKSUM_FROM, 6],
    [OP_APPLY, 4],
    [OP_STORE, 5],
    [OP_FLUSH, 4],
  ]) {
    refused([operation, ...new Array<number>(length - 2).fill(0)], /needs \d words/)
  }
  refused([OP_RECORD, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0], /needs 12 words/)
})

test('a record whose log, extents or pages leave the pool is refused, also where 32-bit sums would wrap', () => {
  const record = (logPage: number, logPages: number, extents: number[], pages: number[]): number[] => {
    return [
      OP_RECORD,
      1,
      logPage,
      logPages,
      1,
      0,
      1,
      0,
      0,
      0,
      extents.length / 2,
      pages.length / 4,
      ...extents,
      ...pages,
    ]
  }
  refused(record(0, 11, [], [0, 0, 1, 0]), /leave the pool/)
  refused(record(MAX, 2, [], [0, 0, 1, 0]), /leave the pool/)
  refused(record(2, MAX, [], [0, 0, 1, 0]), /leave the pool/)
  refused(record(0, 0, [], [0, 0, 1, 0]), /empty/)
  refused(record(0, 1, [9, 2], [0, 0, 1, 0]), /leave the pool/)
  refused(record(0, 1, [9, 0], [0, 0, 1, 0]), /empty/)
  refused(record(0, 1, [], [10, 0, 1, 0]), /page 10/)
  refused(record(0, 1, [], [9, 128, 1, 0]), /frame 128/)
  refused(record(0, 1, [], [9, 0xffffffff, 1, 0]), /frame 4294967295/)
  refused(record(0, 1, [], [9, 0, MAX, MAX]), /does not fit its 64 lines/)
  refused(record(0, 1, [], [9, 0, 0, 0]), /no line/)
  refused(record(0, 1, [], []), /covers no page/)
  refused(record(0, 2, [1, 1], [9, 0, 1, 0]), /page 1 is twice/)
  refused(record(4, 1, [6, 1, 2, 1, 5, 2], [9, 0, 1, 0]), /page 6 is twice/)
  refused(record(4, 1, [6, 1, 2, 1], [9, 0, 1, 0, 6, 0, 1, 0]), /page 6 is covered/)
  refused(record(0, 2, [], [1, 0, 1, 0]), /page 1 is covered/)
  const from = (kind: number, extents: number[]): number[] => {
    return [OP_RECORD, kind, 0, 1, 1, 0, 1, 0, 0, 0, extents.length / 2, 1, ...extents, 9, 0, 1, 0]
  }
  validateProgram(Uint32Array.from(from(2 + 61 * RECORD_FIRST_LINE, [])), 16, limits)
  refused(from(2 + 62 * RECORD_FIRST_LINE, []), /does not fit its 2 lines/)
  refused(from(2 + 64 * RECORD_FIRST_LINE, []), /no line 64/)
  refused(from(2 + RECORD_FIRST_LINE, [4, 1]), /extents begins on the first line/)
  refused([OP_RECORD, 4, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1, 9, 0, 1, 0], /unknown record kind 4/)
  const slot = (...pages: number[]): number[] => [OP_RECORD, 3, 0, 1, 1, 0, 1, 0, 0, 0, 0, pages.length / 4, ...pages]
  const freshPage = [8, FRAME_UNLOGGED + 1, MAX, MAX]
  validateProgram(Uint32Array.from(slot(9, 0, 1, 0, ...freshPage, 7, FRAME_IN_POOL, MAX, MAX)), 24, limits)
  refused(slot(...freshPage), /logs no line/)
  refused(slot(9, 0, 1, 0, 8, FRAME_UNLOGGED + 128, 1, 0), /frame 128/)
  refused(slot(9, 0, 1, 0, 10, FRAME_IN_POOL, 1, 0), /page 10/)
  refused(slot(9, 0, 1, 0, 0, FRAME_UNLOGGED, 1, 0), /page 0 is covered/)
  refused(from(3 + RECORD_FIRST_LINE, []), /slot record begins on the first line/)
  refused([OP_RECORD, 1, 0, 1, 1, 0, 1, 0, 0, 0, MAX, MAX], /needs \d+ words/)
  validateProgram(Uint32Array.from(record(0, 2, [4, 1], [9, 0, MAX, MAX])), 18, limits)
})

test('pages right before and behind the log of a record may be covered by it', () => {
  const directory = [1, 0, 1, 0, 4, 0, 1, 0, 6, 0, 1, 0]
  const words = [OP_RECORD, 1, 2, 2, 1, 0, 1, 0, 0, 0, 1, 3, 5, 1, ...directory]
  validateProgram(Uint32Array.from(words), words.length, limits)
})

test('a program longer than its buffer is refused', () => {
  assert.throws(() => validateProgram(new Uint32Array(4), 5, limits), { code: 'INTERNAL' })
  assert.throws(() => validateProgram(new Uint32Array(4), -1, limits), { code: 'INTERNAL' })
  assert.throws(() => validateProgram(new Uint32Array(4), 0.5, limits), { code: 'INTERNAL' })
})

test('bits are counted', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: MAX }), (mask) => {
      assert.equal(popCount(mask), mask.toString(2).replaceAll('0', '').length)
    }),
  )
})

test('any words either run whole, inside the pool, or are refused with nothing stored', () => {
  const word = fc.oneof(
    fc.integer({ min: 0, max: 12 }),
    fc.integer({ min: 0, max: 130 }),
    fc.integer({ min: 0, max: MAX }),
  )
  let accepted = 0
  fc.assert(
    fc.property(fc.array(word, { maxLength: 40 }), (words) => {
      const memory = smallPool(10, { record: true })
      try {
        run(memory, ...words)
        accepted++
      } catch (error) {
        assert.ok(error instanceof DaxkvError, String(error))
        // Whether a log holds the record that is to be applied is only known when its turn comes.
        if (error.code === 'PERSIST_FAILED' && words.includes(OP_APPLY)) return
        assert.equal(error.code, 'INTERNAL', String(error))
        assert.equal(memory.trace().events.count, 0)
        assert.equal(memory.counters.programs, 0)
      }
      assert.ok(memory.segments.every((view) => view.u8.length === 4 * PAGE_BYTES))
    }),
    { numRuns: 2000 },
  )
  assert.ok(accepted > 20, `only ${accepted} programs were valid`)
})

test('a fault in the last operation keeps the first from being run', () => {
  const memory = smallPool(10, { record: true })
  assert.throws(() => run(memory, OP_STORE, 0, 0, 1, 0, OP_FENCE, OP_STORE, 10, 0, 1, 0), { code: 'INTERNAL' })
  assert.equal(memory.trace().events.count, 0)
})

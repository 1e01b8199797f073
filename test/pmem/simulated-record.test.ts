import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OP_FENCE, OP_RECORD, PAGE_BYTES, RECORD_REDO, RECORD_UNDO, recordLines } from '../../src/pmem/program.js'
import type { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { frame, page, pattern, referenceHash, run, smallPool } from './simulated-support.js'

interface CoveredPage {
  pageId: number
  frame: number
  lines: number[]
}

interface RecordInput {
  kind: number
  slot: [page: number, pages: number]
  extents: [page: number, pages: number][]
  epoch: [number, number]
  txid: [number, number]
  salt: [number, number]
  pages: CoveredPage[]
}

function mask(lines: number[]): bigint {
  return lines.reduce((bits, line) => bits | (1n << BigInt(line)), 0n)
}

/** The words of OP_RECORD. */
function recordProgram(input: RecordInput): number[] {
  const directory = input.pages.flatMap((item) => {
    const bits = mask(item.lines)
    return [item.pageId, item.frame, Number(bits & 0xffffffffn), Number(bits >> 32n)]
  })
  const header = [OP_RECORD, input.kind, ...input.slot, ...input.epoch, ...input.txid, ...input.salt]
  return [...header, input.extents.length, input.pages.length, ...input.extents.flat(), ...directory]
}

/** The record as `program.ts` draws it, built piece by piece. */
function encodeRecord(memory: SimulatedMemory, input: RecordInput): Buffer {
  const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((64 - (bytes.length % 64)) % 64)])
  const words = (...values: number[]): Buffer => Buffer.from(Uint32Array.from(values).buffer)
  const lines = (from: 'pool' | 'frames'): Buffer =>
    Buffer.concat(
      input.pages.flatMap((item) => {
        const source = from === 'pool' ? page(memory, item.pageId) : frame(memory, item.frame)
        const ascending = [...item.lines].sort((left, right) => left - right)
        return ascending.map((line) => Buffer.from(source.subarray(line * 64, line * 64 + 64)))
      }),
    )
  const extentTable = padded(words(...input.extents.flat()))
  const directory = padded(
    words(
      ...input.pages.flatMap((item) => {
        const bits = mask(item.lines)
        return [item.pageId, Number(bits & 0xffffffffn), Number(bits >> 32n), 0]
      }),
    ),
  )
  const bodies = lines(input.kind === RECORD_UNDO ? 'pool' : 'frames')
  const header = Buffer.alloc(64)
  header.write('DAXR', 0, 'latin1')
  header.writeUInt32LE(input.kind, 4)
  header.set(words(...input.epoch, ...input.txid), 8)
  header.writeUInt32LE(input.pages.length, 24)
  header.writeUInt32LE(bodies.length / 64, 28)
  header.writeUInt32LE(input.extents.length, 32)
  header.writeUInt32LE(1 + (extentTable.length + directory.length + bodies.length) / 64, 36)
  if (input.kind === RECORD_UNDO) header.writeBigUInt64LE(referenceHash(lines('frames'), ...input.salt), 40)
  const record = Buffer.concat([header, extentTable, directory, bodies])
  record.writeBigUInt64LE(referenceHash(record, ...input.salt), 56)
  return record
}

/** What lies in the log slot and then in the extents. */
function readStream(memory: SimulatedMemory, input: RecordInput): Buffer {
  const ranges = [input.slot, ...input.extents]
  const image = memory.image()
  return Buffer.concat(ranges.map(([at, pages]) => image.subarray(at * PAGE_BYTES, (at + pages) * PAGE_BYTES)))
}

const base = { epoch: [5, 1], txid: [77, 2], salt: [0xdeadbeef, 0x87654321] } as const

function check(input: RecordInput, pages = 40): void {
  const memory = smallPool(pages, { image: pattern(pages * PAGE_BYTES, 11) })
  for (let index = 0; index < 20; index++) frame(memory, index).set(pattern(PAGE_BYTES, 100 + index))
  const before = readStream(memory, input)
  const expected = encodeRecord(memory, input)
  run(memory, ...recordProgram(input), OP_FENCE)
  const stream = readStream(memory, input)
  assert.deepEqual(stream.subarray(0, expected.length), expected)
  assert.deepEqual(
    stream.subarray(expected.length),
    before.subarray(expected.length),
    'nothing behind the record changes',
  )
  assert.equal(memory.counters.nonTemporalLines, expected.length / 64)
  assert.equal(memory.counters.flushedLines, 0)
  assert.equal(memory.counters.fences, 1)
}

const all = Array.from({ length: 64 }, (_, line) => line)
const mutable = { epoch: [...base.epoch], txid: [...base.txid], salt: [...base.salt] } as Pick<
  RecordInput,
  'epoch' | 'txid' | 'salt'
>

for (const kind of [RECORD_UNDO, RECORD_REDO]) {
  const name = kind === RECORD_UNDO ? 'undo' : 'redo'

  test(`an ${name} record of one line has the documented bytes`, () => {
    check({ ...mutable, kind, slot: [1, 1], extents: [], pages: [{ pageId: 9, frame: 0, lines: [17] }] })
  })

  test(`an ${name} record pads its directory to a line`, () => {
    const pages = Array.from({ length: 5 }, (_, index) => ({
      pageId: 20 + index,
      frame: index,
      lines: [0, index + 30],
    }))
    check({ ...mutable, kind, slot: [1, 1], extents: [], pages })
  })

  test(`an ${name} record continues in its extents in table order`, () => {
    const pages = Array.from({ length: 10 }, (_, index) => ({ pageId: 20 + index, frame: index, lines: all }))
    const extents: [number, number][] = [
      [12, 1],
      [3, 4],
      [8, 2],
      [15, 4],
    ]
    check({ ...mutable, kind, slot: [0, 2], extents, pages })
  })
}

test('a record that fills its slot to the last line fits', () => {
  assert.equal(recordLines(0, 4, 62), 64)
  const pages = [
    { pageId: 20, frame: 1, lines: all.slice(0, 59) },
    { pageId: 21, frame: 2, lines: [1] },
    { pageId: 22, frame: 3, lines: [63] },
    { pageId: 23, frame: 4, lines: [31] },
  ]
  check({ ...mutable, kind: RECORD_UNDO, slot: [2, 1], extents: [], pages })
})

test('a record that does not fit is refused before the first store', () => {
  const memory = smallPool(10, { record: true })
  const input: RecordInput = {
    ...mutable,
    kind: 1,
    slot: [1, 1],
    extents: [],
    pages: [{ pageId: 2, frame: 0, lines: all }],
  }
  assert.throws(() => run(memory, OP_FENCE, ...recordProgram(input)), { code: 'INTERNAL', limit: 64, actual: 66 })
  assert.equal(memory.trace().events.count, 0)
})

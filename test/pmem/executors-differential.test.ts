import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { DaxkvError } from '../../src/errors.js'
import { isNativeAvailable } from '../../src/pmem/native-binding.js'
import { NativeMemory } from '../../src/pmem/native-memory.js'
import type { Granularity, PersistentMemory } from '../../src/pmem/persistent-memory.js'
import { PortableMemory } from '../../src/pmem/portable-memory.js'
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
  OP_STORE_LAZY,
  OP_SYNC_ALL,
  PAGE_BYTES,
  RECORD_FIRST_LINE,
  RECORD_REDO,
  RECORD_SLOT,
  RECORD_UNDO,
} from '../../src/pmem/program.js'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { xxh64 } from '../../src/pmem/xxh64.js'
import { frame, page, pattern } from './simulated-support.js'

const PAGES = 24
const DATA_PAGES = 16 // the pages behind are the log slot and its extents
const SEGMENT_SHIFT = 3
const FRAMES = 256

/** The same pool under each executor; the last one, simulated, is what the others are compared with. */
type Memories = readonly [...(NativeMemory | PortableMemory)[], SimulatedMemory]

function openOn<M>(file: string, open: (fd: number) => M): M {
  const fd = fs.openSync(file, fs.constants.O_RDWR)
  try {
    return open(fd)
  } catch (error) {
    fs.closeSync(fd) // only a successful open takes it over
    throw error
  }
}

/** Opens the same first content in all executors that know the granularity. */
function withMemories(granularity: Granularity, use: (memories: Memories) => void): void {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'daxkv-differential-'))
  const image = pattern(PAGES * PAGE_BYTES, 1)
  const sizeBytes = image.length
  const options = { sizeBytes, segmentShift: SEGMENT_SHIFT, readOnly: false, forceGranularity: granularity }
  const files: (NativeMemory | PortableMemory)[] = []
  const simulated = new SimulatedMemory({ sizeBytes, segmentShift: SEGMENT_SHIFT, granularity, image })
  try {
    const make = (name: string): string => {
      const file = path.join(folder, name)
      fs.writeFileSync(file, image)
      return file
    }
    if (isNativeAvailable()) {
      const file = make('native')
      files.push(openOn(file, (fd) => NativeMemory.open(fd, { ...options, path: file })))
    }
    if (granularity === 'page') {
      const file = make('portable')
      files.push(openOn(file, (fd) => PortableMemory.open(fd, { ...options, path: file, why: 'a test' })))
    }
    const memories: Memories = [...files, simulated]
    for (const memory of memories) {
      while (memory.stagingChunks.length < 2) memory.addStagingChunk()
    }
    use(memories)
  } finally {
    for (const memory of [...files, simulated]) memory.close()
    fs.rmSync(folder, { recursive: true })
  }
}

function split(memories: Memories): [PersistentMemory[], SimulatedMemory] {
  return [memories.slice(0, -1), memories.at(-1) as SimulatedMemory]
}

const pageId = fc.integer({ min: 0, max: DATA_PAGES - 1 })
const frameNumber = fc.integer({ min: 0, max: FRAMES - 1 })
const maskWord = fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(0, 1, 0x80000000, 0xffffffff))
const mask = fc.tuple(maskWord, maskWord).map(([lo, hi]) => ((lo | hi) === 0 ? [1, 0] : [lo, hi]))
const word = fc.integer({ min: 0, max: 0xffffffff })

const record = fc
  .record({
    kind: fc.constantFrom(RECORD_UNDO, RECORD_REDO, RECORD_SLOT),
    // Slot and extents are cut from the pages behind the data, so that they never overlap.
    slotPages: fc.integer({ min: 1, max: 8 }),
    // Without extents a record may begin further on in its first page.
    firstLine: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 63 })),
    extents: fc.oneof(
      fc.constant([]),
      fc.subarray([
        [19, 1],
        [20, 1],
        [21, 2],
        [23, 1],
      ]),
    ),
    identity: fc.array(word, { minLength: 6, maxLength: 6 }),
    inPool: fc.integer({ min: 0, max: 63 }),
    entries: fc.uniqueArray(fc.tuple(pageId, frameNumber, mask), {
      minLength: 1,
      maxLength: 9,
      selector: (entry) => entry[0],
    }),
  })
  .map(({ kind, slotPages, firstLine, extents, identity, entries, inPool }) => [
    ...[OP_RECORD, kind + (extents.length === 0 && kind !== RECORD_SLOT ? firstLine * RECORD_FIRST_LINE : 0)],
    ...[DATA_PAGES, slotPages, ...identity, extents.length, entries.length],
    ...extents.flat(),
    // Now and then lines of a redo record come from the pool, and one of an undo record is refused for it. The first entry of a
    // slot record is logged, unless the record is refused for it.
    ...entries.flatMap(([id, from, lines], index) => {
      const chosen = ((inPool >>> index) & 1) === 1
      if (kind === RECORD_SLOT) {
        if (index === 0 && inPool < 60) return [id, from, ...lines]
        return [id, chosen ? FRAME_IN_POOL : index % 3 === 0 ? from : FRAME_UNLOGGED + from, ...lines]
      }
      return [id, chosen && (kind === RECORD_REDO || inPool === 1) ? FRAME_IN_POOL : from, ...lines]
    }),
  ])

/** A redo record that is applied right behind: what it says about the pages it covers is stored a second time. */
const applied = record.map((words) => {
  const [operation, kindWord, , slotPages, ...rest] = words
  const extentCount = words[10]
  const firstLine = Math.floor(kindWord / RECORD_FIRST_LINE)
  const redo = [operation, RECORD_REDO + firstLine * RECORD_FIRST_LINE, DATA_PAGES, slotPages, ...rest]
  return extentCount === 0 ? [...redo, OP_APPLY, DATA_PAGES, slotPages, firstLine] : words
})

const operation = fc.oneof(
  fc.constant([OP_FENCE]),
  fc.tuple(pageId, frameNumber, mask).map(([id, from, [lo, hi]]) => [OP_CHECKSUM, id, from, (lo | 1) >>> 0, hi]),
  fc.tuple(pageId, frameNumber).map(([id, from]) => [OP_CHECKSUM_FRESH, id, from]),
  fc
    .tuple(pageId, frameNumber, frameNumber, mask)
    .map(([id, from, base, [lo, hi]]) => [OP_CHECKSUM_FROM, id, from, base, (lo | 1) >>> 0, hi]),
  fc.tuple(pageId, frameNumber, mask).map(([id, from, lines]) => [OP_STORE, id, from, ...lines]),
  fc.tuple(pageId, frameNumber, mask).map(([id, from, lines]) => [OP_STORE_LAZY, id, from, ...lines]),
  fc.tuple(pageId, mask).map(([id, lines]) => [OP_FLUSH, id, ...lines]),
  fc.constant([OP_SYNC_ALL]),
  record,
  applied,
)

const program = fc.array(operation, { minLength: 1, maxLength: 12 }).map((operations) => operations.flat())

/** Runs the words in all; all must accept or all refuse. */
function runAll(memories: Memories, words: number[]): boolean {
  const outcomes = memories.map((memory) => {
    memory.reserveProgram(words.length)
    memory.program.set(words)
    try {
      memory.run(words.length)
      return 'ran'
    } catch (error) {
      return error instanceof DaxkvError ? error.code : String(error)
    }
  })
  const names = memories.map((memory) => memory.persistence.executor).join(', ')
  for (const outcome of outcomes) assert.equal(outcome, outcomes[0], `${names} disagree about ${words.join(' ')}`)
  return outcomes[0] === 'ran'
}

function fillFrames(memories: Memories, seed: number): void {
  const bytes = pattern(64 * PAGE_BYTES, seed)
  for (let index = 0; index < FRAMES; index++) {
    const content = bytes.subarray((index % 64) * PAGE_BYTES, (index % 64) * PAGE_BYTES + PAGE_BYTES)
    for (const memory of memories) {
      frame(memory, index).set(content)
      frame(memory, index)[9] = index
    }
  }
}

function assertSame(memories: Memories): void {
  const [files, simulated] = split(memories)
  for (const memory of files) {
    const { executor } = memory.persistence
    for (let index = 0; index < PAGES; index++) {
      assert.ok(page(memory, index).equals(page(simulated, index)), `page ${index} differs, ${executor}`)
    }
    for (let index = 0; index < FRAMES; index++) {
      assert.ok(frame(memory, index).equals(frame(simulated, index)), `frame ${index} differs, ${executor}`)
    }
    assert.deepEqual({ ...memory.counters }, { ...simulated.counters }, executor)
  }
}

const skip = isNativeAvailable() ? false : 'the addon is not built'

for (const granularity of ['byte', 'cache-line', 'page'] as const) {
  test(
    `under ${granularity}, random programs leave the same bytes and the same counts in all executors`,
    { skip: granularity !== 'page' && skip },
    () => {
      withMemories(granularity, (memories) => {
        const steps = fc.array(fc.tuple(program, word), { minLength: 1, maxLength: 4 })
        fc.assert(
          fc.property(steps, (programs) => {
            for (const [words, seed] of programs) {
              fillFrames(memories, seed)
              runAll(memories, words)
              assertSame(memories)
              const [files, simulated] = split(memories)
              for (let index = 0; index < PAGES; index++) {
                for (const memory of files) assert.equal(memory.verifyPage(index), simulated.verifyPage(index))
              }
            }
          }),
          { numRuns: 60 },
        )
      })
    },
  )
}

test('a log span that holds no record, or crosses the end of a mapped segment, is applied by no executor', () => {
  withMemories('page', (memories) => {
    for (const span of [
      [DATA_PAGES, 1, 0],
      [7, 2, 33],
      [0, PAGES, 63],
    ]) {
      assert.equal(runAll(memories, [OP_APPLY, ...span]), false)
      assertSame(memories)
    }
  })
})

for (const granularity of ['cache-line', 'page'] as const) {
  const options = { skip: granularity === 'cache-line' && skip }
  test(`under ${granularity}, a program with one word changed is accepted by all executors or by none`, options, () => {
    withMemories(granularity, (memories) => {
      fillFrames(memories, 2)
      const outcomes = [0, 0]
      const changed = fc.oneof(fc.integer({ min: 0, max: 24 }), fc.constantFrom(255, 256, 0xffffffff), word)
      fc.assert(
        fc.property(program, fc.nat(), changed, fc.boolean(), (words, position, value, cut) => {
          const altered = [...words]
          altered[position % words.length] = value
          outcomes[Number(runAll(memories, cut ? altered.slice(0, 1 + (position % words.length)) : altered))]++
          assertSame(memories)
        }),
        { numRuns: 300 },
      )
      assert.ok(outcomes[0] > 50 && outcomes[1] > 20, `refused ${outcomes[0]}, accepted ${outcomes[1]}`)
    })
  })

  test(`under ${granularity}, extents and their hashes agree, growth leaves zeros in all`, options, () => {
    withMemories(granularity, (memories) => {
      const out = new Uint32Array(2)
      const expected = new Uint32Array(2)
      const byteLength = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 8 * PAGE_BYTES }))
      fc.assert(
        fc.property(pageId, byteLength, word, fc.boolean(), (at, length, seed, lazily) => {
          const bytes = pattern(length, seed)
          xxh64(bytes, 0, 0, expected)
          for (const memory of memories) {
            memory.writeExtent(at, bytes, out, lazily)
            assert.deepEqual(out, expected, memory.persistence.executor)
            memory.hashExtent(at, length, out)
            assert.deepEqual(out, expected, memory.persistence.executor)
          }
          assertSame(memories)
        }),
        { numRuns: 100 },
      )
      for (const memory of memories) {
        memory.limitTo(20 * PAGE_BYTES)
        memory.grow(30 * PAGE_BYTES)
        for (let index = 20; index < 30; index++) assert.ok(page(memory, index).every((byte) => byte === 0))
      }
      assertSame(memories)
    })
  })
}

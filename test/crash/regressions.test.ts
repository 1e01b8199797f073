/** Defects that the crash tests have found, each as small as it can be shown. docs/crash-testing.md tells their stories. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readContent } from '../../crash-tests/src/content.js'
import { Random } from '../../crash-tests/src/random.js'
import { RecordingMemory } from '../../crash-tests/src/replay-memory.js'
import { LOG_PAGES, openEngine, SEGMENT_SHIFT, Workload } from '../../crash-tests/src/workload.js'
import { LINE_BYTES, PAGE_BYTES } from '../../src/pmem/program.js'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { ready } from '../../src/pmem/xxh64.js'
import { ANCHOR_OFFSET_SEQ, PAGE_ANCHOR_A, PAGE_ANCHOR_B, PAGE_LOG_START } from '../../src/pool/format.js'
import { Geometry } from '../../src/pool/geometry.js'
import { Catalog } from '../../src/tree/catalog.js'
import { Tree } from '../../src/tree/tree.js'
import { Engine } from '../../src/tx/engine.js'

await ready

function put(tree: Tree, key: string, value: Uint8Array): void {
  tree.put(Buffer.from(key), key.length, value)
}

function createTree(engine: Engine): Tree {
  engine.begin()
  const id = engine.nextKeyspaceId()
  const rootPage = Tree.create(engine, id)
  new Catalog(engine, engine.catalogPage()).put('tree', { id, rootPage, keyEncoding: 0, valueEncoding: 0 })
  engine.commit()
  return new Tree(engine, rootPage, id)
}

function inTransaction(engine: Engine, work: () => void): void {
  engine.begin()
  work()
  engine.commit()
}

test('a value brought back by a rollback to a savepoint was not overwritten in the meantime', () => {
  const memory = new RecordingMemory({ sizeBytes: 60 * PAGE_BYTES, segmentShift: SEGMENT_SHIFT })
  const engine = openEngine(memory, new Random(1))
  const tree = createTree(engine)
  engine.begin()
  put(tree, 'x', Buffer.alloc(5000, 1))
  engine.begin()
  put(tree, 'x', Buffer.alloc(5000, 2))
  put(tree, 'y', Buffer.alloc(5000, 3))
  engine.abort()
  engine.commit()
  assert.equal(readContent(memory, new Geometry(SEGMENT_SHIFT, LOG_PAGES)).entries, 1)
})

test('a pool whose free runs are too short grows by what is needed, not by a segment', () => {
  const memory = new SimulatedMemory({ sizeBytes: 60 * PAGE_BYTES, segmentShift: SEGMENT_SHIFT })
  const engine = openEngine(memory, new Random(1))
  const tree = createTree(engine)
  for (let number = 0; number < 8; number++) {
    inTransaction(engine, () => put(tree, `large ${number}`, Buffer.alloc(40_000, number)))
  }
  assert.equal(engine.stats().growths, 4)
  assert.equal(engine.stats().capacityPages, 100)
})

test('a size limit among the bitmap pages of a new segment does not break growth', () => {
  // Segments of 65,536 pages have three bitmap pages each.
  const segmentShift = 16
  const memory = new SimulatedMemory({ sizeBytes: 65_530 * PAGE_BYTES, segmentShift })
  const engine = Engine.open('limit', {
    memory,
    growthStepBytes: 100 * PAGE_BYTES,
    maxSizeBytes: (2 ** segmentShift + 2) * PAGE_BYTES,
  })
  const tree = createTree(engine)
  inTransaction(engine, () => put(tree, 'almost all', Buffer.alloc(65_400 * PAGE_BYTES)))
  let stored = 0
  assert.throws(
    () => {
      for (; stored < 200; stored++) {
        inTransaction(engine, () => put(tree, `key ${stored}`, Buffer.alloc(PAGE_BYTES)))
      }
    },
    { code: 'NO_SPACE' },
  )
  assert.equal(engine.stats().capacityPages, 2 ** segmentShift)
})

test('growth goes on after one that failed between extending the file and publishing it', () => {
  const memory = new SimulatedMemory({ sizeBytes: 200 * PAGE_BYTES, segmentShift: 10 })
  const stagingLimitBytes = 128 * PAGE_BYTES
  const engine = Engine.open('staging', { memory, stagingLimitBytes, growthStepBytes: 8 * PAGE_BYTES })
  const tree = createTree(engine)
  engine.begin()
  for (let number = 0; engine.space.frameCount < 128; number++) put(tree, `key ${number}`, Buffer.alloc(1900))
  const value = Buffer.alloc(300 * PAGE_BYTES)
  assert.throws(() => put(tree, 'large', value), { code: 'TX_TOO_LARGE' })
  engine.abort()
  assert.equal(engine.stats().capacityPages, 200)
  for (let number = 0; number < 30; number++) {
    inTransaction(engine, () => put(tree, `value ${number}`, Buffer.alloc(10 * PAGE_BYTES)))
  }
  assert.equal(tree.entryCount, 30)
})

test('a record longer than a segment finds its extents in several new segments', () => {
  const memory = new SimulatedMemory({ sizeBytes: 256 * PAGE_BYTES, segmentShift: SEGMENT_SHIFT })
  const engine = Engine.open('segments', { memory, logSizeBytes: 16 * 1024, growthStepBytes: 8 * PAGE_BYTES })
  const tree = createTree(engine)
  const keys = Array.from({ length: 1400 }, (_, number) => `key ${String(number).padStart(6, '0')}`)
  for (let from = 0; from < keys.length; from += 50) {
    inTransaction(engine, () => keys.slice(from, from + 50).forEach((key) => put(tree, key, Buffer.alloc(1900, 1))))
  }
  inTransaction(engine, () => keys.forEach((key) => put(tree, key, Buffer.alloc(1900, 2))))
  assert.equal(tree.entryCount, keys.length)
})

test('a pool opens after a power failure while recovery was writing the anchor of a pool with a torn record', () => {
  const memory = new RecordingMemory({ sizeBytes: 48 * PAGE_BYTES, segmentShift: SEGMENT_SHIFT })
  const workload = new Workload({ memory }, { random: new Random(1) })
  for (let step = 0; step < 5; step++) workload.step('putNew')
  const image = memory.image()
  // A record of the sixth transaction of which only the header got to the medium.
  image.fill(0xff, PAGE_LOG_START * PAGE_BYTES + LINE_BYTES, (PAGE_LOG_START + 1) * PAGE_BYTES)
  const seq = (page: number): number => image.readUInt32LE(page * PAGE_BYTES + ANCHOR_OFFSET_SEQ)
  const older = seq(PAGE_ANCHOR_A) < seq(PAGE_ANCHOR_B) ? PAGE_ANCHOR_A : PAGE_ANCHOR_B
  image.fill(0xee, older * PAGE_BYTES + LINE_BYTES, older * PAGE_BYTES + 2 * LINE_BYTES)
  const after = new RecordingMemory({ sizeBytes: image.length, segmentShift: SEGMENT_SHIFT, image })
  assert.equal(openEngine(after, new Random(2)).recovery.outcome, 'nothing')
  assert.equal(readContent(after, new Geometry(SEGMENT_SHIFT, LOG_PAGES)).digest, workload.model.digest)
})

/** Failures that must not lose or make up anything: faults while opening, rot of an anchor, persists that fail unseen. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { storeOn } from '../../src/api/open.js'
import { DaxkvError, open, type Store } from '../../src/index.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { xxh64 } from '../../src/pmem/xxh64.js'
import { decodeAnchor } from '../../src/pool/anchor.js'
import {
  ANCHOR_OFFSET_EPOCH,
  ANCHOR_OFFSET_HASH,
  ANCHOR_OFFSET_SEQ,
  ANCHOR_OFFSET_TXID,
  PAGE_ANCHOR_A,
  PAGE_ANCHOR_B,
  PAGE_LOG_START,
} from '../../src/pool/format.js'
import { Engine, type EngineOptions } from '../../src/tx/engine.js'
import { newestAnchor, readAnchors } from '../../src/tx/recovery.js'

const PAGES = 256
const REDO: EngineOptions = { logSizeBytes: 64 * 1024, logging: 'redo' }

const memoryOf = (image?: Uint8Array, record = false): SimulatedMemory =>
  new SimulatedMemory({
    sizeBytes: PAGES * PAGE_BYTES,
    segmentShift: 8,
    granularity: 'page',
    record,
    ...(image === undefined ? {} : { image }),
  })

function commitOne(engine: Engine): void {
  engine.begin()
  engine.nextKeyspaceId()
  engine.commit()
}

/** The pool as a kill leaves it after so many transactions. */
function killedImage(transactions: number, options = REDO): Buffer {
  const memory = memoryOf()
  const engine = Engine.open('x', { memory, ...options })
  for (let i = 0; i < transactions; i++) commitOne(engine)
  return memory.image()
}

const newestAnchorPage = (image: Buffer): number => {
  const seq = (page: number): number => decodeAnchor(image.subarray(page * PAGE_BYTES))?.seq ?? 0
  return seq(PAGE_ANCHOR_A) > seq(PAGE_ANCHOR_B) ? PAGE_ANCHOR_A : PAGE_ANCHOR_B
}

for (const logging of ['redo', 'undo'] as const) {
  test(`a log page that cannot be read fails the open instead of passing for an empty log (${logging})`, () => {
    const options: EngineOptions = { ...REDO, logging }
    const image = killedImage(3, options)
    const memory = memoryOf(image)
    memory.segments[0].u8.fill(0, PAGE_LOG_START * PAGE_BYTES, (PAGE_LOG_START + 1) * PAGE_BYTES)
    memory.faultWords[0] = 1
    assert.throws(() => Engine.open('x', { memory, ...options }), { code: 'MEDIA_ERROR' })
    // Nothing was written: readable again, the pool recovers.
    const engine = Engine.open('x', { memory: memoryOf(image), ...options })
    assert.equal(engine.recovery.txid, 3)
    engine.close()
  })
}

test('one rotten anchor copy does not silently take the pool back to an older state', () => {
  const image = killedImage(5)
  image[newestAnchorPage(image) * PAGE_BYTES + 70] ^= 1
  assert.throws(() => Engine.open('x', { memory: memoryOf(image), ...REDO }), {
    code: 'CORRUPT',
    message: /transaction \d+ of epoch/,
  })
  assert.throws(() => Engine.open('x', { memory: memoryOf(image), ...REDO, readOnly: true }), { code: 'CORRUPT' })
})

test('a torn anchor write, after which nothing was committed, is no reason to refuse a pool', () => {
  const image = killedImage(5)
  const memory = memoryOf(image)
  Engine.open('x', { memory, ...REDO }) // writes the next anchor
  const torn = memory.image()
  torn[newestAnchorPage(torn) * PAGE_BYTES + 70] ^= 1
  const engine = Engine.open('x', { memory: memoryOf(torn), ...REDO })
  assert.equal(engine.recovery.txid, 5)
  engine.close()
})

test('anchor counters that nobody wrote make the copy invalid', () => {
  for (const offset of [ANCHOR_OFFSET_SEQ, ANCHOR_OFFSET_EPOCH, ANCHOR_OFFSET_TXID]) {
    const image = killedImage(1)
    const bytes = image.subarray(newestAnchorPage(image) * PAGE_BYTES)
    bytes.fill(0xff, offset, offset + 8)
    const hash = new Uint32Array(2)
    xxh64(bytes.subarray(0, ANCHOR_OFFSET_HASH), 0, 0, hash)
    bytes.writeUInt32LE(hash[0], ANCHOR_OFFSET_HASH)
    bytes.writeUInt32LE(hash[1], ANCHOR_OFFSET_HASH + 4)
    assert.equal(decodeAnchor(bytes), undefined)
    assert.throws(() => Engine.open('x', { memory: memoryOf(image), ...REDO }), { code: 'CORRUPT' })
  }
})

test('a record with a transaction id that nobody wrote is no record, whatever its hash says', () => {
  const undo: EngineOptions = { ...REDO, logging: 'undo' }
  const memory = memoryOf()
  const engine = Engine.open('x', { memory, ...undo })
  commitOne(engine)
  const anchor = newestAnchor(readAnchors(memory))
  assert.ok(anchor !== undefined)
  const txid = [0xffff_fffe, 0xffff_ffff]
  const words = [5, 1, PAGE_LOG_START, 16, anchor.epoch, 0, ...txid, anchor.saltLo, anchor.saltHi, 0, 1, 60, 0, 1, 0]
  memory.reserveProgram(words.length)
  memory.program.set(words)
  memory.run(words.length)
  const reopened = Engine.open('x', { memory: memoryOf(memory.image()), ...undo })
  assert.equal(reopened.recovery.outcome, 'nothing')
  commitOne(reopened)
  reopened.close()
})

test('a forged redo record with extents is not restored over what follows the log', () => {
  const memory = memoryOf()
  const engine = Engine.open('x', { memory, ...REDO })
  commitOne(engine)
  const anchor = newestAnchor(readAnchors(memory))
  assert.ok(anchor !== undefined)
  const pages = 100
  const words = [5, 2, PAGE_LOG_START + 1, 15, anchor.epoch, 0, 2, 0, anchor.saltLo, anchor.saltHi, 1, pages, 200, 40]
  for (let i = 0; i < pages; i++) words.push(60 + i, i, 0x0fff_ffff, 0)
  while (memory.stagingChunks.length < 1) memory.addStagingChunk()
  memory.reserveProgram(words.length)
  memory.program.set(words)
  memory.run(words.length)
  const reopened = Engine.open('x', { memory: memoryOf(memory.image()), ...REDO })
  assert.equal(reopened.recovery.txid, 1)
  assert.ok(reopened.allocator.countAllocated() > 0)
  reopened.close()
})

for (const logging of ['redo', 'undo'] as const) {
  test(`a persist that fails inside a swallowed nested transaction is not acknowledged by the outer one (${logging})`, () => {
    const memory = new SimulatedMemory({
      sizeBytes: 64 * PAGE_BYTES,
      segmentShift: 8,
      granularity: 'page',
      record: true,
    })
    const store = storeOn(Engine.open('x', { memory, ...REDO, logging })) as Store
    let inner: unknown
    assert.throws(
      () => {
        store.transaction(() => {
          store.put('outer', 1)
          try {
            store.transaction(() => {
              memory.failAfterEvents(4)
              store.put('big', Buffer.alloc(60 * PAGE_BYTES)) // has to grow the pool
            })
          } catch (error) {
            inner = error
          }
        })
      },
      { code: 'POISONED' },
    )
    assert.equal((inner as { code?: string }).code, 'PERSIST_FAILED')
    assert.throws(() => store.get('outer'), { code: 'POISONED' })
    store.close()
  })
}

const CHECKPOINTS: readonly [string, boolean][] = [
  ['beside commits', true],
  ['in turn with commits', false],
]

for (const [how, syncsBeside] of CHECKPOINTS)
  test(`a checkpoint ${how} that fails in the background poisons the store, and what was acknowledged stands`, () => {
    const memory = memoryOf(undefined, true)
    memory.syncsBeside = syncsBeside
    const engine = Engine.open('x', { memory, ...REDO })
    let poisoned = 0
    engine.onPoison = () => poisoned++
    const fail = (): never => {
      throw new DaxkvError('PERSIST_FAILED', 'injected')
    }
    // Every barrier is one over the whole file here: the checkpoint that is due when the ring is half full.
    memory.finishBarrier = fail
    memory.finishDataSync = fail
    let acknowledged = 0
    assert.throws(
      () => {
        for (let i = 0; i < 100; i++, acknowledged++) commitOne(engine)
      },
      { code: 'PERSIST_FAILED' },
    )
    assert.ok(acknowledged > 5)
    assert.equal(poisoned, 1)
    assert.throws(
      () => {
        engine.begin()
      },
      { code: 'POISONED' },
    )
    const reopened = Engine.open('x', { memory: memoryOf(memory.image()), ...REDO })
    assert.equal(reopened.recovery.txid, acknowledged)
    reopened.close()
  })

test('a sparse tail behind the capacity is left alone', (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'daxkv-tail-'))
  t.after(() => {
    fs.rmSync(directory, { recursive: true, force: true })
  })
  const file = path.join(directory, 'test.pool')
  open(file, { initialSizeBytes: 4 * 1024 * 1024, logSizeBytes: 64 * 1024 }).close()
  const before = fs.statSync(file)
  fs.truncateSync(file, before.size + 512 * 1024 * 1024)
  const store = open(file)
  store.put('a', 1)
  assert.ok(fs.statSync(file).blocks * 512 <= before.blocks * 512 + 1024 * 1024)
  store.close()
})

import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { DaxkvError } from '../../src/errors.js'
import { open } from '../../src/index.js'
import type { Granularity } from '../../src/pmem/persistent-memory.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { fillBitmap } from '../../src/pool/create.js'
import { HEADER_OFFSET_TYPE } from '../../src/pool/format.js'
import { ProgramBuilder } from '../../src/pool/program-builder.js'
import { Engine } from '../../src/tx/engine.js'

/** Identity, anchors and root: what an extent at page 0 would overwrite. */
const FIXED_BYTES = 5 * PAGE_BYTES
const BIG_VALUE = 'A'.repeat(200_000)

function withPoolFile(use: (file: string) => void): void {
  const folder = fs.mkdtempSync(path.join(fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), 'daxkv-bitmap-'))
  try {
    use(path.join(folder, 'pool'))
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}

function readFixedPages(file: string): Buffer {
  return fs.readFileSync(file).subarray(0, FIXED_BYTES)
}

function simulated(): Engine {
  const memory = new SimulatedMemory({ sizeBytes: 256 * PAGE_BYTES, segmentShift: 8 })
  return Engine.open('simulated', { memory, segmentBytes: 256 * PAGE_BYTES, logSizeBytes: 4 * PAGE_BYTES })
}

/** Everything that acts on a bitmap. */
const ACTIONS: Record<string, (engine: Engine) => unknown> = {
  allocate: (engine) => engine.allocator.allocate(),
  allocateExtent: (engine) => engine.allocator.allocateExtent(30),
  free: (engine) => {
    engine.allocator.free(engine.geometry.firstFreePage)
  },
  findRuns: (engine) => engine.allocator.findRuns(30, 4),
}

/** Bytes of the first bitmap page, as a damaged medium would change them. */
function bitmapBytes(engine: Engine): Buffer {
  const start = engine.geometry.bitmapPage(0) * PAGE_BYTES
  return engine.memory.segments[0].u8.subarray(start, start + PAGE_BYTES)
}

for (const granularity of ['page', 'cache-line'] satisfies Granularity[]) {
  test(`a zeroed bitmap page fails the next large put under granularity ${granularity}, and nothing is overwritten`, () => {
    withPoolFile((file) => {
      const options = { forceGranularity: granularity, initialSizeBytes: 4 << 20, logSizeBytes: 65536 }
      let store = open(file, options)
      store.put('a', 'x')
      const bitmapPage = 6 + store.stats().logPages
      store.close()
      const fd = fs.openSync(file, 'r+')
      fs.writeSync(fd, Buffer.alloc(PAGE_BYTES), 0, PAGE_BYTES, bitmapPage * PAGE_BYTES)
      fs.closeSync(fd)
      store = open(file, options)
      const before = readFixedPages(file)
      assert.throws(() => store.put('b', BIG_VALUE), {
        code: 'CORRUPT',
        offset: bitmapPage * PAGE_BYTES,
        message: new RegExp(`page ${bitmapPage}\\b`),
      })
      assert.ok(readFixedPages(file).equals(before))
      assert.equal(store.get('a'), 'x')
      store.close()
      open(file).close()
    })
  })
}

for (const [name, act] of Object.entries(ACTIONS)) {
  test(`${name} refuses a bitmap with a wrong bit or header, each time it is asked`, () => {
    for (const at of [100, HEADER_OFFSET_TYPE]) {
      const engine = simulated()
      engine.begin()
      bitmapBytes(engine)[at] ^= 1
      const offset = engine.geometry.bitmapPage(0) * PAGE_BYTES
      for (let i = 0; i < 2; i++) assert.throws(() => act(engine), { code: 'CORRUPT', offset })
      engine.abort()
      bitmapBytes(engine)[at] ^= 1
      engine.begin()
      act(engine)
      engine.abort()
    }
  })

  test(`${name} believes nothing that was read while the mapping faulted`, () => {
    for (const visited of [false, true]) {
      const engine = simulated()
      engine.begin()
      if (visited) engine.allocator.findRuns(1, 1)
      bitmapBytes(engine).fill(0)
      engine.memory.faultWords[0] = 1
      assert.throws(
        () => act(engine),
        (error) => (error as DaxkvError).code === 'MEDIA_ERROR',
      )
      engine.abort()
    }
  })
}

test('reserved pages are never handed out, even by a sound bitmap that calls them free', () => {
  const reset = (): Engine => {
    const engine = simulated()
    const builder = new ProgramBuilder(engine.memory)
    const page = engine.geometry.bitmapPage(0)
    const { bytes, frame } = builder.frame()
    fillBitmap(bytes, page, 0)
    builder.checksumFresh(page, frame).store(page, frame).run()
    engine.begin()
    return engine
  }
  const { firstFreePage } = reset().geometry
  assert.notEqual(firstFreePage & 31, 0, 'the first word holds pages of both kinds')
  assert.equal(reset().allocator.allocate(), firstFreePage)
  assert.equal(reset().allocator.allocateExtent(30), firstFreePage)
  assert.deepEqual(reset().allocator.findRuns(30, 4), [{ page: firstFreePage, pages: 30 }])
  // More than any run: collected piece by piece.
  const engine = reset()
  engine.allocator.allocateExtent(100)
  engine.allocator.free(firstFreePage + 40, 20)
  const pieces = engine.allocator.findRuns(160, 4)
  assert.deepEqual(
    pieces?.map((run) => run.page),
    [firstFreePage + 40, firstFreePage + 100],
  )
})

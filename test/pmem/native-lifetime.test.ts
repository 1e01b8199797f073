import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs from 'node:fs'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { lockPool, unlockPool } from '../../src/pmem/native-file.js'
import { WINDOW_SHIFT } from '../../src/pmem/native-binding.js'
import { NativeMemory } from '../../src/pmem/native-memory.js'
import { countDescriptors } from '../support/descriptors.js'
import { FOLDERS, hasCode, runWords, withPool } from './native-support.js'
import { OP_FENCE } from '../../src/pmem/program.js'

const ADDON = new URL('../../build/Release/daxkv.node', import.meta.url).pathname

function countMappings(file: string): number {
  const maps = fs.readFileSync('/proc/self/maps', 'latin1').split('\n')
  return maps.filter((line) => line.includes(file)).length
}

test('after close every view is empty, every call says CLOSED, and counters keep their last values', async () => {
  await withPool({ forceGranularity: 'cache-line' }, ({ memory, file }) => {
    const [segment] = memory.segments
    const [chunk] = memory.stagingChunks
    runWords(memory, [OP_FENCE])
    assert.ok(countMappings(file) >= 2)
    memory.close()
    memory.close()
    assert.equal(segment.u8.length + segment.u32.length + chunk.u8.length + memory.program.length, 0)
    assert.equal(countMappings(file), 0)
    assert.equal(memory.counters.fences, 1)
    assert.equal(memory.takeFault(), undefined)
    for (const call of [
      () => memory.run(0),
      () => memory.verifyPage(0),
      () => memory.grow(1 << 20),
      () => memory.reserveProgram(1e6),
      () => memory.addStagingChunk(),
      () => memory.hashExtent(0, 1, new Uint32Array(2)),
    ]) {
      assert.throws(call, hasCode('CLOSED'))
    }
  })
})

test('views cannot be transferred away from the pool', async () => {
  await withPool({}, ({ memory }) => {
    const buffer = memory.segments[0].u8.buffer as ArrayBuffer
    try {
      structuredClone({ a: 1 }, { transfer: [buffer] })
    } catch {
      // newer versions throw, older ones copy
    }
    assert.equal(memory.segments[0].u8[1], 1)
  })
})

test('two thousand openings leave no mapping, no descriptor and no lock', async () => {
  await withPool({}, ({ file }) => {
    const openOnce = (): void => {
      const fd = fs.openSync(file, 'r+')
      lockPool(fd, file, 'exclusive')
      const memory = NativeMemory.open(fd, { path: file, sizeBytes: 32 * 4096, segmentShift: 3, readOnly: false })
      memory.addStagingChunk()
      memory.close()
    }
    openOnce()
    const descriptors = countDescriptors(file)
    const mappings = countMappings(file)
    for (let i = 0; i < 2000; i++) openOnce()
    assert.equal(countDescriptors(file), descriptors)
    assert.equal(countMappings(file), mappings)
  })
})

test('a failed open leaves descriptor and lock to the caller', async () => {
  await withPool({}, ({ file }) => {
    const fd = fs.openSync(file, 'r+')
    lockPool(fd, file, 'exclusive')
    const options = {
      path: file,
      sizeBytes: 4096,
      segmentShift: 18,
      readOnly: false,
      requireGranularity: 'byte',
    } as const
    assert.throws(() => NativeMemory.open(fd, options), hasCode('GRANULARITY_UNAVAILABLE'))
    unlockPool(fd)
    lockPool(fd, file, 'exclusive')
    unlockPool(fd)
    fs.closeSync(fd)
  })
})

test('a hundred terminated workers leave no mapping, no descriptor and no lock', async () => {
  await withPool({}, async ({ file, memory }) => {
    memory.close()
    const code = `
      const fs = require('fs'), addon = require(${JSON.stringify(ADDON)})
      const fd = fs.openSync(${JSON.stringify(file)}, 'r+')
      if (addon.lock(fd, true) !== 0) throw new Error('locked')
      const pool = addon.openPool(fd, 32 * 4096, 3, false, false, 1)
      fs.closeSync(fd)
      pool.addChunk()
      const { parentPort } = require('worker_threads')
      const words = new Uint32Array(pool.program), call = new Uint32Array(pool.control, 192, 16)
      words.set([4, 3, 0, 1, 0, 1])
      call[0] = 6
      parentPort.postMessage('running')
      for (;;) pool.run()`
    const runAndTerminate = async (): Promise<void> => {
      const worker = new Worker(code, { eval: true })
      await once(worker, 'message')
      await worker.terminate()
    }
    await runAndTerminate()
    const descriptors = countDescriptors(file)
    for (let i = 0; i < 100; i++) await runAndTerminate()
    assert.equal(countMappings(file), 0)
    assert.equal(countDescriptors(file), descriptors)
    const fd = fs.openSync(file, 'r+')
    lockPool(fd, file, 'exclusive')
    unlockPool(fd)
    fs.closeSync(fd)
  })
})

test('a pool of 1 GiB segments opens where only part of it exists, in any folder', async () => {
  for (const folder of FOLDERS) {
    await withPool({ folder, pages: 1 }, ({ memory }) => {
      assert.equal(memory.segments[0].byteLength, 4096 * 2 ** WINDOW_SHIFT)
      assert.equal(memory.segments[0].u8[7], 7)
    })
  }
})

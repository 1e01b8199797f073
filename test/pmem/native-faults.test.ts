import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { test } from 'node:test'
import { FRAME_IN_POOL, OP_FENCE, OP_RECORD, OP_STORE, RECORD_REDO, RECORD_UNDO } from '../../src/pmem/program.js'
import { FOLDERS, hasCode, readFilePage, runWords, segmentOf, withPool } from './native-support.js'

// The library's `lib` setting has no DOM, and with it no WebAssembly; this is all the test needs of it.
declare const WebAssembly: {
  instantiate(code: Uint8Array): Promise<{ instance: { exports: Record<string, unknown> } }>
  RuntimeError: new () => Error
}

for (const folder of FOLDERS) {
  test(`reading beyond a truncated end in ${folder} is a fault to take, and faults again until the file is back`, async () => {
    await withPool({ folder, pages: 64 }, ({ memory, fd }) => {
      const { u8 } = memory.segments[0]
      fs.ftruncateSync(fd, 16 * 4096)
      assert.equal(memory.faultWords[0], 0)
      assert.equal(u8[20 * 4096 + 1], 0)
      assert.notEqual(memory.faultWords[0], 0)
      assert.deepEqual(memory.takeFault(), { kind: 'bus', offset: 20 * 4096, length: 4096 })
      assert.equal(memory.faultWords[0], 0)
      assert.equal(memory.takeFault(), undefined)
      assert.equal(u8[20 * 4096], 0)
      assert.notEqual(memory.faultWords[0], 0, 'zeros are never made up silently')
      fs.writeSync(fd, Buffer.alloc(48 * 4096, 9), 0, 48 * 4096, 16 * 4096)
      assert.equal(memory.takeFault()?.kind, 'bus')
      assert.equal(u8[20 * 4096 + 1], 9)
      assert.equal(memory.faultWords[0], 0)
    })
  })
}

test('a fault inside the executor is MEDIA_ERROR with offset and length, and nothing after it is stored', async () => {
  await withPool({ pages: 64, forceGranularity: 'cache-line' }, ({ memory, fd }) => {
    const before = readFilePage(fd, 3)
    fs.ftruncateSync(fd, 16 * 4096)
    const lost = (error: unknown): boolean => {
      const details = error as { offset?: number; length?: number }
      return hasCode('MEDIA_ERROR')(error) && details.offset === 20 * 4096 && details.length === 4096
    }
    const record = [OP_RECORD, RECORD_UNDO, 1, 1, 1, 0, 1, 0, 5, 6, 0, 1, 20, 0, 1, 0]
    assert.throws(() => runWords(memory, [...record, OP_FENCE, OP_STORE, 3, 0, 1, 0]), lost)
    assert.ok(readFilePage(fd, 3).equals(before), 'the store after the unreadable pre-image did not happen')
    assert.equal(memory.counters.fences, 0)
    assert.throws(() => runWords(memory, [OP_STORE, 20, 0, 1, 0, OP_FENCE]), lost)
    assert.throws(() => memory.writeExtent(20, Buffer.alloc(10), new Uint32Array(2)), lost)
    assert.equal(memory.faultWords[0], 0, 'the error took the fault')
    memory.verifyPage(20)
    assert.deepEqual(memory.takeFault(), { kind: 'bus', offset: 20 * 4096, length: 4096 })
  })
})

for (const kind of [RECORD_UNDO, RECORD_REDO]) {
  test(`a record of kind ${kind} whose page faulted is left without its header line`, async () => {
    await withPool({ pages: 64, forceGranularity: 'cache-line' }, ({ memory, fd }) => {
      const header = readFilePage(fd, 5).subarray(0, 64)
      const source = kind === RECORD_REDO ? FRAME_IN_POOL : 0
      const record = [OP_RECORD, kind, 5, 1, 1, 0, 1, 0, 7, 8, 0, 1, 20, source, 1, 0]
      fs.ftruncateSync(fd, 16 * 4096)
      assert.throws(() => runWords(memory, [...record, OP_FENCE]), hasCode('MEDIA_ERROR'))
      assert.ok(readFilePage(fd, 5).subarray(0, 64).equals(header), 'recovery finds no record')
      fs.ftruncateSync(fd, 64 * 4096)
      runWords(memory, [...record, OP_FENCE])
      assert.ok(!readFilePage(fd, 5).subarray(0, 64).equals(header), 'the whole record has one')
    })
  })
}

test('a stray write into the read-only view is survived, reported and undone', async () => {
  await withPool({}, ({ memory, fd }) => {
    const { u8, u32 } = memory.segments[0]
    u8[4096 + 8] = 200
    assert.equal(u8[4096 + 9], 1 + 9, 'the bytes around it are the pool’s')
    u32[1024 * 3] = 0xdeadbeef
    assert.notEqual(memory.faultWords[0], 0)
    assert.deepEqual(memory.takeFault(), { kind: 'write', offset: 4096, length: 4096 })
    assert.equal(u8[4096 + 8], 9)
    assert.notEqual(memory.faultWords[0], 0, 'one more waits')
    assert.deepEqual(memory.takeFault(), { kind: 'write', offset: 3 * 4096, length: 4096 })
    assert.equal(memory.faultWords[0], 0)
    assert.equal(readFilePage(fd, 1)[8], 9)
    assert.equal(readFilePage(fd, 3)[0], 3)
  })
})

test('the view is shared again after the repair: it sees what the executor stores', async () => {
  await withPool({ forceGranularity: 'cache-line' }, ({ memory }) => {
    const { u8 } = memory.segments[0]
    u8[4096] = 200
    memory.takeFault()
    memory.stagingChunks[0].u8.fill(0x77, 0, 64)
    runWords(memory, [OP_STORE, 1, 0, 1, 0, OP_FENCE])
    assert.equal(u8[4096], 0x77)
  })
})

test('more stray writes than the queue holds are all undone', async () => {
  await withPool({ pages: 300, segmentShift: 6 }, ({ memory }) => {
    for (let page = 0; page < 300; page++) segmentOf(memory, page >>> 6).u8[(page & 63) * 4096] = 255 - (page & 255)
    let taken = 0
    while (memory.takeFault() !== undefined) taken++
    assert.equal(taken, 64)
    for (let page = 0; page < 300; page++)
      assert.equal(segmentOf(memory, page >>> 6).u8[(page & 63) * 4096], page & 255)
    assert.equal(memory.faultWords[0], 0)
  })
})

test('a stray write beyond the end of the file ends as a fault, not as an endless one', async () => {
  await withPool({}, ({ memory }) => {
    segmentOf(memory, 0).u8[100 * 4096] = 1
    const kinds = new Set<string>()
    for (let fault = memory.takeFault(); fault !== undefined; fault = memory.takeFault()) kinds.add(fault.kind)
    assert.deepEqual([...kinds].sort(), ['bus', 'write'])
  })
})

test('WebAssembly traps still reach V8 while a pool is open', async () => {
  // (module (memory 1) (func (export "load") (param i32) (result i32) local.get 0 i32.load))
  const code = Uint8Array.from([
    ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 5, 3, 1, 0, 1],
    ...[7, 8, 1, 4, 108, 111, 97, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 40, 2, 0, 11],
  ])
  await withPool({}, async () => {
    const { instance } = await WebAssembly.instantiate(code)
    const load = instance.exports['load'] as (address: number) => number
    assert.equal(load(0), 0)
    assert.throws(() => load(0x7fffff00), WebAssembly.RuntimeError)
  })
})

test('a segmentation fault of somebody else still ends the process', () => {
  const addon = new URL('../../build/Release/daxkv.node', import.meta.url).pathname
  const code = `
    const addon = require(${JSON.stringify(addon)}), fs = require('fs')
    const fd = fs.openSync(process.argv[1], 'w+'); addon.zeroFill(fd, 0, 4096)
    addon.openPool(fd, 4096, 18, false, false, 1)
    process.kill(process.pid, process.argv[2])
    setTimeout(() => process.exit(3), 2000)`
  for (const signal of ['SIGSEGV', 'SIGBUS']) {
    const file = `${FOLDERS[0]}/daxkv-native-${process.pid}.${signal}`
    const child = spawnSync('/bin/sh', [
      '-c',
      'ulimit -c 0; exec "$@"',
      'sh',
      process.execPath,
      '-e',
      code,
      file,
      signal,
    ])
    fs.rmSync(file, { force: true })
    assert.equal(child.signal, signal, child.stderr.toString())
  }
})

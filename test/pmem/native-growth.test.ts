import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { listUnsafeRanges, repairExtents } from '../../src/pmem/native-extents.js'
import { zeroFill } from '../../src/pmem/native-file.js'
import { NativeMemory } from '../../src/pmem/native-memory.js'
import { OP_FENCE, OP_STORE } from '../../src/pmem/program.js'
import { FOLDERS, hasCode, readFilePage, runWords, segmentOf, stagingFrame, withPool } from './native-support.js'

for (const folder of FOLDERS) {
  test(`growth in ${folder} appends written zeros, inside a segment and into new ones`, async () => {
    await withPool({ folder, pages: 8, segmentShift: 3 }, ({ memory, file, fd }) => {
      const first = memory.segments[0]
      memory.grow(12 * 4096)
      assert.equal(memory.segments.length, 2)
      memory.grow(40 * 4096)
      assert.equal(memory.segments.length, 5)
      assert.equal(memory.segments[0], first)
      assert.equal(memory.sizeBytes, 40 * 4096)
      assert.equal(fs.statSync(file).size, 40 * 4096)
      assert.deepEqual(listUnsafeRanges(fd, file, 40 * 4096), [])
      for (let page = 8; page < 40; page++) {
        assert.ok(
          segmentOf(memory, page >>> 3)
            .u8.subarray((page & 7) * 4096, ((page & 7) + 1) * 4096)
            .every((byte) => byte === 0),
        )
      }
      stagingFrame(memory, 0).fill(3)
      runWords(memory, [OP_STORE, 39, 0, 1, 0, OP_FENCE])
      assert.equal(readFilePage(fd, 39)[0], 3)
    })
  })
}

test('what lies beyond a limit is zeroed again by the next growth', async () => {
  await withPool({ pages: 16 }, ({ memory, fd }) => {
    memory.limitTo(8 * 4096)
    assert.throws(() => runWords(memory, [OP_STORE, 8, 0, 1, 0]), hasCode('INTERNAL'))
    assert.throws(() => memory.limitTo(9 * 4096), hasCode('INTERNAL'))
    memory.grow(12 * 4096)
    assert.ok(readFilePage(fd, 9).every((byte) => byte === 0))
    assert.equal(readFilePage(fd, 13)[0], 13)
  })
})

test('one dirty page writes about one page: no large folios, neither from creation nor from growth', async () => {
  await withPool({ folder: os.tmpdir(), pages: 2048, forceGranularity: 'page' }, ({ memory }) => {
    memory.grow(4096 * 4096)
    const before = writtenBytes()
    for (let i = 0; i < 40; i++) runWords(memory, [OP_STORE, 100 + i * 90, 0, 1, 0, OP_FENCE])
    const each = (writtenBytes() - before) / 40
    assert.equal(memory.counters.syncs, 40)
    assert.ok(each <= 16 * 1024, `${each} bytes written for each commit`)
  })
})

function writtenBytes(): number {
  return Number(/^write_bytes: (\d+)$/m.exec(fs.readFileSync('/proc/self/io', 'latin1'))?.[1])
}

test('sizes that make no sense are refused', async () => {
  await withPool({ pages: 8 }, ({ memory }) => {
    for (const size of [4096, 4097, -4096, NaN, 2 ** 45])
      assert.throws(() => memory.grow(size), hasCode('INVALID_ARGUMENT'))
  })
})

test('a full file system is NO_SPACE, and the pool is as large and as good as before', { skip: whyNoMount() }, () => {
  const mount = fs.mkdtempSync(path.join(os.tmpdir(), 'daxkv-full-'))
  mountTmpfs(mount)
  try {
    const file = path.join(mount, 'pool')
    const fd = fs.openSync(file, 'w+')
    zeroFill(fd, file, 0, 64 * 4096)
    const memory = NativeMemory.open(fd, { path: file, sizeBytes: 64 * 4096, segmentShift: 6, readOnly: false })
    assert.throws(() => memory.grow(1024 * 4096), hasCode('NO_SPACE'))
    assert.equal(memory.sizeBytes, 64 * 4096)
    assert.equal(memory.segments.length, 1)
    assert.equal(fs.statSync(file).size, 64 * 4096)
    memory.addStagingChunk()
    runWords(memory, [OP_STORE, 63, 0, 1, 0, OP_FENCE])
    memory.grow(128 * 4096)
    memory.close()
  } finally {
    spawnSync('umount', [mount])
    fs.rmdirSync(mount)
  }
})

function mountTmpfs(folder: string): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]).status === 0
}

function whyNoMount(): string | false {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'daxkv-mount-'))
  const mounted = mountTmpfs(folder)
  if (mounted) spawnSync('umount', [folder])
  fs.rmdirSync(folder)
  return mounted ? false : 'mounting a small tmpfs is not permitted here'
}

test('a file size limit is NO_SPACE too, not the end of the process', () => {
  const file = path.join(FOLDERS[0], `daxkv-limit-${process.pid}`)
  const addon = new URL('../../build/Release/daxkv.node', import.meta.url).pathname
  const code = `
    const fs = require('fs'), addon = require(${JSON.stringify(addon)})
    const fd = fs.openSync(process.argv[1], 'w+')
    console.log(addon.zeroFill(fd, 0, 65536), addon.zeroFill(fd, 65536, 1 << 20), fs.fstatSync(fd).size)`
  const child = spawnSync('/bin/bash', ['-c', 'ulimit -f 128; exec "$@"', 'sh', process.execPath, '-e', code, file])
  fs.rmSync(file, { force: true })
  assert.equal(child.stdout.toString().trim(), `0 ${os.constants.errno.EFBIG} 65536`, child.stderr.toString())
})

for (const folder of FOLDERS) {
  test(`holes and preallocated ranges in ${folder} are found and filled without changing a byte`, async () => {
    await withPool({ folder, pages: 64 }, ({ file, fd }) => {
      fs.ftruncateSync(fd, 128 * 4096)
      spawnSync('fallocate', ['--keep-size', '-p', '-o', String(8 * 4096), '-l', String(4 * 4096), file])
      spawnSync('fallocate', ['-o', String(100 * 4096), '-l', String(8 * 4096), file])
      const before = fs.readFileSync(file)
      const found = listUnsafeRanges(fd, file, 128 * 4096)
      assert.ok(found.length > 0)
      const { repairedBytes, remaining } = repairExtents(fd, file, 128 * 4096)
      assert.ok(repairedBytes >= 56 * 4096, String(repairedBytes))
      assert.deepEqual(remaining, [])
      assert.ok(fs.readFileSync(file).equals(before))
      assert.deepEqual(repairExtents(fd, file, 128 * 4096), { repairedBytes: 0, remaining: [] })
    })
  })
}

test('a file shorter than its capacity is refused as truncated', async () => {
  await withPool({ pages: 4 }, ({ file }) => {
    const fd = fs.openSync(file, 'r+')
    const options = { path: file, sizeBytes: 5 * 4096, segmentShift: 18, readOnly: false }
    assert.throws(() => NativeMemory.open(fd, options), hasCode('TRUNCATED'))
    fs.closeSync(fd)
  })
})

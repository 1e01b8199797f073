/** What the addon does when a system call of its own fails; its test build makes them fail. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { buildTestAddon } from '../../crash-tests/src/test-addon.js'
import { NATIVE_CALLS } from '../../crash-tests/src/faults.js'
import type { NativeAddon, NativePool } from '../../src/pmem/native-binding.js'

type TestAddon = NativeAddon & {
  faultsSet(call: number, first: number, last: number, errno: number, action: number): void
}

const built = buildTestAddon()
const skip = 'missing' in built ? built.missing : false
const PAGES = 16
const { ENOMEM, EIO } = os.constants.errno

function load(): TestAddon {
  assert.ok('path' in built)
  return createRequire(import.meta.url)(built.path) as TestAddon
}

function withFile(use: (addon: TestAddon, fd: number) => void): void {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'daxkv-remap-'))
  const fd = fs.openSync(path.join(folder, 'pool'), 'w+')
  try {
    fs.writeSync(fd, Buffer.alloc(PAGES * 4096, 7))
    use(load(), fd)
  } finally {
    fs.closeSync(fd)
    fs.rmSync(folder, { recursive: true })
  }
}

const PAGE = 2

test('a faulted page that cannot be mapped again stays a fault: its zeros are never taken for data', { skip }, () => {
  withFile((addon, fd) => {
    const pool = addon.openPool(fd, PAGES * 4096, 4, false, false, PAGE) as NativePool
    const waiting = new Uint32Array(pool.control, 0, 1)
    const bytes = new Uint8Array(pool.window(0) as ArrayBuffer)
    fs.ftruncateSync(fd, 8 * 4096)
    assert.equal(bytes[9 * 4096], 0)
    assert.equal(waiting[0], 1)
    addon.faultsSet(NATIVE_CALLS.indexOf('map'), 1, 1, ENOMEM, 0)
    assert.equal(pool.takeFault(), -ENOMEM)
    assert.equal(waiting[0], 1, 'the fault was forgotten')
    assert.equal(pool.takeFault(), 1)
    assert.equal(waiting[0], 0)
    assert.equal(bytes[9 * 4096], 0)
    assert.equal(waiting[0], 1, 'the page is the file again, which ends before it')
    pool.close()
  })
})

test('an opening that fails gives its lock back even when the file cannot be examined any more', { skip }, () => {
  withFile((addon, fd) => {
    assert.equal(addon.lock(fd, true), 0)
    addon.faultsSet(NATIVE_CALLS.indexOf('fstat'), 1, 1, EIO, 0)
    addon.unlock(fd)
    addon.faultsSet(NATIVE_CALLS.length, 0, 0, 0, 0)
    assert.equal(addon.lock(fd, true), 0)
    addon.unlock(fd)
  })
})

/** File functions of Node fail as the library's own errors, and short reads and writes are gone on with. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { mock, test } from 'node:test'
import { DaxkvError } from '../../src/errors.js'
import { readFully, statFile, syncDirectory, writeFully } from '../../src/pmem/file-calls.js'
import { countDescriptors } from '../support/descriptors.js'
import { errnoName, systemError } from '../../src/pmem/native-binding.js'

function failing(errno: string): () => never {
  return () => {
    throw Object.assign(new Error(`${errno}: injected`), { code: errno })
  }
}

test('a failing file function is a DaxkvError that names errno and file', (t) => {
  mock.method(fs, 'fstatSync', failing('EIO'))
  mock.method(fs, 'fsyncSync', failing('ENOSPC'))
  t.after(() => mock.restoreAll())
  assert.throws(() => statFile(0, 'x.pool'), { name: 'DaxkvError', code: 'IO_ERROR', errno: 'EIO', path: 'x.pool' })
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'daxkv-sync-'))
  assert.throws(() => syncDirectory(folder, 'x.pool'), { code: 'NO_SPACE', errno: 'ENOSPC' })
  assert.equal(countDescriptors(folder), 0)
  fs.rmdirSync(folder)
})

test('short reads and writes are gone on with', (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'daxkv-short-'))
  const fd = fs.openSync(path.join(folder, 'file'), 'w+')
  t.after(() => {
    mock.restoreAll()
    fs.closeSync(fd)
    fs.rmSync(folder, { recursive: true })
  })
  const { readSync, writeSync } = fs
  type Positional = (fd: number, bytes: Uint8Array, offset: number, length: number, position: number) => number
  const half =
    (real: Positional): Positional =>
    (file, bytes, offset, length, position) =>
      real(file, bytes, offset, Math.ceil(length / 2), position)
  mock.method(fs, 'readSync', half(readSync))
  mock.method(fs, 'writeSync', half(writeSync as Positional))
  const bytes = Buffer.from(Array.from({ length: 1000 }, (_, index) => index & 255))
  writeFully(fd, 'x.pool', bytes, 10)
  const read = Buffer.alloc(1000)
  assert.equal(readFully(fd, 'x.pool', read, 10), 1000)
  assert.deepEqual(read, bytes)
  assert.equal(readFully(fd, 'x.pool', read, 510), 500)
})

test('errnos that libuv has no name for have theirs, and a quota is a lack of space', () => {
  const { EDQUOT } = os.constants.errno
  assert.equal(errnoName(EDQUOT), 'EDQUOT')
  const error = systemError('extending the pool', 'x.pool', EDQUOT)
  assert.ok(error instanceof DaxkvError)
  assert.equal(error.code, 'NO_SPACE')
})

/** What the suite `faults`, and building it, has found, in small: see docs/crash-testing.md. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { mock, test } from 'node:test'
import { DaxkvError, open } from '../../src/index.js'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { ready } from '../../src/pmem/xxh64.js'
import { Engine } from '../../src/tx/engine.js'
import { countDescriptors } from '../support/descriptors.js'

await ready

const SIZES = { initialSizeBytes: 256 * 1024, logSizeBytes: 64 * 1024 }

function withFolder(use: (folder: string) => void): void {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'daxkv-fault-'))
  try {
    use(folder)
  } finally {
    mock.restoreAll()
    fs.rmSync(folder, { recursive: true })
  }
}

test('a pool whose creator died before its name was durable gets a durable name from who opens it next', () => {
  withFolder((folder) => {
    const file = path.join(folder, 'a.pool')
    open(file, SIZES).close()
    const opened: string[] = []
    const { openSync } = fs
    mock.method(fs, 'openSync', (name: string, ...rest: [string | number]) => {
      opened.push(name)
      return openSync(name, ...rest)
    })
    open(file).close()
    assert.ok(!opened.includes(folder), 'a finished pool costs no wait for its directory')
    // The creator's name for it, which goes away after the directory was synced.
    fs.linkSync(file, path.join(folder, '.a.pool.creating-000000000000'))
    open(file).close()
    assert.ok(opened.includes(folder))
  })
})

test('a directory that cannot be synced leaves no pool, no descriptor and no lock behind', () => {
  withFolder((folder) => {
    const file = path.join(folder, 'a.pool')
    const { fsyncSync } = fs
    mock.method(fs, 'fsyncSync', (fd: number) => {
      if (fs.fstatSync(fd).isDirectory()) throw Object.assign(new Error('EIO: injected'), { code: 'EIO' })
      fsyncSync(fd)
    })
    assert.throws(() => open(file, SIZES), { name: 'DaxkvError', code: 'IO_ERROR', errno: 'EIO' })
    assert.deepEqual(fs.readdirSync(folder), [])
    assert.equal(countDescriptors(folder), 0)
    mock.restoreAll()
    open(file, SIZES).close()
  })
})

test('a descriptor whose close fails does not leave the pool locked in this process', () => {
  withFolder((folder) => {
    const file = path.join(folder, 'a.pool')
    const { closeSync } = fs
    mock.method(fs, 'closeSync', (fd: number) => {
      closeSync(fd)
      throw Object.assign(new Error('EIO: injected'), { code: 'EIO' })
    })
    open(file, SIZES).close()
    open(file).close()
  })
})

test('a checkpoint that finds no memory after a commit is put off: the commit was durable before it', () => {
  const memory = new SimulatedMemory({ sizeBytes: 256 * 4096, segmentShift: 8, granularity: 'page' })
  const engine = Engine.open('x', { memory, logSizeBytes: 64 * 1024, logging: 'redo' })
  const commit = (): void => {
    engine.begin()
    engine.nextKeyspaceId()
    engine.commit()
  }
  const reserve = memory.reserveProgram.bind(memory)
  let refused = 0
  memory.reserveProgram = (words: number): void => {
    if (words === 8) {
      refused++
      throw new DaxkvError('IO_ERROR', 'reserving program memory failed: ENOMEM')
    }
    reserve(words)
  }
  while (refused === 0) commit()
  memory.reserveProgram = reserve
  commit()
  assert.equal(engine.stats().checkpoints, 1)
  const { txid } = engine.stats()
  assert.equal(Engine.open('x', { memory: memoryOf(memory.image()) }).stats().txid, txid)
})

function memoryOf(image: Uint8Array): SimulatedMemory {
  return new SimulatedMemory({ sizeBytes: 256 * 4096, segmentShift: 8, granularity: 'page', image })
}

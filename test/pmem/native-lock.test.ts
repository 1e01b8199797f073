import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { lockPool, unlockPool } from '../../src/pmem/native-file.js'
import { NativeMemory } from '../../src/pmem/native-memory.js'
import { FOLDERS, hasCode, withPool } from './native-support.js'

const ADDON = new URL('../../build/Release/daxkv.node', import.meta.url).pathname

/** A process that locks the file, says so, and stays until it is killed. */
async function startOwner(file: string, exclusive: boolean): Promise<ChildProcess> {
  const code = `
    const fd = require('fs').openSync(${JSON.stringify(file)}, 'r+')
    console.log(require(${JSON.stringify(ADDON)}).lock(fd, ${exclusive}))
    setInterval(() => undefined, 1000)`
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  assert.equal(line.toString().trim(), '0')
  return child
}

function withDescriptor(file: string, flags: string, use: (fd: number) => void): void {
  const fd = fs.openSync(file, flags)
  try {
    use(fd)
  } finally {
    fs.closeSync(fd)
  }
}

for (const folder of FOLDERS) {
  test(`a pool of another process is locked, and free at once when its owner is killed, in ${folder}`, async () => {
    await withPool({ folder }, async ({ file }) => {
      const child = await startOwner(file, true)
      withDescriptor(file, 'r+', (fd) => {
        assert.throws(() => lockPool(fd, file, 'exclusive'), hasCode('POOL_LOCKED'))
        assert.throws(() => lockPool(fd, file, 'shared'), hasCode('POOL_LOCKED'))
      })
      child.kill('SIGKILL')
      await once(child, 'exit')
      withDescriptor(file, 'r+', (fd) => {
        lockPool(fd, file, 'exclusive')
        unlockPool(fd)
      })
    })
  })
}

test('readers of several processes share, a writer is kept out', async () => {
  await withPool({}, async ({ file }) => {
    const child = await startOwner(file, false)
    withDescriptor(file, 'r', (fd) => {
      lockPool(fd, file, 'shared')
      unlockPool(fd)
    })
    withDescriptor(file, 'r+', (fd) => {
      assert.throws(() => lockPool(fd, file, 'exclusive'), hasCode('POOL_LOCKED'))
    })
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
})

test('a second open in this process is told so, by whatever path and descriptor', async () => {
  await withPool({}, ({ file }) => {
    fs.linkSync(file, `${file}.link`)
    withDescriptor(file, 'r+', (first) => {
      lockPool(first, file, 'exclusive')
      withDescriptor(`${file}.link`, 'r+', (second) => {
        assert.throws(() => lockPool(second, file, 'exclusive'), hasCode('POOL_ALREADY_OPEN'))
        assert.throws(() => lockPool(second, file, 'shared'), hasCode('POOL_ALREADY_OPEN'))
      })
      unlockPool(first)
      lockPool(first, file, 'shared')
      withDescriptor(file, 'r', (second) => {
        lockPool(second, file, 'shared')
        unlockPool(second)
      })
      unlockPool(first)
    })
  })
})

test('a worker is told that this process has the pool, and its own lock ends with it', async () => {
  await withPool({}, async ({ file }) => {
    const code = `
      const fd = require('fs').openSync(${JSON.stringify(file)}, 'r+')
      require('worker_threads').parentPort.postMessage(require(${JSON.stringify(ADDON)}).lock(fd, true))
      setInterval(() => undefined, 1000)`
    const lockInWorker = async (): Promise<number> => {
      const worker = new Worker(code, { eval: true })
      const [result] = (await once(worker, 'message')) as [number]
      if (result === 0) {
        withDescriptor(file, 'r+', (fd) => {
          assert.throws(() => lockPool(fd, file, 'exclusive'), hasCode('POOL_ALREADY_OPEN'))
        })
      }
      await worker.terminate()
      return result
    }
    const fd = fs.openSync(file, 'r+')
    lockPool(fd, file, 'exclusive')
    assert.equal(await lockInWorker(), -1)
    unlockPool(fd)
    assert.equal(await lockInWorker(), 0)
    lockPool(fd, file, 'exclusive')
    unlockPool(fd)
    fs.closeSync(fd)
  })
})

test('the lock passes to the memory and ends with its close', async () => {
  await withPool({}, ({ file }) => {
    const fd = fs.openSync(file, 'r+')
    lockPool(fd, file, 'exclusive')
    const memory = NativeMemory.open(fd, { path: file, sizeBytes: 8192, segmentShift: 18, readOnly: false })
    withDescriptor(file, 'r+', (other) => {
      assert.throws(() => lockPool(other, file, 'exclusive'), hasCode('POOL_ALREADY_OPEN'))
    })
    memory.close()
    withDescriptor(file, 'r+', (other) => {
      lockPool(other, file, 'exclusive')
      unlockPool(other)
    })
  })
})

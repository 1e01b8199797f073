/** What the addon's other threads do beside commits: preparing growth, and making data durable. */
import assert from 'node:assert/strict'
import { pbkdf2 } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import { test } from 'node:test'
import {
  OP_APPLY,
  OP_FENCE,
  OP_RECORD,
  OP_STORE,
  OP_STORE_LAZY,
  PAGE_BYTES,
  RECORD_REDO,
} from '../../src/pmem/program.js'
import type { NativeMemory } from '../../src/pmem/native-memory.js'
import { FOLDERS, hasCode, readFilePage, runWords, stagingFrame, withPool } from './native-support.js'

function prepared(memory: NativeMemory, pages: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    if (!memory.prepareGrowth(pages * PAGE_BYTES, resolve)) reject(new Error('not begun'))
  })
}

for (const folder of FOLDERS) {
  test(`growth in ${folder} takes what was prepared, and writes the rest itself`, async () => {
    await withPool({ folder, pages: 8 }, async ({ memory, file, fd }) => {
      assert.equal(await prepared(memory, 40), true)
      assert.equal(fs.statSync(file).size, 40 * PAGE_BYTES)
      assert.equal(memory.sizeBytes, 8 * PAGE_BYTES)
      // Nobody may store there yet.
      assert.throws(() => runWords(memory, [OP_STORE, 8, 0, 1, 0]), hasCode('INTERNAL'))
      memory.grow(48 * PAGE_BYTES)
      assert.equal(fs.statSync(file).size, 48 * PAGE_BYTES)
      for (let page = 8; page < 48; page++) assert.ok(readFilePage(fd, page).every((byte) => byte === 0))
      stagingFrame(memory, 0).fill(3)
      runWords(memory, [OP_STORE, 39, 0, 1, 0, OP_FENCE])
      assert.equal(readFilePage(fd, 39)[0], 3)
    })
  })
}

test('a growth that comes before the preparation has ended waits for it', async () => {
  await withPool({ pages: 8 }, async ({ memory, file }) => {
    let told = 0
    assert.equal(
      memory.prepareGrowth(4096 * PAGE_BYTES, () => told++),
      true,
    )
    // One that has not begun is cancelled instead.
    while (fs.statSync(file).size === 8 * PAGE_BYTES) await new Promise((resolve) => setTimeout(resolve, 0))
    memory.grow(16 * PAGE_BYTES)
    assert.equal(memory.sizeBytes, 16 * PAGE_BYTES)
    assert.equal(fs.statSync(file).size, 4096 * PAGE_BYTES)
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(told, 0)
  })
})

test('what was prepared and not needed is cut off when the pool is closed', async () => {
  await withPool({ pages: 8 }, async ({ memory, file }) => {
    await prepared(memory, 40)
    memory.close()
    assert.equal(fs.statSync(file).size, 8 * PAGE_BYTES)
  })
})

test('nothing is prepared twice, backwards, or where nothing is mapped', async () => {
  await withPool({ pages: 8, segmentShift: 3 }, ({ memory }) => {
    const never = (): void => {
      assert.fail('was begun')
    }
    assert.equal(memory.prepareGrowth(8 * PAGE_BYTES, never), false)
    assert.equal(memory.prepareGrowth(9 * PAGE_BYTES, never), false)
  })
  await withPool({ pages: 8 }, async ({ memory }) => {
    await prepared(memory, 16)
    assert.equal(
      memory.prepareGrowth(24 * PAGE_BYTES, () => {
        assert.fail('was begun')
      }),
      false,
    )
  })
})

test('a data sync runs beside a barrier, counts as one sync and is told of once', async () => {
  await withPool({ folder: os.tmpdir(), pages: 64, forceGranularity: 'page' }, async ({ memory, fd }) => {
    stagingFrame(memory, 0).fill(7)
    runWords(memory, [OP_STORE_LAZY, 20, 0, 1, 0, OP_STORE, 30, 0, 1, 0])
    const before = memory.counters.syncs
    const ended = await new Promise((resolve, reject) => {
      if (!memory.startDataSync(resolve)) reject(new Error('not begun'))
      assert.equal(memory.startDataSync(reject), false)
      memory.startBarrier(false, () => undefined)
      assert.equal(memory.finishBarrier(), true)
    })
    assert.equal(ended, undefined)
    assert.equal(memory.counters.syncs - before, 2)
    assert.equal(memory.finishDataSync(true), false)
    assert.equal(readFilePage(fd, 20)[0], 7)
  })
})

test('a data sync takes much data part by part, what was stored to since the last one', async () => {
  const PAGES = 4096
  const PART_PAGES = 256
  const options = { folder: os.tmpdir(), pages: PAGES, forceGranularity: 'page' } as const
  for (const segmentShift of [18, 6]) {
    await withPool({ ...options, segmentShift }, async ({ memory }) => {
      const synced = async (): Promise<number> => {
        const { syncs, backgroundSyncs } = memory.counters
        const error = await new Promise((resolve, reject) => {
          if (!memory.startDataSync(resolve)) reject(new Error('not begun'))
        })
        assert.equal(error, undefined)
        assert.equal(memory.counters.syncs - syncs, memory.counters.backgroundSyncs - backgroundSyncs)
        return memory.counters.syncs - syncs
      }
      const store = (pages: number, stride: number): void => {
        for (let i = 0; i < pages; i++) runWords(memory, [OP_STORE_LAZY, PAGES - 1 - i * stride, 0, 1, 0])
      }
      assert.equal(await synced(), 1)
      store(3 * PART_PAGES, 5)
      assert.equal(await synced(), 1 + 3)
      assert.equal(await synced(), 1)
      store(PART_PAGES, 1)
      assert.equal(await synced(), 1)
    })
  }
  // However much it is, the waits for the device do not add up.
  await withPool({ ...options, pages: 4 * PAGES }, async ({ memory }) => {
    for (let page = 0; page < 4 * PAGES; page++) runWords(memory, [OP_STORE_LAZY, page, 0, 1, 0])
    const { syncs } = memory.counters
    await new Promise((resolve, reject) => {
      if (!memory.startDataSync(resolve)) reject(new Error('not begun'))
    })
    assert.equal(memory.counters.syncs - syncs, 1 + 32)
  })
})

test('who waits for a data sync gets no parts of it', async () => {
  await withPool({ pages: 4096, forceGranularity: 'page' }, async ({ memory }) => {
    for (let page = 0; page < 4096; page++) runWords(memory, [OP_STORE_LAZY, page, 0, 1, 0])
    const { syncs } = memory.counters
    // Every thread has something else to do, so the one that waits does it itself.
    const threads = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4)
    const busy = Array.from(
      { length: threads },
      () =>
        new Promise((resolve) => {
          pbkdf2('password', 'salt', 400_000, 64, 'sha512', resolve)
        }),
    )
    assert.equal(
      memory.startDataSync(() => undefined),
      true,
    )
    assert.equal(memory.finishDataSync(true), true)
    assert.equal(memory.counters.syncs - syncs, 1)
    await Promise.all(busy)
  })
})

test('who waits for a data sync is not told again', async () => {
  await withPool({ pages: 64, forceGranularity: 'page' }, async ({ memory }) => {
    let told = 0
    assert.equal(
      memory.startDataSync(() => told++),
      true,
    )
    assert.equal(memory.finishDataSync(true), true)
    assert.equal(memory.finishDataSync(false), false)
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(told, 0)
  })
})

test('where commits need no msync there is no data sync', async () => {
  await withPool({ pages: 64, forceGranularity: 'cache-line' }, ({ memory }) => {
    assert.equal(
      memory.startDataSync(() => undefined),
      false,
    )
  })
})

test('lines stored lazily reach their page whatever lies between them', async () => {
  await withPool({ pages: 64, forceGranularity: 'page' }, ({ memory, fd }) => {
    const before = readFilePage(fd, 9)
    // Through the system call at first, and through the mapping when a page comes again and again.
    for (let round = 1; round <= 8; round++) {
      stagingFrame(memory, 0).fill(round)
      runWords(memory, [OP_STORE_LAZY, 9, 0, 0b1001, 0x8000_0000])
      const expected = Buffer.from(before)
      for (const line of [0, 3, 63]) expected.fill(round, line * 64, line * 64 + 64)
      assert.deepEqual(readFilePage(fd, 9), expected)
      assert.deepEqual(Buffer.from(memory.segments[0].u8.subarray(9 * PAGE_BYTES, 10 * PAGE_BYTES)), expected)
    }
  })
})

test('a record is not written behind the end of a file that was cut short', async () => {
  await withPool({ pages: 64, forceGranularity: 'page' }, ({ memory, file, fd }) => {
    fs.ftruncateSync(fd, 32 * PAGE_BYTES)
    const record = [OP_RECORD, RECORD_REDO, 40, 4, 1, 0, 1, 0, 5, 6, 0, 1, 9, 0, 1, 0]
    assert.throws(() => runWords(memory, record), hasCode('MEDIA_ERROR'))
    assert.equal(fs.statSync(file).size, 32 * PAGE_BYTES)
  })
})

test('zeros read in place of a record that cannot be read reach no page', async () => {
  await withPool({ pages: 64, forceGranularity: 'page' }, ({ memory, fd }) => {
    stagingFrame(memory, 0).fill(0x11)
    stagingFrame(memory, 1).fill(0x22)
    const all = [0xffff_ffff, 0xffff_ffff]
    runWords(memory, [OP_STORE, 9, 0, ...all, OP_FENCE])
    runWords(memory, [OP_RECORD, RECORD_REDO, 40, 2, 1, 0, 1, 0, 5, 6, 0, 1, 9, 1, ...all, OP_FENCE])
    // Its last two lines lie on the second page.
    fs.ftruncateSync(fd, 41 * PAGE_BYTES)
    assert.throws(() => runWords(memory, [OP_APPLY, 40, 2, 0]), hasCode('MEDIA_ERROR'))
    assert.ok(readFilePage(fd, 9).every((byte) => byte === 0x11))
  })
})

test('a page of a file that was cut short is not written anew by lines stored lazily', async () => {
  await withPool({ pages: 64, forceGranularity: 'page' }, ({ memory, file, fd }) => {
    fs.ftruncateSync(fd, 32 * PAGE_BYTES)
    assert.throws(() => runWords(memory, [OP_STORE_LAZY, 40, 0, 0xffff_ffff, 0xffff_ffff]), hasCode('MEDIA_ERROR'))
    assert.equal(fs.statSync(file).size, 32 * PAGE_BYTES)
  })
})

/** The portable executor: its limits and their errors, its barriers, and pools that go from one executor to the other. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { dirname } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { open } from '../../src/index.js'
import { errnoInMessage, loadMmapIo, type MmapIo } from '../../src/pmem/mmap-io.js'
import { isNativeAvailable } from '../../src/pmem/native-binding.js'
import { fillHoles } from '../../src/pmem/portable-file.js'
import { PORTABLE_MAX_BYTES, PORTABLE_WINDOW_SHIFT, PortableMemory } from '../../src/pmem/portable-memory.js'
import type { PortableMemoryOptions } from '../../src/pmem/portable-memory.js'
import { OP_FENCE, OP_FLUSH, OP_STORE, OP_STORE_LAZY, OP_SYNC_ALL, PAGE_BYTES } from '../../src/pmem/program.js'
import { throwsCode } from '../api/support.js'
import { kill, poolFile, startOwner } from './portable-support.js'
import { frame, page, run } from './simulated-support.js'

const ALL = 0xffff_ffff

/** A mapped file of so many pages, closed when the test ends. */
function portable(t: TestContext, pages: number, options: Partial<PortableMemoryOptions> = {}): PortableMemory {
  const path = poolFile(t)
  fs.writeFileSync(path, Buffer.alloc(pages * PAGE_BYTES))
  const fd = fs.openSync(path, options.readOnly === true ? 'r' : 'r+')
  const memory = PortableMemory.open(fd, {
    path,
    sizeBytes: pages * PAGE_BYTES,
    segmentShift: 18,
    readOnly: false,
    why: 'a test',
    ...options,
  })
  t.after(() => {
    memory.close()
  })
  memory.addStagingChunk()
  return memory
}

/** mmap-io whose msyncs are noted, and fail with this errno if one is given. */
function watched(changes: Partial<MmapIo> = {}): MmapIo & { readonly syncs: [number, number][] } {
  const real = loadMmapIo()
  const syncs: [number, number][] = []
  return {
    map: (...parameters) => real.map(...parameters),
    sync: (buffer, offset, byteLength, blocking) => {
      assert.equal(blocking, true)
      assert.equal(offset % real.PAGESIZE, 0)
      real.sync(buffer, offset, byteLength, blocking)
      syncs.push([offset, byteLength])
    },
    MAP_SHARED: real.MAP_SHARED,
    PAGESIZE: real.PAGESIZE,
    ...changes,
    syncs,
  }
}

test('what runs, and why, is impossible to miss', (t) => {
  const store = open(poolFile(t), { executor: 'portable' })
  const { persistence } = store
  assert.equal(persistence.executor, 'portable')
  assert.equal(persistence.granularity, 'page')
  assert.equal(persistence.flushInstruction, 'msync')
  assert.equal(persistence.mapSync, false)
  assert.match(persistence.reason, /executor 'portable' was asked for.*mmap-io.*msync/)
  store.close()
})

test('a finer granularity than page is neither given nor pretended', (t) => {
  const path = poolFile(t)
  for (const level of ['byte', 'cache-line'] as const) {
    throwsCode(
      () => open(path, { executor: 'portable', requireGranularity: level }),
      'GRANULARITY_UNAVAILABLE',
      /mmap-io/,
    )
    throwsCode(() => open(path, { executor: 'portable', forceGranularity: level }), 'INVALID_ARGUMENT', /only msync/)
  }
  assert.equal(fs.existsSync(path), false)
  assert.deepEqual(fs.readdirSync(dirname(path)), [], 'nothing is left behind')
  const store = open(path, { executor: 'portable', requireGranularity: 'page', forceGranularity: 'page' })
  assert.equal(store.persistence.forced, true)
  store.close()
})

test('a missing package is named with the command that installs it', () => {
  const missing = Object.assign(new Error("Cannot find module 'mmap-io'\nRequire stack:"), { code: 'MODULE_NOT_FOUND' })
  const load = (error: Error) => () =>
    loadMmapIo(() => {
      throw error
    })
  throwsCode(
    load(missing),
    'PORTABLE_UNAVAILABLE',
    /mmap-io, which is not installed\. Install it with `npm install mmap-io@npm:@riaskov\/mmap-io`/,
  )
  throwsCode(load(new Error('wrong ELF class')), 'PORTABLE_UNAVAILABLE', /cannot be loaded \(Error: wrong ELF class\)/)
  throwsCode(() => loadMmapIo(() => ({})), 'PORTABLE_UNAVAILABLE', /lacks map and sync/)
})

test('a runtime that forbids external memory is refused by name', (t) => {
  Object.defineProperty(process.versions, 'electron', { value: '30.0.0', configurable: true })
  t.after(() => Reflect.deleteProperty(process.versions, 'electron'))
  throwsCode(() => loadMmapIo(() => ({})), 'UNSUPPORTED_TARGET', /Electron/)
})

test('2 GiB is the limit, of opening and of growing', (t) => {
  const path = poolFile(t)
  const fd = fs.openSync(path, 'w+')
  fs.ftruncateSync(fd, PORTABLE_MAX_BYTES + PAGE_BYTES)
  const options = { path, segmentShift: 18, readOnly: false, why: 'a test' }
  const error = throwsCode(
    () => PortableMemory.open(fd, { ...options, sizeBytes: PORTABLE_MAX_BYTES + PAGE_BYTES }),
    'UNSUPPORTED_TARGET',
    /at most 2147483648 \(2 GiB\)/,
  )
  assert.equal(error.limit, PORTABLE_MAX_BYTES)
  // The last page of the largest pool is mapped, stored to and synced.
  const memory = PortableMemory.open(fd, { ...options, sizeBytes: PORTABLE_MAX_BYTES })
  const last = PORTABLE_MAX_BYTES / PAGE_BYTES - 1
  memory.addStagingChunk()
  frame(memory, 0).fill(7)
  run(memory, OP_STORE, last, 0, ALL, ALL, OP_FENCE)
  assert.ok(page(memory, last).equals(Buffer.alloc(PAGE_BYTES, 7)))
  throwsCode(() => memory.grow(PORTABLE_MAX_BYTES + PAGE_BYTES), 'NO_SPACE', /2 GiB/)
  assert.equal(memory.sizeBytes, PORTABLE_MAX_BYTES)
  memory.close()
})

test('a store that reaches the limit of the executor says so, and goes on', (t) => {
  const path = poolFile(t)
  const limit = 4 * 2 ** 20
  t.mock.getter(PortableMemory.prototype, 'maxSizeBytes', () => limit)
  const store = open(path, {
    executor: 'portable',
    initialSizeBytes: 2 ** 20,
    logSizeBytes: 2 ** 18,
    valueEncoding: 'binary',
  })
  const put = (): void => {
    for (let i = 0; ; i++) store.put(i, Buffer.alloc(100_000))
  }
  const error = throwsCode(put, 'NO_SPACE', /the limit of the portable executor is 4194304/)
  assert.equal(error.limit, limit)
  store.put('after', Buffer.from('x'))
  assert.deepEqual(store.check().problems, [])
  store.close()
  assert.ok(fs.statSync(path).size <= limit)
})

test('a barrier is one msync of what was flushed, one fdatasync when that lies in two windows, nothing when nothing was', (t) => {
  const mmapIo = watched()
  const memory = portable(t, 600, { mmapIo })
  const fdatasync = t.mock.method(fs, 'fdatasyncSync')
  run(memory, OP_FENCE)
  assert.equal(memory.counters.syncs, 0)
  run(memory, OP_STORE, 3, 0, 1, 0, OP_STORE, 5, 0, 1, 0, OP_FENCE)
  assert.deepEqual(mmapIo.syncs, [[3 * PAGE_BYTES, 3 * PAGE_BYTES]])
  run(memory, OP_STORE_LAZY, 9, 0, 1, 0, OP_FENCE)
  assert.equal(memory.counters.syncs, 1, 'a lazy store is not waited for')
  const window = 2 ** PORTABLE_WINDOW_SHIFT
  run(memory, OP_STORE, window - 1, 0, 1, 0, OP_FLUSH, window, 1, 0, OP_FENCE)
  assert.equal(fdatasync.mock.callCount(), 1)
  run(memory, OP_STORE, window + 2, 0, 1, 0, OP_FENCE)
  assert.deepEqual(mmapIo.syncs.at(-1), [2 * PAGE_BYTES, PAGE_BYTES])
  run(memory, OP_SYNC_ALL)
  assert.equal(fdatasync.mock.callCount(), 2)
  assert.equal(memory.counters.syncs, 4)
})

test('where a file sync does not cover mappings, every window stored to is synced, and then the file', (t) => {
  const mmapIo = watched()
  const memory = portable(t, 600, { mmapIo, platform: 'darwin' })
  const fdatasync = t.mock.method(fs, 'fdatasyncSync')
  const window = 2 ** PORTABLE_WINDOW_SHIFT
  run(memory, OP_STORE_LAZY, 1, 0, 1, 0, OP_STORE, window, 0, 1, 0, OP_STORE, 2 * window, 0, 1, 0, OP_FENCE)
  assert.deepEqual(
    mmapIo.syncs.map(([offset, byteLength]) => [offset, byteLength / PAGE_BYTES]),
    [
      [0, window],
      [0, window],
      [0, 600 - 2 * window],
    ],
  )
  assert.equal(fdatasync.mock.callCount(), 1)
  run(memory, OP_FLUSH, 1, 1, 0, OP_FENCE)
  assert.equal(mmapIo.syncs.length, 3, 'what is clean is not synced again')
  assert.equal(memory.counters.syncs, 2)
})

test('on machines with larger pages an msync starts where one of theirs does', (t) => {
  const starts: number[] = []
  const mmapIo = watched({ PAGESIZE: 4 * PAGE_BYTES, sync: (_, offset, byteLength) => starts.push(offset, byteLength) })
  const memory = portable(t, 32, { mmapIo })
  run(memory, OP_STORE, 6, 0, 1, 0, OP_FENCE)
  assert.deepEqual(starts, [4 * PAGE_BYTES, 3 * PAGE_BYTES])
})

test('an msync that fails fails the commit and poisons the store; reopening finds what was acknowledged', (t) => {
  const path = poolFile(t)
  const real = loadMmapIo()
  const store = open(path, { executor: 'portable' })
  store.put('first', 1)
  const sync = t.mock.method(real, 'sync', () => {
    throw new Error('msync() failed, 5')
  })
  const error = throwsCode(() => store.put('second', 2), 'PERSIST_FAILED', /EIO/)
  assert.equal(error.errno, 'EIO')
  sync.mock.restore()
  throwsCode(() => store.put('third', 3), 'POISONED')
  throwsCode(() => store.get('first'), 'POISONED')
  store.close()
  const again = open(path, { executor: 'portable' })
  assert.equal(again.get('first'), 1)
  assert.equal(again.get('third'), undefined)
  assert.deepEqual(again.check().problems, [])
  again.close()
})

test('the errno in a message of mmap-io is found', () => {
  assert.equal(errnoInMessage(new Error('mmap failed, 12')), 12)
  assert.equal(errnoInMessage(new Error('mmap failed')), undefined)
  assert.equal(errnoInMessage('mmap failed, 12'), undefined)
})

test('a barrier that nobody waits for is over when it has begun, and its end is told once', async (t) => {
  const memory = portable(t, 8)
  const ends: (string | undefined)[] = []
  const ended = (error: { code: string } | undefined): number => ends.push(error?.code)
  run(memory, OP_STORE, 1, 0, 1, 0)
  memory.startBarrier(false, ended)
  assert.equal(memory.counters.syncs, 1)
  throwsCode(() => memory.startBarrier(false, ended), 'INTERNAL', /under way/)
  assert.deepEqual(ends, [])
  await setImmediate()
  assert.deepEqual(ends, [undefined])
  assert.equal(memory.finishBarrier(), false)
  memory.startBarrier(true, ended)
  assert.equal(memory.finishBarrier(), true)
  await setImmediate()
  assert.equal(ends.length, 1, 'who waited is not told again')
  t.mock.method(fs, 'fdatasyncSync', () => {
    throw Object.assign(new Error('x'), { code: 'EIO' })
  })
  memory.startBarrier(true, ended)
  throwsCode(() => memory.finishBarrier(), 'PERSIST_FAILED')
  memory.startBarrier(true, ended)
  await setImmediate()
  assert.deepEqual(ends, [undefined, 'PERSIST_FAILED'])
})

test('a file cut short is refused at opening, and before the next commit', (t) => {
  const memory = portable(t, 32)
  const { path } = memory
  const fd = fs.openSync(path, 'r+')
  const longer = { path, sizeBytes: 33 * PAGE_BYTES, segmentShift: 18, readOnly: false, why: 'a test' }
  throwsCode(() => PortableMemory.open(fd, longer), 'TRUNCATED')
  fs.closeSync(fd)
  fs.truncateSync(memory.path, 8 * PAGE_BYTES)
  const error = throwsCode(() => run(memory, OP_STORE, 1, 0, 1, 0, OP_FENCE), 'MEDIA_ERROR', /cut short to 32768 bytes/)
  assert.equal(error.offset, 8 * PAGE_BYTES)
  throwsCode(() => memory.writeExtent(1, Buffer.alloc(10), new Uint32Array(2)), 'MEDIA_ERROR')
  throwsCode(() => memory.grow(64 * PAGE_BYTES), 'MEDIA_ERROR')
})

test('growth shows zeros and keeps what was there, also after the view of the end was limited', (t) => {
  const memory = portable(t, 300)
  frame(memory, 0).fill(1)
  run(memory, OP_STORE, 10, 0, ALL, ALL, OP_STORE, 299, 0, ALL, ALL, OP_FENCE)
  const before = page(memory, 299)
  memory.grow(700 * PAGE_BYTES)
  assert.ok(page(memory, 299).equals(before))
  run(memory, OP_STORE, 299, 0, 1, 0, OP_STORE, 699, 0, ALL, ALL, OP_FENCE)
  assert.equal(page(memory, 699)[4095], 1)
  assert.ok(page(memory, 500).equals(Buffer.alloc(PAGE_BYTES)))
  memory.limitTo(280 * PAGE_BYTES)
  throwsCode(() => run(memory, OP_STORE, 299, 0, 1, 0), 'INTERNAL')
  memory.grow(800 * PAGE_BYTES)
  for (let id = 280; id < 800; id++) assert.ok(page(memory, id).equals(Buffer.alloc(PAGE_BYTES)), `page ${id}`)
  assert.equal(page(memory, 10)[0], 1)
  const file = fs.readFileSync(memory.path)
  for (let id = 0; id < 800; id++)
    assert.ok(page(memory, id).equals(file.subarray(id * PAGE_BYTES, (id + 1) * PAGE_BYTES)))
})

test('a growth that fails leaves size and file as they were', (t) => {
  const memory = portable(t, 8)
  let writes = 0
  const write = t.mock.method(fs, 'writeSync', () => {
    if (++writes > 3) throw Object.assign(new Error('x'), { code: 'ENOSPC' })
    return PAGE_BYTES
  })
  const error = throwsCode(() => memory.grow(32 * PAGE_BYTES), 'NO_SPACE', /from 32768 to 131072 bytes/)
  assert.equal(error.limit, 8 * PAGE_BYTES)
  write.mock.restore()
  assert.equal(memory.sizeBytes, 8 * PAGE_BYTES)
  assert.equal(fs.statSync(memory.path).size, 8 * PAGE_BYTES)
  memory.grow(32 * PAGE_BYTES)
  assert.equal(page(memory, 31)[0], 0)
})

test('holes are written where the block count shows them', (t) => {
  const path = poolFile(t)
  const fd = fs.openSync(path, 'w+')
  t.after(() => {
    fs.closeSync(fd)
  })
  fs.ftruncateSync(fd, 64 * PAGE_BYTES)
  fs.writeSync(fd, Buffer.alloc(PAGE_BYTES, 9), 0, PAGE_BYTES, 5 * PAGE_BYTES)
  if (fs.fstatSync(fd).blocks * 512 >= 64 * PAGE_BYTES) {
    t.skip('this file system makes no holes')
    return
  }
  assert.equal(fillHoles(fd, path, 64 * PAGE_BYTES), 63 * PAGE_BYTES)
  assert.ok(fs.fstatSync(fd).blocks * 512 >= 64 * PAGE_BYTES)
  assert.equal(fillHoles(fd, path, 64 * PAGE_BYTES), 0)
  assert.equal(fs.readFileSync(path)[5 * PAGE_BYTES], 9)
})

test('a read-only pool runs nothing', (t) => {
  const memory = portable(t, 8, { readOnly: true })
  assert.equal(page(memory, 1)[0], 0)
  throwsCode(() => run(memory, OP_FENCE), 'READ_ONLY')
  throwsCode(() => memory.grow(16 * PAGE_BYTES), 'READ_ONLY')
  throwsCode(() => memory.writeExtent(1, Buffer.alloc(1), new Uint32Array(2)), 'READ_ONLY')
})

test('a closed pool does nothing more, and closing again is harmless', (t) => {
  const memory = portable(t, 8)
  memory.close()
  memory.close()
  for (const use of [
    () => memory.run(0),
    () => memory.mapSegment(0),
    () => memory.grow(16 * PAGE_BYTES),
    () => memory.addStagingChunk(),
  ]) {
    throwsCode(use, 'CLOSED')
  }
  assert.equal(memory.segments.length, 0)
})

test(
  'a write into a view ends the process instead of corrupting the pool',
  { skip: process.platform === 'win32' },
  (t) => {
    const path = poolFile(t)
    const store = open(path, { executor: 'portable', valueEncoding: 'binary' })
    store.put('key', Buffer.from('value'))
    store.close()
    const script = `
    import { open } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
    const store = open(${JSON.stringify(path)}, { executor: 'portable' })
    store.withView('key', (view) => { view[0] = 0x58 })`
    const child = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script])
    assert.ok(child.signal === 'SIGSEGV' || child.signal === 'SIGBUS', String(child.stderr))
    const again = open<string, Buffer>(path, { executor: 'portable' })
    assert.equal(again.get('key')?.toString(), 'value')
    assert.deepEqual(again.check().problems, [])
    again.close()
  },
)

test('a pool is opened again while its old mappings live, which then go with the garbage', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const path = poolFile(t)
  const mappings = (): number => fs.readFileSync('/proc/self/maps', 'latin1').split(`${path}\n`).length - 1
  const cycle = (i: number): void => {
    const store = open<string, number>(path, { executor: 'portable' })
    assert.equal(store.get('cycle'), i === 0 ? undefined : i - 1)
    store.put('cycle', i)
    store.close()
  }
  for (let i = 0; i < 20; i++) cycle(i)
  if (process.platform !== 'linux') return
  assert.ok(mappings() > 1, 'no old mapping lives: this test tests nothing')
  // One window of the last store may still be known to a call that has not been made again.
  for (let i = 0; i < 10 && mappings() > 1; i++) {
    collect()
    await setImmediate()
  }
  assert.ok(mappings() <= 1, `${mappings()} mappings`)
})

const native = { skip: isNativeAvailable() ? false : 'the addon is not built' }

for (const [killed, reopened] of [
  ['portable', 'native'],
  ['native', 'portable'],
  ['portable', 'portable'],
] as const) {
  test(`a ${killed} writer that was killed is recovered by the ${reopened} executor`, native, async (t) => {
    const path = poolFile(t)
    const work = 'for (let i = 0; i < 500; i++) store.put(i, { text: "x".repeat(i) })'
    await kill(await startOwner(t, path, { executor: killed }, work))
    const store = open<number, { text: string }>(path, { executor: reopened })
    assert.equal(store.persistence.executor, reopened)
    assert.notEqual(store.stats().recovery.outcome, 'clean')
    assert.equal(store.count(), 500)
    for (let i = 0; i < 500; i++) assert.equal(store.get(i)?.text.length, i)
    assert.deepEqual(store.check().problems, [])
    store.close()
  })
}

test('both executors make the same pool of the same transactions', native, (t) => {
  const images = (['native', 'portable'] as const).map((executor) => {
    const path = poolFile(t)
    const store = open(path, { executor, forceGranularity: 'page', initialSizeBytes: 2 ** 21, logSizeBytes: 2 ** 19 })
    for (let i = 0; i < 300; i++) store.put(`key ${i % 70}`, { i, text: 'x'.repeat((i * 37) % 5000) })
    store.deleteRange({ gte: 'key 3', lt: 'key 5' })
    const dump = JSON.stringify([...store])
    const { capacityPages, allocatedPages, txid, growths } = store.stats()
    store.close()
    return { dump, stats: { capacityPages, allocatedPages, txid, growths } }
  })
  assert.deepEqual(images[1], images[0])
})

/** The background msync on real files: slow, failing, and with an environment that ends while it is under way. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { open } from '../../src/index.js'

// While the file it is told exists, msync waits half a second first, or fails, as the file's first byte says.
const MSYNC_DOUBLE = `
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
int msync(void *address, size_t length, int flags) {
  const char *marker = getenv("DAXKV_TEST_MSYNC");
  int fd = marker == NULL ? -1 : open(marker, O_RDONLY | O_CLOEXEC);
  char mode = 0;
  if (fd >= 0) {
    if (read(fd, &mode, 1) != 1) mode = 0;
    close(fd);
  }
  if (mode == 'e') { errno = EIO; return -1; }
  if (mode == 'n') { errno = ENOSPC; return -1; }
  if (mode == 's') usleep(500000);
  return (int)syscall(SYS_msync, address, length, flags);
}
`

interface Double {
  readonly folder: string
  readonly pool: string
  /** Runs a module in a process of its own, in which MARKER and POOL are names of files and `open` is imported. */
  run(script: string): { status: number | null; stdout: string; stderr: string }
}

/** Undefined after skipping, where there is no compiler. */
function msyncDouble(t: TestContext): Double | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'daxkv-pipeline-'))
  t.after(() => {
    rmSync(folder, { recursive: true })
  })
  const [source, library, marker, pool] = ['msync.c', 'msync.so', 'marker', 'pool'].map((name) => join(folder, name))
  writeFileSync(source, MSYNC_DOUBLE)
  const compiled = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source], { encoding: 'utf8' })
  if (compiled.status !== 0) {
    t.skip(`no C compiler to build the test double with: ${String(compiled.error ?? compiled.stderr)}`)
    return undefined
  }
  const head = `
    import { rmSync, writeFileSync } from 'node:fs'
    import { open } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
    const MARKER = ${JSON.stringify(marker)}
    const POOL = ${JSON.stringify(pool)}
  `
  const run = (script: string): ReturnType<Double['run']> => {
    const child = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', head + script], {
      encoding: 'utf8',
      timeout: 120_000,
      env: { ...process.env, LD_PRELOAD: library, DAXKV_TEST_MSYNC: marker },
    })
    return { status: child.status, stdout: child.stdout.trim(), stderr: child.stderr }
  }
  return { folder, pool, run }
}

for (const [mode, errno] of [
  ['e', 'EIO'],
  ['n', 'ENOSPC'],
]) {
  test(`a background msync that fails with ${errno} rejects its group and what is collected; reopening finds all that was acknowledged`, (t) => {
    const double = msyncDouble(t)
    if (double === undefined) return
    const { status, stdout, stderr } = double.run(`
      const store = open(POOL, { forceGranularity: 'page' })
      await Promise.all(Array.from({ length: 20 }, (_, i) => store.putAsync(i, { i })))
      writeFileSync(MARKER, '${mode}')
      const codes = []
      const note = (error) => codes.push(error.code + ' ' + (error.errno ?? ''))
      const group = [store.putAsync(20, {}).catch(note), store.deleteAsync(0).catch(note)]
      await new Promise(setImmediate)
      const collected = store.putAsync(21, {}).catch(note)
      await Promise.all([...group, collected])
      rmSync(MARKER)
      await store.putAsync(22, {}).catch(note)
      try { store.get(1) } catch (error) { note(error) }
      store.close()
      console.log(codes.join(','))
    `)
    assert.equal(status, 0, stderr)
    assert.equal(stdout, `${[1, 2, 3].map(() => `PERSIST_FAILED ${errno}`).join(',')},POISONED ,POISONED`)
    const store = open<number, unknown>(double.pool)
    for (let i = 1; i < 20; i++) assert.deepEqual(store.get(i), { i })
    // The group that failed is there as a whole or not at all.
    assert.equal(store.has(20), !store.has(0))
    assert.ok(!store.has(21) && !store.has(22))
    assert.deepEqual(store.check().problems, [])
    store.close()
  })
}

test('the event loop goes on while an msync takes its time, and a synchronous put waits for it', (t) => {
  const double = msyncDouble(t)
  if (double === undefined) return
  const { status, stdout, stderr } = double.run(`
    const store = open(POOL, { forceGranularity: 'page' })
    store.put('warm', 1)
    writeFileSync(MARKER, 's')
    let settled = false
    const put = store.putAsync('slow', 1).then(() => { settled = true })
    let turns = 0
    for (; turns < 20; turns++) await new Promise(setImmediate)
    const during = settled
    rmSync(MARKER)
    store.put('sync', 1)
    const seen = store.get('slow')
    await put
    console.log(turns, during, seen, store.stats().counters.backgroundSyncs)
    store.close()
  `)
  assert.equal(status, 0, stderr)
  assert.equal(stdout, '20 false 1 1')
})

test('a worker that is terminated with an msync under way releases the pool, which can be opened again', (t) => {
  const double = msyncDouble(t)
  if (double === undefined) return
  const { status, stdout, stderr } = double.run(`
    import { Worker } from 'node:worker_threads'
    const worker = (body) => new Worker(
      'import(' + JSON.stringify(${JSON.stringify(new URL('../../node_modules/tsx/dist/esm/api/index.mjs', import.meta.url).href)}) + ').then(async ({ register }) => {' +
      'register(); const { open } = await import(' + JSON.stringify(${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}) + ');' + body + '})',
      { eval: true, workerData: POOL })
    open(POOL, { forceGranularity: 'page' }).close()
    for (let round = 0; round < 3; round++) {
      writeFileSync(MARKER, 's')
      const thread = worker(
        "const { parentPort, workerData } = await import('node:worker_threads');" +
        "const store = open(workerData, { forceGranularity: 'page' });" +
        "store.putAsync(" + round + ", 'x').catch(() => undefined); store.putAsync('other', 'x').catch(() => undefined);" +
        "setImmediate(() => setImmediate(() => parentPort.postMessage('under way')))")
      await new Promise((resolve, reject) => { thread.once('message', resolve); thread.once('error', reject) })
      await thread.terminate()
      rmSync(MARKER)
      const store = open(POOL)
      const problems = store.check().problems.length
      console.log(round, problems, store.stats().recovery.outcome)
      store.close()
    }
  `)
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^0 0 (replayed|nothing)\n1 0 (replayed|nothing)\n2 0 (replayed|nothing)$/)
})

test('a process does not end before its asynchronous puts are durable, and leaves relaxed ones to the page cache', (t) => {
  const double = msyncDouble(t)
  if (double === undefined) return
  const { status, stdout, stderr } = double.run(`
    const store = open(POOL, { forceGranularity: 'page', relaxedIntervalMs: 60000 })
    store.put('relaxed', 1, { durability: 'relaxed' })
    store.putAsync('async', 1).then(() => console.log('durable'))
  `)
  assert.equal(status, 0, stderr)
  assert.equal(stdout, 'durable')
  const store = open(double.pool)
  assert.deepEqual([...store.keys()], ['async', 'relaxed'])
  store.close()
})

test('a relaxed put survives SIGKILL the moment it returns, without any msync', (t) => {
  const double = msyncDouble(t)
  if (double === undefined) return
  const { stdout, stderr } = double.run(`
    const store = open(POOL, { forceGranularity: 'page', durability: 'relaxed', relaxedIntervalMs: 60000 })
    store.flushSync()
    const before = store.stats().counters.syncs
    for (let i = 0; i < 500; i++) store.put(i, { i })
    store.transaction(() => { store.delete(0); store.put('last', true) })
    console.log(store.stats().counters.syncs - before)
    process.kill(process.pid, 'SIGKILL')
  `)
  assert.equal(stdout, '0', stderr)
  const store = open<number | string, unknown>(double.pool)
  assert.equal(store.stats().recovery.outcome, 'replayed')
  assert.equal(store.count(), 500)
  assert.deepEqual([store.get(0), store.get(499), store.get('last')], [undefined, { i: 499 }, true])
  assert.deepEqual(store.check().problems, [])
  store.close()
})

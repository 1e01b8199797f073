/** Redo commits on real files: what reaches the disk, and what a failing disk leaves. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { open } from '../../src/index.js'

const EXT4_MAGIC = 0xef53
const VALUE = Buffer.alloc(100, 7)

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'daxkv-redo-'))
  t.after(() => {
    rmSync(folder, { recursive: true })
  })
  return folder
}

/** Bytes of pages this process has made dirty for the block device. Always 0 on tmpfs. */
function writtenBytes(): number {
  return Number(/^write_bytes: (\d+)$/m.exec(readFileSync('/proc/self/io', 'latin1'))?.[1])
}

test('a small durable put is one sync and writes three pages at most, also after many puts', (t) => {
  const folder = temporaryFolder(t)
  const { type } = statfsSync(folder)
  if (type !== EXT4_MAGIC) {
    t.skip(`${folder} is not on ext4 (file system type ${type.toString(16)}), where written bytes are counted`)
    return
  }
  const store = open<string, Buffer>(join(folder, 'pool'), { keyEncoding: 'utf8', valueEncoding: 'binary' })
  t.after(() => {
    store.close()
  })
  const key = (index: number): string => `key ${String(Math.imul(index, 0x9e3779b1) >>> 0).padStart(10, '0')}`
  const measure = (first: number, count: number): number => {
    const before = { bytes: writtenBytes(), ...store.stats() }
    for (let index = first; index < first + count; index++) store.put(key(index), VALUE)
    const after = store.stats()
    const checkpoints = after.checkpoints - before.checkpoints
    assert.equal(after.counters.syncs - before.counters.syncs, count + 2 * checkpoints)
    return (writtenBytes() - before.bytes) / count / 4096
  }
  assert.equal(store.stats().logging, store.persistence.granularity === 'page' ? 'redo' : 'undo')
  if (store.persistence.granularity !== 'page') return
  const early = measure(0, 60)
  for (let block = 1; block <= 20; block++) {
    store.transaction(() => {
      for (let index = 0; index < 500; index++) store.put(key(block * 10_000 + index), VALUE)
    })
  }
  const late = measure(1_000_000, 120)
  assert.ok(early <= 3, `${early} pages a put`)
  assert.ok(late <= 3, `${late} pages a put after many`)
})

// Fails msync with EIO while the file it is told exists: what a dying disk does.
const FAILING_MSYNC = `
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
int msync(void *address, size_t length, int flags) {
  const char *marker = getenv("DAXKV_TEST_FAIL_MSYNC");
  if (marker != NULL && access(marker, F_OK) == 0) { errno = EIO; return -1; }
  return (int)syscall(SYS_msync, address, length, flags);
}
`

test('an msync that fails poisons the store, and reopening finds every acknowledged put', (t) => {
  const folder = temporaryFolder(t)
  const [source, library, marker, pool] = ['msync.c', 'msync.so', 'fail', 'pool'].map((name) => join(folder, name))
  writeFileSync(source, FAILING_MSYNC)
  const compiled = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source], { encoding: 'utf8' })
  if (compiled.status !== 0) {
    t.skip(`no C compiler to build the test double with: ${String(compiled.error ?? compiled.stderr)}`)
    return
  }
  const script = `
    import { rmSync, writeFileSync } from 'node:fs'
    import { open } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
    const store = open(${JSON.stringify(pool)}, { forceGranularity: 'page' })
    for (let i = 0; i < 20; i++) store.put(i, { i })
    writeFileSync(${JSON.stringify(marker)}, '')
    const codes = []
    for (const work of [() => store.put(20, { i: 20 }), () => store.put(21, { i: 21 }), () => store.get(0)]) {
      try { work(); codes.push('none') } catch (error) { codes.push(error.code + ' ' + (error.errno ?? '')) }
    }
    rmSync(${JSON.stringify(marker)})
    try { store.put(22, {}); codes.push('none') } catch (error) { codes.push(error.code) }
    store.close()
    console.log(codes.join(','))
  `
  const child = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    encoding: 'utf8',
    env: { ...process.env, LD_PRELOAD: library, DAXKV_TEST_FAIL_MSYNC: marker },
  })
  assert.equal(child.status, 0, child.stderr)
  assert.equal(child.stdout.trim(), 'PERSIST_FAILED EIO,POISONED ,POISONED ,POISONED')
  const store = open(pool)
  assert.equal(store.stats().recovery.outcome, 'replayed')
  for (let i = 0; i < 20; i++) assert.deepEqual(store.get(i), { i })
  // The put that failed may be there or not; what came after it was never written.
  assert.ok(store.count() === 20 || store.count() === 21)
  assert.deepEqual(store.check().problems, [])
  store.close()
})

test('a store that is left alone is checkpointed, and its timer keeps no process alive', (t) => {
  const folder = temporaryFolder(t)
  const script = `
    import { open } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
    const store = open(${JSON.stringify(join(folder, 'pool'))}, { forceGranularity: 'page' })
    store.put(1, 'one')
    const before = store.stats().checkpoints
    if (process.argv[1] === 'wait') {
      setTimeout(() => { console.log(before, store.stats().checkpoints); process.kill(process.pid, 'SIGKILL') }, 2500)
    }
  `
  const run = (...words: string[]): { stdout: string; signal: string | null; status: number | null } =>
    spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, ...words], {
      encoding: 'utf8',
      timeout: 30_000,
    })
  const waiting = run('wait')
  assert.equal(waiting.stdout.trim(), '0 1')
  const started = performance.now()
  assert.equal(run().status, 0)
  assert.ok(performance.now() - started < 25_000)
  const store = open<number, string>(join(folder, 'pool'))
  assert.equal(store.get(1), 'one')
  store.close()
})

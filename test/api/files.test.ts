import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import test from 'node:test'
import { EXECUTOR, open, poolPath, throwsCode } from './support.js'

test('what was committed is there after closing and reopening', (t) => {
  const path = poolPath(t)
  const store = open(path)
  store.put('a', { shape: 1 })
  store.keyspace('other', { keyEncoding: 'uint32', valueEncoding: 'binary' }).put(1, Buffer.alloc(10_000, 7))
  assert.equal(store.path, path)
  assert.equal(store.readOnly, false)
  assert.equal(store.closed, false)
  store.close()
  assert.equal(store.closed, true)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  const again = open(path)
  assert.deepEqual(again.get('a'), { shape: 1 })
  assert.deepEqual(again.keyspace('other').get(1), Buffer.alloc(10_000, 7))
  assert.equal(again.stats().recovery.outcome, 'clean')
  assert.deepEqual(again.check().problems, [])
  again.close()
})

test('closing twice does nothing, everything else is refused then', (t) => {
  const store = open(poolPath(t))
  const other = store.keyspace('other')
  store.put('a', 1)
  const rows = store.range()
  rows.next()
  store.close()
  store.close()
  store[Symbol.dispose]()
  for (const use of [
    () => store.get('a'),
    () => store.getBinary('a'),
    () => store.withView('a', () => 1),
    () => store.has('a'),
    () => store.put('a', 1),
    () => store.delete('a'),
    () => store.update('a', () => 1),
    () => store.compareAndSet('a', undefined, undefined),
    () => store.transaction(() => 1),
    () => store.range(),
    () => store.count(),
    () => store.first(),
    () => store.scan({}, () => 1),
    () => store.forEach({}, () => 1),
    () => store.keyspace('other'),
    () => store.keyspaces(),
    () => store.dropKeyspace('other'),
    () => store.check(),
    () => store.stats(),
    () => other.get('a'),
    () => other.put('a', 1),
    () => rows.next(),
  ]) {
    throwsCode(use, 'CLOSED')
  }
  assert.ok(store.persistence.granularity)
})

test('a read-only store reads and refuses every write', (t) => {
  const path = poolPath(t)
  const writer = open(path)
  writer.put('a', { shape: 1 })
  writer.keyspace('other').put('b', 2)
  writer.close()
  const store = open(path, { readOnly: true })
  t.after(() => {
    store.close()
  })
  assert.equal(store.readOnly, true)
  assert.deepEqual(store.get('a'), { shape: 1 })
  assert.deepEqual([...store.keyspace('other')], [['b', 2]])
  for (const write of [
    () => store.put('a', 1),
    () => store.delete('a'),
    () => store.clear(),
    () => store.transaction(() => 1),
    () => store.update('a', () => 1),
    () => store.putIfAbsent('z', 1),
    () => store.deleteRange({ gte: 'a' }),
    () => store.batch([]),
    () => store.dropKeyspace('other'),
    () => store.keyspace('new'),
  ]) {
    throwsCode(write, 'READ_ONLY')
  }
  assert.deepEqual(store.check().problems, [])
})

test('two read-only stores may share a pool, a writer may not', (t) => {
  const path = poolPath(t)
  open(path).close()
  const one = open(path, { readOnly: true })
  throwsCode(() => open(path), 'POOL_ALREADY_OPEN')
  one.close()
  const writer = open(path)
  throwsCode(() => open(path), 'POOL_ALREADY_OPEN')
  throwsCode(() => open(path, { readOnly: true }), 'POOL_ALREADY_OPEN')
  writer.close()
  open(path).close()
})

test('a killed writer leaves a pool that recovers, and no lock', (t) => {
  const path = poolPath(t)
  const script = `
    import { open } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
    const store = open(${JSON.stringify(path)}, ${JSON.stringify(EXECUTOR === undefined ? {} : { executor: EXECUTOR })})
    for (let i = 0; i < 100; i++) store.put(i, { i })
    process.kill(process.pid, 'SIGKILL')
  `
  const child = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  assert.equal(child.signal, 'SIGKILL', child.stderr)
  throwsCode(() => open(path, { readOnly: true }), 'NEEDS_RECOVERY', /open it for writing/)
  const store = open(path)
  assert.equal(store.stats().recovery.outcome, store.stats().logging === 'redo' ? 'replayed' : 'finished')
  assert.equal(store.count(), 100)
  assert.deepEqual(store.get(99), { i: 99 })
  assert.deepEqual(store.check().problems, [])
  store.close()
})

test('encodings of the default keyspace are recorded', (t) => {
  const path = poolPath(t)
  const store = open(path, { keyEncoding: 'uint32', valueEncoding: 'string' })
  store.put(1, 'one')
  store.close()
  throwsCode(() => open(path, { keyEncoding: 'utf8' }), 'ENCODING_MISMATCH', /'uint32'.*'utf8'/)
  throwsCode(() => open(path, { valueEncoding: 'json' }), 'ENCODING_MISMATCH', /'string'.*'json'/)
  // A refused open has released its lock.
  const again = open<number, string>(path)
  assert.equal(again.get(1), 'one')
  again.close()
})

test('what is not a pool is refused by name', (t) => {
  const path = poolPath(t)
  throwsCode(() => open(path, { create: false }), 'POOL_NOT_FOUND', /does not exist/)
  throwsCode(() => open(path, { readOnly: true }), 'POOL_NOT_FOUND')
  throwsCode(() => open(`${path}/x`), 'POOL_NOT_FOUND')
  mkdirSync(path)
  throwsCode(() => open(path), 'UNSUPPORTED_TARGET', /directory/)
  const text = `${path}.txt`
  for (const content of ['', 'hello', 'x'.repeat(100_000)]) {
    writeFileSync(text, content)
    throwsCode(() => open(text), 'NOT_A_POOL')
    assert.equal(readFileSync(text, 'utf8'), content)
  }
  const link = `${path}.link`
  symlinkSync(text, link)
  throwsCode(() => open(link), 'UNSUPPORTED_TARGET', /symbolic link/)
  throwsCode(() => open('/dev/null'), 'UNSUPPORTED_TARGET')
})

test('a file cut off or of a newer format is refused before anything is written', (t) => {
  const path = poolPath(t)
  open(path).close()
  const whole = readFileSync(path)
  truncateSync(path, whole.length - 4096)
  throwsCode(() => open(path), 'TRUNCATED', /backup/)
  truncateSync(path, 8192)
  throwsCode(() => open(path), 'TRUNCATED')
  const newer = Buffer.from(whole)
  newer.writeUInt32LE(99, 8)
  newer.writeUInt32LE(99, 4096 + 8)
  writeFileSync(path, newer)
  throwsCode(() => open(path), 'UNSUPPORTED_FORMAT', /99.*upgrade/)
  assert.ok(readFileSync(path).equals(newer))
  writeFileSync(path, whole)
  appendFileSync(path, Buffer.alloc(10_000))
  const store = open(path)
  store.put('a', 1)
  store.close()
})

test('a file without permission says so', { skip: process.getuid?.() === 0 && 'root may do everything' }, (t) => {
  const path = poolPath(t)
  open(path).close()
  chmodSync(path, 0o000)
  throwsCode(() => open(path), 'PERMISSION_DENIED', /mode/)
  chmodSync(dirname(path), 0o500)
  throwsCode(() => open(`${path}.new`), 'PERMISSION_DENIED')
  chmodSync(dirname(path), 0o700)
})

test('the arguments of open are checked', (t) => {
  const path = poolPath(t)
  for (const bad of ['', 1, undefined, null, Buffer.from('x'), 'a\0b']) {
    throwsCode(() => open(bad as never), 'INVALID_ARGUMENT', /path/)
  }
  throwsCode(() => open(path, { readonly: true } as never), 'UNKNOWN_OPTION', /did you mean 'readOnly'/)
  throwsCode(() => open(path, { granularity: 'page' } as never), 'UNKNOWN_OPTION', /requireGranularity/)
  throwsCode(() => open(path, { colour: 'red' } as never), 'UNKNOWN_OPTION', /colour/)
  throwsCode(() => open(path, 'x' as never), 'INVALID_ARGUMENT')
  throwsCode(() => open(path, null as never), 'INVALID_ARGUMENT')
  throwsCode(() => open(path, { readOnly: 1 as never }), 'INVALID_ARGUMENT', /readOnly/)
  throwsCode(() => open(path, { growthStepBytes: -1 }), 'INVALID_ARGUMENT', /growthStepBytes/)
  throwsCode(() => open(path, { maxSizeBytes: 1.5 }), 'INVALID_ARGUMENT', /maxSizeBytes/)
  throwsCode(() => open(path, { initialSizeBytes: NaN }), 'INVALID_ARGUMENT', /initialSizeBytes/)
  throwsCode(() => open(path, { segmentBytes: 12345 }), 'INVALID_ARGUMENT', /power of two/)
  throwsCode(() => open(path, { logSizeBytes: 1 }), 'INVALID_ARGUMENT', /logSizeBytes/)
  throwsCode(() => open(path, { initialSizeBytes: 2 ** 24, maxSizeBytes: 2 ** 20 }), 'INVALID_ARGUMENT', /maxSizeBytes/)
  throwsCode(() => open(path, { requireGranularity: 'line' as never }), 'INVALID_ARGUMENT', /'cache-line'/)
  throwsCode(() => open(path, { executor: 'wasm' as never }), 'INVALID_ARGUMENT', /executor/)
  throwsCode(() => open(path, { keyEncoding: 'utf16' as never }), 'INVALID_ARGUMENT', /keyEncoding/)
  throwsCode(() => open(':memory:', { readOnly: true }), 'INVALID_ARGUMENT', /:memory:/)
  throwsCode(() => open(path, { create: false }), 'POOL_NOT_FOUND')
})

/** What only the addon can do; test/pmem/portable-memory.test.ts looks at what happens instead. */
const native = {
  skip: EXECUTOR === 'portable' && 'the portable executor catches no faults and forces nothing but page',
}

test('a granularity the medium cannot give is refused with the reason, a forced one is visible', native, (t) => {
  const path = poolPath(t)
  throwsCode(() => open(path, { requireGranularity: 'byte' }), 'GRANULARITY_UNAVAILABLE', /byte/)
  const store = open(path, { forceGranularity: 'cache-line' })
  assert.equal(store.persistence.granularity, 'cache-line')
  assert.equal(store.persistence.forced, store.persistence.detectedGranularity !== 'cache-line')
  store.close()
})

test('a write into a view throws instead of ending the process, and changes nothing', native, (t) => {
  const store = open(poolPath(t), { valueEncoding: 'binary' })
  t.after(() => {
    store.close()
  })
  const large = Buffer.alloc(20_000, 1)
  store.put('small', Buffer.from('value'))
  store.put('large', large)
  for (const key of ['small', 'large']) {
    throwsCode(
      () =>
        store.withView(key, (view) => {
          view[0] = 0x58
        }),
      'MEDIA_ERROR',
      /written to/,
    )
  }
  assert.equal(store.get('small')?.toString(), 'value')
  assert.ok(store.get('large')?.equals(large))
  store.put('after', Buffer.from('x'))
  assert.deepEqual(store.check().problems, [])
})

test('a file truncated under the store is an error of the operation that meets it', native, (t) => {
  const path = poolPath(t)
  const store = open(path, { valueEncoding: 'binary', initialSizeBytes: 2 ** 20 })
  for (let i = 0; i < 50; i++) store.put(i, Buffer.alloc(10_000, i))
  truncateSync(path, 400 * 1024)
  let failed = 0
  for (let i = 0; i < 50; i++) {
    try {
      const value = store.get(i)
      assert.ok(value?.equals(Buffer.alloc(10_000, i)), 'no made-up values')
    } catch (error) {
      assert.ok(['MEDIA_ERROR', 'CORRUPT'].includes((error as { code: string }).code), String(error))
      failed++
    }
  }
  assert.ok(failed > 0)
  const report = store.check()
  assert.equal(report.ok, false)
  try {
    store.close()
  } catch {
    // The pool is lost; the process is not.
  }
})

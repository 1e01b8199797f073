import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { decidePersistence, detectGranularity, readPersistenceDomain } from '../../src/pmem/granularity.js'
import type { MediumFacts } from '../../src/pmem/granularity.js'
import { NativeMemory } from '../../src/pmem/native-memory.js'
import { probePath } from '../../src/pmem/probe.js'
import { FOLDERS, hasCode, withPool } from './native-support.js'

/** A sysfs with these regions; undefined stands for a region without the file. */
function withSysfs(domains: readonly (string | undefined)[], use: (root: string) => void): void {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'daxkv-sysfs-'))
  try {
    domains.forEach((domain, index) => {
      const region = path.join(root, 'bus/nd/devices', `region${index}`)
      fs.mkdirSync(region, { recursive: true })
      if (domain !== undefined) fs.writeFileSync(path.join(region, 'persistence_domain'), `${domain}\n`)
    })
    fs.mkdirSync(path.join(root, 'bus/nd/devices/namespace0.0'), { recursive: true })
    use(root)
  } finally {
    fs.rmSync(root, { recursive: true })
  }
}

for (const [domains, expected] of [
  [[], 'unknown'],
  [['cpu_cache'], 'cpu_cache'],
  [['cpu_cache', 'cpu_cache'], 'cpu_cache'],
  [['cpu_cache', 'memory_controller'], 'memory_controller'],
  [['memory_controller'], 'memory_controller'],
  [['cpu_cache', undefined], 'unknown'],
  [['cpu_cache', ''], 'unknown'],
] as const) {
  test(`regions [${domains.join(', ')}] are the domain ${expected}`, () => {
    withSysfs(domains, (root) => assert.equal(readPersistenceDomain(root), expected))
  })
}

test('a sysfs without persistent memory is unknown', () => {
  assert.equal(readPersistenceDomain('/nonexistent'), 'unknown')
})

const PMEM: MediumFacts = {
  path: '/p',
  mapSync: true,
  persistenceDomain: 'memory_controller',
  flushInstruction: 'clwb',
}

test('granularity follows MAP_SYNC, the domain and the instruction, in this order', () => {
  assert.equal(detectGranularity(PMEM).granularity, 'cache-line')
  assert.equal(detectGranularity({ ...PMEM, persistenceDomain: 'cpu_cache' }).granularity, 'byte')
  assert.equal(detectGranularity({ ...PMEM, persistenceDomain: 'unknown' }).granularity, 'cache-line')
  assert.equal(detectGranularity({ ...PMEM, mapSync: false, persistenceDomain: 'cpu_cache' }).granularity, 'page')
  assert.equal(detectGranularity({ ...PMEM, flushInstruction: '' }).granularity, 'page')
})

test('a required granularity is granted when the medium is as fine or finer, else refused with the reason', () => {
  assert.equal(decidePersistence(PMEM, { requireGranularity: 'cache-line' }).granularity, 'cache-line')
  assert.equal(decidePersistence(PMEM, { requireGranularity: 'page' }).granularity, 'cache-line')
  assert.throws(() => decidePersistence(PMEM, { requireGranularity: 'byte' }), hasCode('GRANULARITY_UNAVAILABLE'))
  const disk = { ...PMEM, mapSync: false, mapSyncErrno: 'EOPNOTSUPP' }
  assert.throws(
    () => decidePersistence(disk, { requireGranularity: 'cache-line' }),
    /\/p has granularity page.*EOPNOTSUPP/,
  )
})

test('a forced granularity is visible and never satisfies what the medium does not', () => {
  const disk = { ...PMEM, mapSync: false }
  const forced = decidePersistence(disk, { forceGranularity: 'cache-line' })
  assert.equal(forced.forced, true)
  assert.equal(forced.granularity, 'cache-line')
  assert.equal(forced.detectedGranularity, 'page')
  assert.match(forced.reason, /forced/)
  const request = { forceGranularity: 'byte', requireGranularity: 'cache-line' } as const
  assert.throws(() => decidePersistence(disk, request), hasCode('GRANULARITY_UNAVAILABLE'))
  assert.throws(
    () => decidePersistence(PMEM, { forceGranularity: 'page', requireGranularity: 'cache-line' }),
    hasCode('GRANULARITY_UNAVAILABLE'),
  )
})

test('an ordinary file reports page granularity, msync and why', async () => {
  for (const folder of FOLDERS) {
    await withPool({ folder }, ({ memory }) => {
      const { persistence } = memory
      assert.deepEqual(
        [
          persistence.granularity,
          persistence.mapSync,
          persistence.forced,
          persistence.flushInstruction,
          persistence.executor,
        ],
        ['page', false, false, 'msync', 'native'],
      )
      assert.match(persistence.reason, /MAP_SYNC/)
    })
  }
})

test('the fake sysfs is what NativeMemory reports', async () => {
  await withPool({}, ({ file }) => {
    withSysfs(['cpu_cache'], (sysfsRoot) => {
      const options = { path: file, sizeBytes: 4096, segmentShift: 18, readOnly: false, sysfsRoot }
      const memory = NativeMemory.open(fs.openSync(file, 'r+'), options)
      assert.equal(memory.persistence.persistenceDomain, 'cpu_cache')
      assert.equal(memory.persistence.granularity, 'page', 'eADR without MAP_SYNC proves nothing')
      memory.close()
    })
  })
})

test('a probe explains a directory, leaves nothing in it, and a file with its unsafe ranges', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'daxkv-probe-'))
  try {
    const report = probePath(folder)
    assert.equal(report.target, 'directory')
    assert.equal(report.mapSync, false)
    assert.equal(report.mapSyncErrno, 'EOPNOTSUPP')
    assert.match(report.verdict, /msync/)
    assert.deepEqual(fs.readdirSync(folder), [])
    const file = path.join(folder, 'sparse')
    fs.writeFileSync(file, '')
    fs.truncateSync(file, 8192)
    assert.deepEqual(probePath(file).unsafeRanges, [{ kind: 'hole', offset: 0, length: 8192 }])
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
})

test('what cannot hold a pool is refused by name', () => {
  assert.throws(() => probePath('/dev/null'), /\/dev\/null is a character device/)
  assert.throws(() => probePath('/dev/null'), hasCode('UNSUPPORTED_TARGET'))
  assert.throws(() => probePath('/nonexistent/pool'), hasCode('POOL_NOT_FOUND'))
})

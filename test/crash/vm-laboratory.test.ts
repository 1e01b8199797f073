/** The parts of the virtual-machine laboratory that need no virtual machine. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Content } from '../../crash-tests/vm/guest/content.js'
import { MODES, commitStep, modeOf, spacesOf, stepOf } from '../../crash-tests/vm/guest/modes.js'
import { writeArchive } from '../../crash-tests/vm/host/cpio.js'
import { DeviceRefused, assertBlank, assertNotMounted, assertUnusedDevice } from '../../crash-tests/vm/host/device.js'
import { judge } from '../../crash-tests/vm/host/judge.js'
import { readWriteLog, replay } from '../../crash-tests/vm/host/write-log.js'
import { parseLine } from '../../crash-tests/vm/protocol.js'
import { type Key, open } from '../../src/index.js'

const directory = mkdtempSync(join(tmpdir(), 'daxkv-vm-test-'))
after(() => rmSync(directory, { recursive: true }))

for (const mode of MODES) {
  test(`the content of a store after steps of ${mode.name} is that of the model`, async () => {
    const store = open<Key, unknown>(':memory:')
    const spaces = spacesOf(store)
    const model = new Content()
    const digests = new Map<string, number>()
    for (let index = 1; index <= 60; index++) {
      const step = stepOf(mode, 5, index)
      if (mode.commit === undefined) commitStep(store, spaces, step)
      else await mode.commit(store, spaces, step)
      model.apply(step)
      assert.equal(Content.of(spaces), model.digest, `step ${index}`)
      digests.set(model.digest, index)
    }
    // Steps that delete nothing leave the content as it is; most change it
    assert.ok(digests.size > 40, `${digests.size} different contents`)
    store.close()
  })
}

test('a lost, a half-done and a changed step are seen', () => {
  const mode = modeOf('transactions')
  const store = open<Key, unknown>(':memory:')
  const spaces = spacesOf(store)
  const model = new Content()
  for (let index = 1; index <= 20; index++) {
    commitStep(store, spaces, stepOf(mode, 1, index))
    model.apply(stepOf(mode, 1, index))
  }
  commitStep(store, spaces, { operations: stepOf(mode, 1, 21).operations.slice(0, 1) })
  assert.notEqual(Content.of(spaces), model.digest)
  model.apply(stepOf(mode, 1, 21))
  assert.notEqual(Content.of(spaces), model.digest)
  store.close()
})

test('the judge finds the step, and says what is lost', () => {
  const mode = modeOf('transactions')
  const digests = ['']
  const model = new Content()
  for (let index = 1; index <= 50; index++) {
    model.apply(stepOf(mode, 9, index))
    digests.push(model.digest)
  }
  const found = (digest: string, acknowledged: number, problem = '') =>
    judge(
      { kind: 'verified', image: 0, mode: mode.name, digest, problem, recovery: 'finished', granularity: 'cache-line' },
      { mode: mode.name, seed: 9, acknowledged },
    )
  assert.deepEqual(found(digests[40], 40), { step: 40, problem: '' })
  assert.deepEqual(found(digests[43], 40), { step: 43, problem: '' }, 'not all acknowledgements were heard')
  assert.deepEqual(found(digests[38], 40), { step: 38, problem: '2 of 40 acknowledged steps are lost' })
  assert.deepEqual(found('3:1:2', 40), { step: undefined, problem: 'the content is that of no step (40 acknowledged)' })
  assert.deepEqual(found('', 40, 'open: CORRUPT'), { step: undefined, problem: 'open: CORRUPT' })
  assert.deepEqual(found(digests[40], 40, 'check: bad'), { step: 40, problem: 'check: bad' })
  assert.deepEqual(found('no pool', 0), { step: 0, problem: '' })
  assert.match(found('no pool', 1).problem, /the pool is gone/)
})

test('only whole acknowledgements count', () => {
  assert.deepEqual(parseLine('a 3 120'), { kind: 'ack', writer: 3, step: 120 })
  assert.deepEqual(parseLine('{"kind":"done"}'), { kind: 'done' })
  assert.deepEqual(parseLine('a 3'), { kind: 'text', text: 'a 3' })
  assert.equal(parseLine(''), undefined)
})

test('a device with data on it, mounted, or no device at all is refused', () => {
  const blank = join(directory, 'blank')
  writeFileSync(blank, '')
  truncateSync(blank, 20 * 1024 * 1024)
  assertBlank(blank)
  const used = join(directory, 'used')
  writeFileSync(used, Buffer.concat([Buffer.alloc(70_000), Buffer.from('data')]))
  assert.throws(() => assertBlank(used), (error) => error instanceof DeviceRefused && /byte 70000/.test(error.message)) // prettier-ignore
  const mounts = '/dev/pmem0p1 /mnt/a ext4 rw 0 0\n/dev/pmem0 /mnt/b ext4 rw,dax 0 0\n'
  assert.throws(() => assertNotMounted('/dev/pmem0', mounts), /mounted at \/mnt\/b/)
  assertNotMounted('/dev/pmem1', mounts)
  assert.throws(() => assertUnusedDevice(blank), /no block device/)
  assert.throws(() => assertUnusedDevice(join(directory, 'absent')), /does not exist/)
})

test('a record of dm-log-writes is replayed up to an entry, in its order', () => {
  const sectors: Buffer[] = []
  const head = Buffer.alloc(512)
  head.writeBigUInt64LE(0x6a736677736872n, 0)
  head.writeBigUInt64LE(1n, 8)
  head.writeBigUInt64LE(4n, 16)
  head.writeUInt32LE(512, 24)
  sectors.push(head)
  const entry = (sector: number, count: number, flags: number, data: Buffer): void => {
    const bytes = Buffer.alloc(512)
    bytes.writeBigUInt64LE(BigInt(sector), 0)
    bytes.writeBigUInt64LE(BigInt(count), 8)
    bytes.writeBigUInt64LE(BigInt(flags), 16)
    bytes.writeBigUInt64LE(BigInt(flags === 8 ? data.length : 0), 24)
    if (flags === 8) data.copy(bytes, 32)
    sectors.push(bytes)
    if (flags !== 8 && data.length > 0) sectors.push(data)
  }
  entry(2, 1, 0, Buffer.alloc(512, 1))
  entry(0, 0, 8, Buffer.from('step-5'))
  entry(2, 2, 0, Buffer.alloc(1024, 2))
  entry(0, 0, 1, Buffer.alloc(0))
  const log = join(directory, 'log')
  writeFileSync(log, Buffer.concat(sectors))
  const entries = readWriteLog(log)
  assert.deepEqual(
    entries.map(({ sector, sectors: count, flush, mark }) => ({ sector, count, flush, mark })),
    [
      { sector: 2, count: 1, flush: false, mark: undefined },
      { sector: 0, count: 0, flush: false, mark: 'step-5' },
      { sector: 2, count: 2, flush: false, mark: undefined },
      { sector: 0, count: 0, flush: true, mark: undefined },
    ],
  )
  const image = join(directory, 'image')
  writeFileSync(image, Buffer.alloc(2048))
  replay(log, image, entries.slice(0, 2), () => true)
  assert.deepEqual([...new Set(readFileSync(image).subarray(1024))], [1, 0])
  replay(log, image, entries, () => true)
  assert.deepEqual([...new Set(readFileSync(image).subarray(1024))], [2])
})

test('the archive is one that cpio and the kernel understand', (t) => {
  const archive = join(directory, 'archive.cpio')
  writeArchive(archive, new Map([
    ['/init', { text: '#!/bin/sh\n' }],
    ['/deep/down/link', { link: '/init' }],
  ])) // prettier-ignore
  let listing: string
  try {
    listing = execFileSync('cpio', ['-it', '--quiet'], { input: readFileSync(archive), encoding: 'utf8' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    t.skip('cpio is not installed')
    return
  }
  assert.deepEqual(listing.trim().split('\n'), ['deep', 'deep/down', 'deep/down/link', 'init'])
})

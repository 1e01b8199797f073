/** Growth that nobody has asked for yet. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { storeOn } from '../../src/api/open.js'
import type { StoreHandle } from '../../src/api/store.js'
import { DaxkvError } from '../../src/index.js'
import { Engine } from '../../src/tx/engine.js'
import { EXECUTOR, KeptMemory, open, poolPath } from './support.js'

const KIB = 1024

class FullDisk extends KeptMemory {
  full = false
  growths = 0

  override grow(newSizeBytes: number): void {
    if (this.full) throw new DaxkvError('NO_SPACE', 'the disk is full')
    this.growths++
    super.grow(newSizeBytes)
  }
}

function makeStore(): { store: StoreHandle; engine: Engine; memory: FullDisk } {
  const memory = new FullDisk({ sizeBytes: 1024 * KIB, segmentShift: 12, granularity: 'page', record: false })
  const options = { memory, logSizeBytes: 64 * KIB, growthStepBytes: 1024 * KIB }
  const engine = Engine.open('ahead', options)
  return { store: storeOn(engine), engine, memory }
}

test('groups grow before they meet the end of the pool', async () => {
  const { store, engine, memory } = makeStore()
  let least = Infinity
  for (let i = 0; memory.growths < 2; i++) {
    await store.putAsync(i, 'v'.repeat(1000))
    least = Math.min(least, engine.allocator.pagesAhead)
  }
  assert.ok(least > 10, `${least} pages were left`)
  assert.deepEqual(store.check().problems, [])
})

test('one that fails is told to those who need the pages, and the store goes on', async () => {
  const { store, memory } = makeStore()
  memory.full = true
  let put = 0
  await assert.rejects(
    async () => {
      for (; ; put++) await store.putAsync(put, 'v'.repeat(1000))
    },
    { code: 'NO_SPACE' },
  )
  assert.ok(put > 100)
  assert.equal(store.count(), put)
  memory.full = false
  await store.putAsync(put, 'v'.repeat(1000))
  assert.equal(store.count(), put + 1)
  assert.deepEqual(store.check().problems, [])
  store.close()
})

const LIMITED = `
  import { open } from './src/index.js'
  const store = open(process.argv[1])
  for (let i = 0; i < 50; i++) store.put(i, 'x'.repeat(3000))
  await Promise.all(Array.from({ length: 500 }, (_, i) => store.putAsync(i, 'y'.repeat(300))))
  if (store.count() !== 500 || store.get(7)[0] !== 'y' || !store.check().ok) process.exitCode = 1
  store.close()
`

test(
  'a pool larger than the process may make files is written to all the same',
  { skip: EXECUTOR !== undefined },
  (t) => {
    const path = poolPath(t)
    open(path, { initialSizeBytes: 32 * KIB * KIB, forceGranularity: 'page' }).close()
    // 512 KiB, in blocks of 1 KiB: the log ends far behind.
    const script = `ulimit -f 512; exec "$0" "$@"`
    const node = ['--import', 'tsx', '--input-type=module', '--eval', LIMITED, path]
    const { status, stderr } = spawnSync('bash', ['-c', script, process.execPath, ...node], { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
  },
)

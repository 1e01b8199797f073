/** Damage that the campaign of hostile files found `check`, or the calls around it, to be wrong about. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { StoreHandle } from '../../src/api/store.js'
import { ready } from '../../src/pmem/xxh64.js'
import { sealFixed, sealPage } from '../../crash-tests/src/hostile/seal.js'
import { mapPool } from '../../crash-tests/src/hostile/pool-map.js'
import { simulatedMemory, storeOnMemory, throwsCode } from './support.js'

await ready
const PAGE = 4096

function sampleImage(): Buffer {
  const memory = simulatedMemory(undefined, 2 ** 20)
  const store = storeOnMemory(memory)
  const named = store.keyspace<string, unknown>('named')
  for (let i = 0; i < 40; i++) named.put(`key ${i}`, { i })
  const sixes = store.keyspace<string, unknown>('sixes')
  for (let i = 1000; i < 1600; i++) sixes.put(`sixsix${i}`, i)
  store.put('a', 'b')
  store.close()
  return memory.image()
}

function openImage(image: Buffer): StoreHandle {
  return storeOnMemory(simulatedMemory(image)) as unknown as StoreHandle
}

function problemsOf(image: Buffer): string {
  const store = openImage(image)
  const { problems } = store.check()
  store.close()
  return problems.map(({ message, pageId }) => `${pageId}: ${message}`).join('\n')
}

test('check reports an identity copy that has lost its magic, instead of throwing NOT_A_POOL', () => {
  for (const page of [0, 1]) {
    const image = sampleImage()
    image[page * PAGE] ^= 1
    assert.match(problemsOf(image), new RegExp(`^${page}: .* is not a daxkv pool`))
  }
})

test('check reports bitmap bits beyond the capacity, which growth would take for allocated pages', () => {
  const image = sampleImage()
  const { bitmapPages, capacityPages } = mapPool(image)
  for (const bit of [capacityPages, capacityPages + 31, capacityPages + 1000, 32255]) {
    const damaged = Buffer.from(image)
    damaged[bitmapPages[0] * PAGE + 64 + (bit >>> 3)] |= 1 << (bit & 7)
    sealPage(damaged, bitmapPages[0])
    assert.equal(problemsOf(damaged), `${bitmapPages[0]}: the bitmap marks pages that do not exist`)
  }
})

test('check reports a catalog whose root says it belongs to a keyspace', () => {
  const image = sampleImage()
  const { catalogPage } = mapPool(image)
  image.writeUInt32LE(77, catalogPage * PAGE + 28)
  sealPage(image, catalogPage)
  assert.match(problemsOf(image), /the root of the catalog belongs to keyspace id 77/)
})

test('a keyspace name that is not UTF-8 is an error, not a name that is never found', () => {
  const image = sampleImage()
  const { catalog } = mapPool(image)
  const entry = catalog.find(({ keyAt, keyLength }) =>
    image.toString('latin1', keyAt, keyAt + keyLength).endsWith('named'),
  )
  assert.ok(entry !== undefined)
  image[entry.keyAt + entry.keyLength - 1] = 0xff
  sealPage(image, entry.node)
  const store = openImage(image)
  throwsCode(() => store.keyspaces(), 'CORRUPT', /name of 5 bytes/)
  assert.match(
    store
      .check()
      .problems.map(({ message }) => message)
      .join(),
    /name of 5 bytes/,
  )
  store.close()
})

test('an identity that describes another geometry is refused or reported, and allocates nothing', () => {
  const image = sampleImage()
  // More log pages than there are: the log would reach over the trees.
  for (const logPages of [17, 40, 200, 255, 300]) {
    const damaged = Buffer.from(image)
    for (const page of [0, 1]) {
      damaged.writeUInt32LE(logPages, page * PAGE + 52)
      damaged.writeUInt32LE(6 + logPages, page * PAGE + 56)
      sealFixed(damaged, page)
    }
    let store: StoreHandle
    try {
      store = openImage(damaged)
    } catch (error) {
      assert.ok(['CORRUPT', 'TRUNCATED'].includes((error as { code: string }).code), String(error))
      continue
    }
    assert.equal(store.check().ok, false)
    // Nothing is allocated by bitmaps in the wrong place, and nothing in what is called the log now is edited.
    throwsCode(() => store.put('x', 'y'.repeat(5000)), 'CORRUPT')
    store.close()
  }
})

test('a tree whose node lies in the log is not written to', () => {
  const image = sampleImage()
  const { catalogPage } = mapPool(image)
  const log = 6
  image.copy(image, log * PAGE, catalogPage * PAGE, (catalogPage + 1) * PAGE)
  image.writeUInt32LE(log, log * PAGE + 8)
  sealPage(image, log)
  image.writeUInt32LE(log, 4 * PAGE + 128)
  sealPage(image, 4)
  const store = openImage(image)
  throwsCode(() => store.keyspace('new'), 'CORRUPT', /page 6 belongs to the log/)
  store.close()
})

test('a capacity that ends among the bitmaps of a segment is refused', () => {
  const image = sampleImage()
  for (const capacity of [0, 5, 22]) {
    const damaged = Buffer.from(image)
    damaged.writeUInt32LE(capacity, 4 * PAGE + 64)
    sealPage(damaged, 4)
    throwsCode(() => openImage(damaged), 'CORRUPT', /records a capacity of/)
  }
})

test('check reports an entry that does not begin with the prefix of its node', () => {
  const image = sampleImage()
  const leaf = mapPool(image).leaves.find(
    ({ page, tree }) => tree !== 0 && (image.readUInt16LE(page * PAGE + 16) & 3) > 0,
  )
  assert.ok(leaf !== undefined, 'a leaf whose prefix ends within a word')
  const base = leaf.page * PAGE
  const suffixAt = base + (image.readUInt32LE(base + 64 + 4) & 1023) * 4
  image[suffixAt] ^= 1
  sealPage(image, leaf.page)
  assert.match(problemsOf(image), /entry 0 does not begin with the prefix of the node/)
})

test('sealing makes what the library itself would write', () => {
  const image = sampleImage()
  const copy = Buffer.from(image)
  sealPage(copy, 4)
  sealFixed(copy, 0)
  assert.ok(copy.equals(image))
})

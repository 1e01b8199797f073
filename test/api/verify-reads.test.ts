import assert from 'node:assert/strict'
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import test from 'node:test'
import { DaxkvError, open, type Store, type StoreOptions } from '../../src/index.js'
import { poolPath, simulatedMemory, storeOnMemory, throwsCode } from './support.js'

const NEEDLE = 'needle in a haystack'
const SHORT: StoreOptions = { keyEncoding: 'utf8', valueEncoding: 'string' }

function fill(store: Store<string, string>): void {
  store.transaction(() => {
    for (let i = 0; i < 500; i++) store.put(`key ${String(i).padStart(4, '0')}`, `value ${i} `.repeat(5))
    store.put('key 0250', NEEDLE)
    store.put('large', `${'x'.repeat(9000)}${NEEDLE.toUpperCase()}`)
  })
}

/** An image of a closed pool in which one bit of the given text is flipped. */
function damaged(text: string): Buffer {
  const memory = simulatedMemory(undefined, 2 ** 20)
  const store = storeOnMemory(memory) as unknown as Store<string, string>
  fill(store)
  store.close()
  const image = memory.image()
  // A value that was overwritten may have left an older copy: the last one written is the one in use.
  const at = image.lastIndexOf(text)
  assert.ok(at > 0)
  image[at] ^= 0x01
  return image
}

function openImage(image: Buffer, verifyReads: boolean): Store<string, string> {
  return storeOnMemory(simulatedMemory(image), { verifyReads }) as unknown as Store<string, string>
}

test('a bit flipped in a value is a wrong value without verifyReads, and an error with it', () => {
  const image = damaged(NEEDLE)
  const plain = openImage(image, false)
  assert.equal(plain.get('key 0250'), `o${NEEDLE.slice(1)}`)
  assert.equal(plain.check().ok, false)
  plain.close()

  const store = openImage(image, true)
  const reads: Record<string, () => unknown> = {
    get: () => store.get('key 0250'),
    getBinary: () => store.getBinary('key 0250'),
    has: () => store.has('key 0250'),
    withView: () => store.withView('key 0250', () => 0),
    range: () => [...store.range()],
    reverse: () => [...store.range({ reverse: true })],
    forEach: () => store.forEach({}, () => true),
    scan: () => store.scan({}, () => true),
    count: () => store.count({ gte: 'key 0100' }),
    put: () => store.put('key 0250', 'new'),
    delete: () => store.delete('key 0250'),
    deleteRange: () => store.deleteRange({ gte: 'key 0249', lt: 'key 0252' }),
    clear: () => store.clear(),
  }
  for (const [name, read] of Object.entries(reads)) {
    const error = throwsCode(read, 'CORRUPT', /^test\.pool: page \d+ fails its checksum/)
    assert.equal(error.path, 'test.pool', name)
    assert.equal(error.offset === undefined ? NaN : error.offset % 4096, 0, name)
  }
  // What lies in other pages can be read and written as before.
  assert.equal(store.get('key 0000'), 'value 0 '.repeat(5))
  store.put('key 0000', 'other')
  assert.equal(store.get('key 0000'), 'other')
  store.transaction(() => {
    store.put('key 0001', 'staged')
    assert.equal(store.get('key 0001'), 'staged')
  })
  store.close()
})

test('a bit flipped in a large value is found by its hash', () => {
  const image = damaged(NEEDLE.toUpperCase())
  const plain = openImage(image, false)
  assert.equal(plain.get('large')?.slice(9000), `O${NEEDLE.toUpperCase().slice(1)}`)
  plain.close()
  const store = openImage(image, true)
  throwsCode(() => store.get('large'), 'CORRUPT', /the value of 90\d\d bytes at page \d+ fails its hash/)
  throwsCode(() => [...store.range({ gte: 'l' })], 'CORRUPT')
  // It is replaced without being read.
  store.put('large', 'small')
  assert.equal(store.get('large'), 'small')
  assert.equal(store.check().ok, true)
  store.close()
})

test('check reports the same damage with verifyReads as without', () => {
  for (const text of [NEEDLE, NEEDLE.toUpperCase()]) {
    const image = damaged(text)
    const pages = [false, true].map((verifyReads) => {
      const store = openImage(image, verifyReads)
      const { problems } = store.check()
      store.close()
      return problems[0].pageId
    })
    assert.equal(pages[0], pages[1])
  }
})

test('verifyReads on a file: sound pools are read and written, rot while the pool is open is found', (t) => {
  const path = poolPath(t)
  for (const logging of ['undo', 'redo'] as const) {
    const store = open<string, string>(path, { ...SHORT, verifyReads: true, logging })
    fill(store)
    for (let i = 0; i < 300; i++) store.put(`more ${i}`, 'y'.repeat(i))
    store.deleteRange({ prefix: 'more' })
    assert.equal(store.get('key 0250'), NEEDLE)
    assert.equal([...store.keys()].length, 501)
    assert.equal(store.check().ok, true)
    store.close()
  }
  const store = open<string, string>(path, { ...SHORT, verifyReads: true })
  t.after(() => store.close())
  assert.equal(store.get('key 0250'), NEEDLE)
  const at = readFileSync(path).lastIndexOf(NEEDLE)
  assert.ok(at > 0)
  const fd = openSync(path, 'r+')
  writeSync(fd, Buffer.from('N'), 0, 1, at)
  closeSync(fd)
  const error = throwsCode(() => store.get('key 0250'), 'CORRUPT')
  assert.equal(error.path, path)
  assert.equal(error.offset, at - (at % 4096))
})

test('the option must be a boolean', () => {
  assert.throws(
    () => open(':memory:', { verifyReads: 1 as unknown as boolean }),
    (error) => error instanceof DaxkvError && error.code === 'INVALID_ARGUMENT',
  )
})

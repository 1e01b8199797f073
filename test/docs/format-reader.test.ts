/**
 * A pool read with nothing but the tables of docs/format.md (and XXH64): if the document were wrong or too vague, this
 * reader would not find what was stored.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storeOn } from '../../src/api/open.js'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { xxh64 } from '../../src/pmem/xxh64.js'
import { Engine } from '../../src/tx/engine.js'
import { layouts } from './layouts.js'

const PAGE = 4096
const LINE = 64
const DIRECTORY_ENTRY = 16

type Structure = Record<string, bigint>

/** Reads the fields of a layout by the first word of their names. */
function read(image: Buffer, at: number, layout: string): Structure {
  const fields: Structure = {}
  for (const { offset, bytes, type, name } of layouts.get(layout)?.fields ?? []) {
    if (!/^[ui]\d+$/.test(type)) continue
    let value = 0n
    for (let i = bytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(image[at + offset + i])
    fields[name.split(/[:,;`(]/)[0].trim()] = value
  }
  return fields
}

const hash = (bytes: Uint8Array, seed: bigint): bigint => {
  const out = new Uint32Array(2)
  xxh64(bytes, Number(seed & 0xffff_ffffn), Number(seed >> 32n), out)
  return (BigInt(out[1]) << 32n) | BigInt(out[0])
}

function checksum(image: Buffer, pageId: number): bigint {
  const page = Buffer.from(image.subarray(pageId * PAGE, (pageId + 1) * PAGE))
  page.fill(0, 0, 8)
  let sum = 0n
  for (let line = 0; line < PAGE / LINE; line++) {
    sum ^= hash(page.subarray(line * LINE, (line + 1) * LINE), BigInt(pageId) * 64n + BigInt(line))
  }
  return sum
}

/** All entries of a tree, keys and values in hexadecimal and order. */
function readTree(image: Buffer, pageId: number, keyspaceId: bigint, into: Map<string, Buffer>): void {
  const base = pageId * PAGE
  const header = read(image, base, 'node header')
  assert.equal(header['checksum'], checksum(image, pageId), `checksum of page ${pageId}`)
  assert.equal(header["the page's own id"], BigInt(pageId))
  assert.equal(header['id of the keyspace'], keyspaceId)
  const isLeaf = header['page type'] === 3n
  const prefixAt = base + Number(header['prefix offset'])
  // Payloads leave out the whole words of the prefix.
  const prefix = image.subarray(prefixAt, prefixAt + (Number(header['prefix length']) & ~3))
  if (!isLeaf) readTree(image, Number(header['branch']), keyspaceId, into)
  for (let slot = 0; slot < Number(header['number of slots']); slot++) {
    const place = Number(read(image, base + LINE + 8 * slot, 'slot')['place'])
    const payload = base + (place % 1024) * 4
    const suffixLength = (place >>> 10) % 2048
    const valueLength = place >>> 21
    if (!isLeaf) {
      readTree(image, image.readUInt32LE(payload), keyspaceId, into)
      continue
    }
    const key = Buffer.concat([prefix, image.subarray(payload, payload + suffixLength)])
    const value = payload + suffixLength
    into.set(
      key.toString('hex'),
      valueLength === 2047 ? readExtent(image, value) : image.subarray(value, value + valueLength),
    )
  }
}

function readExtent(image: Buffer, at: number): Buffer {
  const descriptor = read(image, at, 'descriptor')
  const start = Number(descriptor['first page of the extent']) * PAGE
  const value = image.subarray(start, start + Number(descriptor['length of the value in bytes']))
  assert.equal(hash(value, 0n), image.readBigUInt64LE(at + 8))
  return value
}

interface Written {
  readonly image: Buffer
  readonly expected: Map<string, Buffer>
}

/** A pool with a keyspace of three levels, values of all sizes, and a log record that overflows. */
function writePool(logSizeBytes: number): Written {
  const memory = new SimulatedMemory({ sizeBytes: 8 * 1024 * 1024, segmentShift: 12 })
  const store = storeOn(Engine.open('format.pool', { memory, logSizeBytes }))
  const keyspace = store.keyspace('some', { keyEncoding: 'binary', valueEncoding: 'binary' })
  const expected = new Map<string, Buffer>()
  const put = (round: number): void => {
    for (let i = 0; i < 800; i++) {
      const group = String((i * 7919) % 200).padStart(4, '0')
      // Neighbours that differ in their last byte only have long separators, which make the tree deep.
      const key = Buffer.from(i % 4 === 0 ? group : group + 'long'.repeat(150) + String(i >> 8))
      const value = Buffer.alloc(i % 97 === 0 ? 5000 + i : i % 50, round + i)
      keyspace.put(key, value)
      expected.set(key.toString('hex'), value)
    }
  }
  store.transaction(() => put(0))
  store.transaction(() => put(1))
  const image = Buffer.from(memory.image())
  store.close()
  return { image, expected }
}

const RING_PAGES = 16

const newestAnchor = (image: Buffer): Structure => {
  const [a, b] = [2, 3].map((page) => read(image, page * PAGE, 'anchor'))
  return a['seq'] > b['seq'] ? a : b
}

/** A pool whose log is a ring of redo records, the last checkpoint two pages before its end and three commits ago. */
function writeRing(): Buffer {
  const memory = new SimulatedMemory({ sizeBytes: 8 * 1024 * 1024, segmentShift: 12, granularity: 'page' })
  const engine = Engine.open('ring.pool', { memory, logSizeBytes: RING_PAGES * PAGE, logging: 'redo' })
  const store = storeOn(engine)
  for (let i = 0; newestAnchor(memory.image())['ringLine'] !== BigInt(RING_PAGES - 2) * 64n; i++) {
    store.put(i, 'x'.repeat(i))
    engine.checkpoint()
  }
  store.put('one', 1)
  store.put('two', 2)
  // Longer than a page, so that it does not fit the end of the ring.
  store.put('three', 'y'.repeat(5000))
  const image = Buffer.from(memory.image())
  store.close()
  return image
}

function root(image: Buffer): Structure {
  const page = read(image, 4 * PAGE, 'root page')
  assert.equal(read(image, 4 * PAGE, 'header')['checksum'], checksum(image, 4))
  return page
}

test('identity, anchor and root page hold what the document says', () => {
  const { image } = writePool(64 * 1024)
  for (const copy of [0, 1]) {
    const identity = read(image, copy * PAGE, 'identity')
    assert.equal(image.toString('latin1', copy * PAGE, copy * PAGE + 8), 'DAXKVPL\0')
    assert.equal(identity['format version'], 1n)
    assert.equal(identity['segment shift'], 12n)
    assert.equal(identity['pages of the log'], 16n)
    assert.equal(identity['first bitmap page of segment 0'], 22n)
    assert.equal(hash(image.subarray(copy * PAGE, copy * PAGE + 120), 0n), image.readBigUInt64LE(copy * PAGE + 120))
  }
  const anchor = read(image, 3 * PAGE, 'anchor')
  assert.equal(image.toString('latin1', 3 * PAGE, 3 * PAGE + 4), 'DAXA')
  assert.equal(anchor['clean'], 0n)
  assert.equal(anchor['seq'], 2n)
  assert.equal(hash(image.subarray(3 * PAGE, 3 * PAGE + 120), 0n), image.readBigUInt64LE(3 * PAGE + 120))
  assert.equal(root(image)['capacity in pages'], 2048n)
})

test('a reader made from the tables finds every entry of every keyspace', () => {
  const { image, expected } = writePool(64 * 1024)
  const catalog = new Map<string, Buffer>()
  readTree(image, Number(root(image)['root page of the catalog']), 0n, catalog)
  const names = [...catalog.keys()].map((key) => Buffer.from(key, 'hex').toString('latin1'))
  assert.deepEqual(names, ['\0', '\0some'])
  const record = read(catalog.get(Buffer.from('\0some').toString('hex')) ?? Buffer.alloc(0), 0, 'keyspace record')
  assert.equal(record['key encoding'], 2n)
  assert.equal(record['value encoding'], 3n)

  const found = new Map<string, Buffer>()
  readTree(image, Number(record['root page']), record['keyspace id'], found)
  assert.deepEqual([...found.keys()], [...expected.keys()].sort(), 'all keys, in the order of their bytes')
  for (const [key, value] of expected) assert.deepEqual(found.get(key), value)
  const header = read(image, Number(record['root page']) * PAGE, 'node header')
  assert.equal(header['root node'], BigInt(expected.size))
  assert.ok(header['level'] > 1n, 'the tree has more than two levels')
})

test('bitmaps mark reserved pages and the pages of trees', () => {
  const { image } = writePool(64 * 1024)
  const isAllocated = (page: number): boolean => ((image[22 * PAGE + LINE + (page >> 3)] >> (page & 7)) & 1) === 1
  for (let page = 0; page <= 22; page++) assert.ok(isAllocated(page), `page ${page}`)
  assert.ok(isAllocated(Number(root(image)['root page of the catalog'])))
  assert.ok(!isAllocated(2047))
  assert.equal(read(image, 22 * PAGE, 'header')['checksum'], checksum(image, 22))
})

for (const logSizeBytes of [1024 * 1024, 16 * 1024]) {
  test(`the last record parses, with a log of ${logSizeBytes} bytes`, () => {
    const { image } = writePool(logSizeBytes)
    const log = 6 * PAGE
    const record = read(image, log, 'record header')
    const salt = image.readBigUInt64LE(3 * PAGE + 24)
    assert.equal(image.toString('latin1', log, log + 4), 'DAXR')
    assert.equal(record['kind'], 1n)
    assert.equal(record['epoch'], read(image, 3 * PAGE, 'anchor')['epoch'])

    const extents = Number(record['extents in the table'])
    assert.equal(extents > 0, logSizeBytes < 1024 * 1024, 'only a short log overflows')
    let stream = Buffer.from(image.subarray(log, log + logSizeBytes))
    for (let i = 0; i < extents; i++) {
      const start = image.readUInt32LE(log + LINE + 8 * i) * PAGE
      const end = start + image.readUInt32LE(log + LINE + 8 * i + 4) * PAGE
      stream = Buffer.concat([stream, image.subarray(start, end)])
    }
    stream = stream.subarray(0, Number(record['lines of the whole record']) * LINE)
    const claimed = stream.readBigUInt64LE(56)
    stream.fill(0, 56, 64)
    assert.equal(hash(stream, salt), claimed)

    const pages = Number(record['pages in the directory'])
    const directory = LINE + Math.ceil((extents * 8) / LINE) * LINE
    const bodies = directory + Math.ceil((pages * DIRECTORY_ENTRY) / LINE) * LINE
    assert.equal(stream.length - bodies, Number(record['line bodies']) * LINE)
    const post: Buffer[] = []
    for (let i = 0; i < pages; i++) {
      const at = directory + i * DIRECTORY_ENTRY
      const mask = stream.readBigUInt64LE(at + 4)
      for (let line = 0; line < 64; line++) {
        const start = stream.readUInt32LE(at) * PAGE + line * LINE
        if (((mask >> BigInt(line)) & 1n) === 1n) post.push(image.subarray(start, start + LINE))
      }
    }
    assert.equal(hash(Buffer.concat(post), salt), image.readBigUInt64LE(log + 40), 'the transaction is finished')
  })
}

test('the records of a ring are found where the document says, and hold what stands in the pool', () => {
  const image = writeRing()
  const anchor = newestAnchor(image)
  const replayed = Buffer.from(image)
  let page = 6 + Number(anchor['ringLine']) / 64
  for (const number of [1, 2, 3]) {
    if (page === 6 + RING_PAGES) page = 6
    const record = read(image, page * PAGE, 'record header')
    assert.equal(record['kind'], 2n)
    assert.equal(record['epoch'], anchor['epoch'])
    assert.equal(record['txid'], anchor['txid'] + BigInt(number))
    assert.equal(record['extents in the table'], 0n)
    const lines = Number(record['lines of the whole record'])
    const stream = Buffer.from(image.subarray(page * PAGE, page * PAGE + lines * LINE))
    const claimed = stream.readBigUInt64LE(56)
    stream.fill(0, 56, 64)
    assert.equal(hash(stream, anchor['salt']), claimed)

    const directoryEnd = LINE + Number(record['pages in the directory']) * DIRECTORY_ENTRY
    let body = Math.ceil(directoryEnd / LINE) * LINE
    for (let at = LINE; at < directoryEnd; at += DIRECTORY_ENTRY) {
      const mask = stream.readBigUInt64LE(at + 4)
      for (let line = 0; line < 64; line++) {
        if (((mask >> BigInt(line)) & 1n) === 0n) continue
        stream.copy(replayed, stream.readUInt32LE(at) * PAGE + line * LINE, body, body + LINE)
        body += LINE
      }
    }
    assert.equal(body, stream.length)
    assert.equal(lines > 64, number === 3, 'only the last one is longer than a page')
    page += Math.ceil((lines * LINE) / PAGE)
  }
  assert.equal(page, 8, 'the last one lies at the start of the ring')
  assert.ok(replayed.equals(image), 'replaying what has been applied changes nothing')
})

test('the records of two slots are found where the document says, and hold what stands in the pool', () => {
  const slotPages = 5
  const memory = new SimulatedMemory({ sizeBytes: 8 * 1024 * 1024, segmentShift: 12 })
  const engine = Engine.open('slots.pool', { memory, logSizeBytes: (2 * slotPages + 1) * PAGE, logging: 'redo' })
  const store = storeOn(engine)
  for (let i = 0; i < 4; i++) store.put(i, 'x'.repeat(100))
  store.put('large', 'y'.repeat(9000))
  const { txid } = engine.stats()
  const image = Buffer.from(memory.image())
  store.close()

  const anchor = newestAnchor(image)
  const replayed = Buffer.from(image)
  for (const expected of [txid - 1, txid]) {
    const page = 6 + (expected % 2) * slotPages
    const record = read(image, page * PAGE, 'record header')
    assert.equal(record['kind'], 3n)
    assert.equal(record['epoch'], anchor['epoch'])
    assert.equal(record['txid'], BigInt(expected))
    assert.equal(record['extents in the table'], 0n)
    const lines = Number(record['lines of the whole record'])
    const stream = Buffer.from(image.subarray(page * PAGE, page * PAGE + lines * LINE))
    const claimed = stream.readBigUInt64LE(56)
    stream.fill(0, 56, 64)
    assert.equal(hash(stream, anchor['salt']), claimed)

    const directoryEnd = LINE + Number(record['pages in the directory']) * DIRECTORY_ENTRY
    let body = Math.ceil(directoryEnd / LINE) * LINE
    assert.equal(stream.length - body, Number(record['line bodies']) * LINE)
    const unlogged: Buffer[] = []
    for (let at = LINE; at < directoryEnd; at += DIRECTORY_ENTRY) {
      const mask = stream.readBigUInt64LE(at + 4)
      const flags = stream.readUInt32LE(at + 12)
      for (let line = 0; line < 64; line++) {
        if (((mask >> BigInt(line)) & 1n) === 0n) continue
        const place = stream.readUInt32LE(at) * PAGE + line * LINE
        if (flags === 1) {
          unlogged.push(image.subarray(place, place + LINE))
          continue
        }
        stream.copy(replayed, place, body, body + LINE)
        body += LINE
      }
    }
    assert.equal(body, stream.length)
    assert.equal(hash(Buffer.concat(unlogged), anchor['salt']), stream.readBigUInt64LE(48), 'the fresh lines are there')
    assert.equal(unlogged.length, expected === txid ? Math.ceil(9002 / LINE) : 0)
  }
  assert.ok(replayed.equals(image), 'replaying what has been applied changes nothing')
})

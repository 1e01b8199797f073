import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StructureHooks, ValueCodec } from '../../src/codec/value-codec.js'
import { createValueCodec } from '../../src/codec/value-codecs.js'

/** A place for structures with the two lives of a transaction: pending and committed. */
class StructureStore implements StructureHooks {
  committed: Uint8Array | undefined
  pending: Uint8Array | undefined
  saves = 0
  loads = 0
  loadStructures(): Uint8Array | undefined {
    this.loads++
    return this.pending ?? this.committed
  }
  saveStructures(bytes: Uint8Array): void {
    this.saves++
    this.pending = Uint8Array.from(bytes)
  }
  commit(): void {
    this.committed = this.pending ?? this.committed
    this.pending = undefined
  }
  abort(): void {
    this.pending = undefined
  }
}

const encodeCopy = (codec: ValueCodec<unknown>, value: unknown): Buffer => Buffer.from(codec.encode(value))
const decode = (codec: ValueCodec<unknown>, bytes: Buffer): unknown => codec.decode(bytes, 0, bytes.length)
/** What another process, or the next open, makes of the bytes. */
const decodeFresh = (store: StructureStore, bytes: Buffer): unknown =>
  decode(createValueCodec('msgpack', { loadStructures: () => store.committed }), bytes)

test('property names are stored once', () => {
  const store = new StructureStore()
  const codec = createValueCodec('msgpack', store)
  const first = encodeCopy(codec, { name: 'ada', age: 36 })
  const second = encodeCopy(codec, { name: 'eve', age: 30 })
  store.commit()
  assert.equal(store.saves, 1)
  assert.equal(second.includes('name'), false)
  assert.deepEqual(decodeFresh(store, first), { name: 'ada', age: 36 })
  assert.deepEqual(decodeFresh(store, second), { name: 'eve', age: 30 })
})

test('after an abort values are written so that a reader of the saved structures understands them', () => {
  const store = new StructureStore()
  const codec = createValueCodec('msgpack', store)
  const kept = encodeCopy(codec, { a: 1 })
  store.commit()
  encodeCopy(codec, { lost: 1, b: 2 })
  store.abort()
  codec.reset()
  const again = encodeCopy(codec, { lost: 3, b: 4 })
  const other = encodeCopy(codec, { other: [{ deep: { er: true } }] })
  store.commit()
  assert.deepEqual(decodeFresh(store, kept), { a: 1 })
  assert.deepEqual(decodeFresh(store, again), { lost: 3, b: 4 })
  assert.deepEqual(decodeFresh(store, other), { other: [{ deep: { er: true } }] })
  assert.deepEqual(decode(codec, kept), { a: 1 })
})

test('a structure number that is given again after an abort is not confused with the lost one', () => {
  const store = new StructureStore()
  const codec = createValueCodec('msgpack', store)
  encodeCopy(codec, { lost: 1 })
  store.abort()
  codec.reset()
  const bytes = encodeCopy(codec, { kept: 2 })
  store.commit()
  assert.deepEqual(decode(codec, bytes), { kept: 2 })
  assert.deepEqual(decodeFresh(store, bytes), { kept: 2 })
})

test('random commits and aborts always leave decodable values', () => {
  let seed = 12345
  const random = (n: number): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n
  const store = new StructureStore()
  const codec = createValueCodec('msgpack', store)
  const committed: [Buffer, unknown][] = []
  for (let round = 0; round < 300; round++) {
    const pending: [Buffer, unknown][] = []
    for (let i = 0; i < 3; i++) {
      const value = { [`p${random(20)}`]: round, [`q${random(3)}`]: { [`r${random(4)}`]: [i] } }
      pending.push([encodeCopy(codec, value), value])
    }
    if (random(2) === 0) {
      store.commit()
      committed.push(...pending)
    } else {
      store.abort()
      codec.reset()
    }
  }
  for (const [bytes, value] of committed) {
    assert.deepEqual(decode(codec, bytes), value)
    assert.deepEqual(decodeFresh(store, bytes), value)
  }
})

test('a failing save is the error of the put, and the codec recovers', () => {
  const store = new StructureStore()
  const failure = new Error('no space')
  let failing = true
  const codec = createValueCodec('msgpack', {
    loadStructures: () => store.loadStructures(),
    saveStructures(bytes) {
      if (failing) throw failure
      store.saveStructures(bytes)
    },
  })
  assert.throws(() => codec.encode({ a: 1 }), failure)
  failing = false
  const bytes = encodeCopy(codec, { a: 2 })
  store.commit()
  assert.deepEqual(decodeFresh(store, bytes), { a: 2 })
})

test('without a save hook shapes travel inside the values, and known structures are still used', () => {
  const store = new StructureStore()
  const writer = createValueCodec('msgpack', store)
  encodeCopy(writer, { shared: 1 })
  store.commit()
  const frozen = createValueCodec('msgpack', { loadStructures: () => store.committed })
  const known = encodeCopy(frozen, { shared: 2 })
  const unknown = encodeCopy(frozen, { unseen: 3, inner: { shared: 4 } })
  assert.equal(known.includes('shared'), false)
  assert.equal(unknown.includes('unseen'), true)
  assert.deepEqual(decode(writer, unknown), { unseen: 3, inner: { shared: 4 } })
  assert.deepEqual(decodeFresh(store, known), { shared: 2 })
})

test('a structure added by another writer is found when a value refers to it', () => {
  const store = new StructureStore()
  const reader = createValueCodec('msgpack', { loadStructures: () => store.committed })
  const writer = createValueCodec('msgpack', store)
  const first = encodeCopy(writer, { a: 1 })
  store.commit()
  assert.deepEqual(decode(reader, first), { a: 1 })
  const later = [{ b: 2, c: 3 }, [{ d: 1 }, { d: 2 }], { e: { f: { g: 1 } } }].map((value) => encodeCopy(writer, value))
  store.commit()
  assert.deepEqual(
    later.map((bytes) => decode(reader, bytes)),
    [{ b: 2, c: 3 }, [{ d: 1 }, { d: 2 }], { e: { f: { g: 1 } } }],
  )
})

test('a value whose structures are gone is CORRUPT, never a made-up value', () => {
  const store = new StructureStore()
  const writer = createValueCodec('msgpack', store)
  const values = [{ b: 2 }, [{ d: 1 }, { d: 2 }], { e: { f: {} } }, [[{ g: [] }]]].map((value) =>
    encodeCopy(writer, value),
  )
  for (const bytes of values) {
    assert.throws(() => decodeFresh(store, bytes), { code: 'CORRUPT' })
  }
})

test('more shapes than the list holds are written without it', () => {
  const store = new StructureStore()
  const codec = createValueCodec('msgpack', store)
  const values = Array.from({ length: 100 }, (_, i) => ({ [`shape${i}`]: i, nested: { [`n${i}`]: { i } } }))
  const bytes = values.map((value) => encodeCopy(codec, value))
  store.commit()
  values.forEach((value, i) => assert.deepEqual(decodeFresh(store, bytes[i]), value))
  // Dictionaries never enter it.
  const before = store.saves
  encodeCopy(codec, Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`key ${i}`, i])))
  assert.equal(store.saves, before)
})

test('one object with very many properties and shapes reads back', () => {
  const store = new StructureStore()
  const codec = createValueCodec('msgpack', store)
  const wide = Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i]))
  const many = Array.from({ length: 200 }, (_, i) => ({ [`s${i}`]: i }))
  const bytes = [wide, many, many].map((value) => encodeCopy(codec, value))
  store.commit()
  assert.deepEqual(decodeFresh(store, bytes[0]), wide)
  assert.deepEqual(decodeFresh(store, bytes[1]), many)
  assert.deepEqual(decode(codec, bytes[2]), many)
})

test('a damaged list of structures is CORRUPT', () => {
  for (const text of ['', '{}', '[1]', '[[]]', '[["a"', JSON.stringify(Array(33).fill(['a']))]) {
    const codec = createValueCodec('msgpack', { loadStructures: () => Buffer.from(text) })
    if (text === '') assert.equal(decode(codec, Buffer.from([1])), 1)
    else assert.throws(() => decode(codec, Buffer.from([1])), { code: 'CORRUPT' })
  }
})

test('reset is cheap where nothing changed: structures are compared, not rebuilt', () => {
  const store = new StructureStore()
  const codec = createValueCodec('msgpack', store)
  encodeCopy(codec, { a: 1 })
  store.commit()
  const loads = store.loads
  encodeCopy(codec, { a: 2 })
  assert.equal(store.loads, loads)
  codec.reset()
  encodeCopy(codec, { a: 3 })
  assert.equal(store.loads, loads + 1)
  assert.equal(store.saves, 1)
})

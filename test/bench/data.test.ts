import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KEY_BYTES, KeyMaker, shuffledOrder, VALUE_BYTES, ValueMaker } from '../../bench/data.js'
import { ZipfPicker } from '../../bench/zipf.js'

const COUNT = 5000

test('keys ascend with their number and are unique, missing keys are never present', () => {
  const maker = new KeyMaker(COUNT)
  const present = Array.from({ length: COUNT }, (_, i) => maker.present(i))
  for (const [i, key] of present.entries()) {
    assert.equal(key.length, KEY_BYTES)
    if (i > 0) assert.ok(key > present[i - 1], `${String(key)} does not follow ${String(present[i - 1])}`)
  }
  const known = new Set(present)
  const missing = new Set(Array.from({ length: COUNT }, (_, i) => maker.missing(i)))
  assert.equal(missing.size, COUNT)
  for (const key of missing) assert.ok(!known.has(key))
})

test('every process makes the same keys, values and orders', () => {
  assert.equal(new KeyMaker(1_000_000).present(123_456), new KeyMaker(1_000_000).present(123_456))
  assert.deepEqual(new ValueMaker('binary').value(77, 3), new ValueMaker('binary').value(77, 3))
  assert.deepEqual(new ValueMaker('object').value(77), new ValueMaker('object').value(77))
  assert.equal(new ValueMaker('string', 16).value(77), new ValueMaker('string', 16).value(77))
  assert.deepEqual(shuffledOrder(100, 5), shuffledOrder(100, 5))
})

test('an order is a permutation, another seed gives another one', () => {
  const order = shuffledOrder(COUNT, 1)
  assert.deepEqual(
    [...order].sort((a, b) => a - b),
    Array.from({ length: COUNT }, (_, i) => i),
  )
  assert.notDeepEqual(order, shuffledOrder(COUNT, 2))
})

test('binary values have one size, and another version is another value', () => {
  const maker = new ValueMaker('binary')
  const value = maker.value(1)
  assert.ok(Buffer.isBuffer(value))
  assert.equal(value.length, VALUE_BYTES)
  assert.notDeepEqual(maker.value(1, 1), value)
})

test('more keys than the key space holds are refused', () => {
  assert.throws(() => new KeyMaker(10 ** 12), RangeError)
})

test('binary keys have the bytes of the string keys', () => {
  const strings = new KeyMaker(COUNT)
  const buffers = new KeyMaker(COUNT, 'binary')
  for (const index of [0, 1, COUNT - 1]) {
    assert.deepEqual(buffers.present(index), Buffer.from(strings.present(index) as string))
    assert.deepEqual(buffers.missing(index), Buffer.from(strings.missing(index) as string))
  }
})

test('values have the size that was asked for, and large ones are fewer', () => {
  for (const bytes of [16, 4096, 2 ** 20]) {
    const value = new ValueMaker('binary', bytes).value(3) as Buffer
    assert.equal(value.length, bytes)
    assert.ok(value.some((byte) => byte !== value[0]))
  }
  const text = new ValueMaker('string', 100).value(3) as string
  assert.match(text, /^[ -_]{100}$/)
  const large = new ValueMaker('binary', 2 ** 20)
  assert.equal(large.value(0), large.value(64))
  assert.notDeepEqual(large.value(0), large.value(63))
})

test('zipfian picks favour few keys as much as the distribution says, and cover the range', () => {
  const count = 1000
  const picker = new ZipfPicker(count, 7)
  const draws = 100_000
  const hits = new Uint32Array(count)
  for (let i = 0; i < draws; i++) hits[picker.nextRank()]++
  let zeta = 0
  for (let rank = 1; rank <= count; rank++) zeta += rank ** -0.99
  // The approximation is exact for the first two ranks; a hundredth of all draws is many standard deviations.
  assert.ok(Math.abs(hits[0] / draws - 1 / zeta) < 0.01, `${hits[0]}`)
  assert.ok(Math.abs(hits[1] / draws - 2 ** -0.99 / zeta) < 0.01, `${hits[1]}`)
  assert.ok(hits.filter((times) => times > 0).length > count * 0.9)
  assert.throws(() => new ZipfPicker(1, 0), RangeError)
  for (let i = 0; i < 100; i++) assert.ok(picker.next() < count)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KEY_BYTES, KeyMaker, shuffledOrder, VALUE_BYTES, ValueMaker } from '../../bench/data.js'

const COUNT = 5000

test('keys ascend with their number and are unique, missing keys are never present', () => {
  const maker = new KeyMaker(COUNT)
  const present = Array.from({ length: COUNT }, (_, i) => maker.present(i))
  for (const [i, key] of present.entries()) {
    assert.equal(key.length, KEY_BYTES)
    if (i > 0) assert.ok(key > present[i - 1], `${key} does not follow ${present[i - 1]}`)
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

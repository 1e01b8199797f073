import assert from 'node:assert/strict'
import test from 'node:test'
import { memoryStore, throwsCode } from './support.js'

test('putIfAbsent sets once', (t) => {
  const store = memoryStore(t)
  assert.equal(store.putIfAbsent('k', 1), true)
  assert.equal(store.putIfAbsent('k', 2), false)
  assert.equal(store.get('k'), 1)
  throwsCode(() => store.putIfAbsent('j', undefined), 'INVALID_ARGUMENT')
})

test('compareAndSet replaces, creates and deletes when the bytes match', (t) => {
  const store = memoryStore(t)
  assert.equal(store.compareAndSet('k', undefined, { a: 1 }), true)
  assert.equal(store.compareAndSet('k', undefined, { a: 2 }), false)
  assert.equal(store.compareAndSet('k', { a: 9 }, { a: 2 }), false)
  assert.deepEqual(store.get('k'), { a: 1 })
  assert.equal(store.compareAndSet('k', { a: 1 }, { a: 2 }), true)
  assert.deepEqual(store.get('k'), { a: 2 })
  assert.equal(store.compareAndSet('k', { a: 1 }, undefined), false)
  assert.equal(store.compareAndSet('k', { a: 2 }, undefined), true)
  assert.equal(store.has('k'), false)
  assert.equal(store.compareAndSet('k', undefined, undefined), true)
  assert.equal(store.compareAndSet('k', { a: 2 }, { a: 3 }), false)
  assert.equal(store.has('k'), false)
})

test('compareAndSet works with values larger than a page', (t) => {
  const store = memoryStore(t)
  const [a, b] = ['a'.repeat(9000), 'b'.repeat(9000)]
  store.put('k', a)
  assert.equal(store.compareAndSet('k', b, 'no'), false)
  assert.equal(store.compareAndSet('k', a, b), true)
  assert.equal(store.get('k'), b)
})

test('update makes a new value of the old one', (t) => {
  const store = memoryStore(t)
  const add = (value: unknown): number => ((value as number | undefined) ?? 0) + 1
  assert.equal(store.update('n', add), 1)
  assert.equal(store.update('n', add), 2)
  assert.equal(store.get('n'), 2)
  assert.equal(
    store.update('n', () => undefined),
    undefined,
  )
  assert.equal(store.has('n'), false)
})

test('update takes back everything when its callback throws', (t) => {
  const store = memoryStore(t)
  store.put('n', 1)
  const callback = (): never => {
    store.put('side', 1)
    throw new Error('mine')
  }
  assert.throws(() => store.update('n', callback), /mine/)
  assert.equal(store.has('side'), false)
  assert.equal(store.get('n'), 1)
})

test('update refuses a callback that returns a Promise', (t) => {
  const store = memoryStore(t)
  store.put('n', 1)
  throwsCode(() => store.update('n', async () => 2), 'ASYNC_TRANSACTION')
  throwsCode(() => store.update('n', 1 as never), 'INVALID_ARGUMENT', /function/)
  assert.equal(store.get('n'), 1)
})

test('update may write other keys, in the same transaction', (t) => {
  const store = memoryStore(t)
  store.update('total', (total) => {
    store.put('entry', 5)
    return ((total as number | undefined) ?? 0) + 5
  })
  assert.deepEqual(
    [...store],
    [
      ['entry', 5],
      ['total', 5],
    ],
  )
})

test('a batch is applied in its order, all of it or nothing', (t) => {
  const store = memoryStore(t)
  store.put('old', 1)
  store.batch([
    { type: 'put', key: 'a', value: 1 },
    { type: 'put', key: 'a', value: 2 },
    { type: 'del', key: 'old' },
    { type: 'put', key: 'b', value: 3 },
    { type: 'del', key: 'b' },
  ])
  assert.deepEqual([...store], [['a', 2]])
  throwsCode(
    () => store.batch([{ type: 'put', key: 'c', value: 1 }, { type: 'set', key: 'd', value: 1 } as never]),
    'INVALID_ARGUMENT',
    /operation 1 .*"set"/,
  )
  throwsCode(
    () =>
      store.batch([
        { type: 'put', key: 'c', value: 1 },
        { type: 'put', key: 'd', value: undefined },
      ]),
    'INVALID_ARGUMENT',
  )
  throwsCode(() => store.batch([undefined as never]), 'INVALID_ARGUMENT', /operation 0/)
  assert.deepEqual([...store], [['a', 2]])
})

test('a batch that fails inside a transaction takes back its own part only', (t) => {
  const store = memoryStore(t)
  store.transaction(() => {
    store.put('kept', 1)
    throwsCode(
      () =>
        store.batch([
          { type: 'put', key: 'lost', value: 1 },
          { type: 'put', key: 'bad', value: undefined },
        ]),
      'INVALID_ARGUMENT',
    )
    store.put('also kept', 1)
  })
  assert.deepEqual([...store.keys()], ['also kept', 'kept'])
})

import assert from 'node:assert/strict'
import test from 'node:test'
import { memoryStore, throwsCode, open } from './support.js'

test('what was put can be got, decoded, as bytes and as a view', (t) => {
  const store = memoryStore(t)
  store.put('ada', { born: 1815, tags: ['x'] })
  assert.deepEqual(store.get('ada'), { born: 1815, tags: ['x'] })
  assert.equal(store.has('ada'), true)
  const bytes = store.getBinary('ada')
  assert.ok(Buffer.isBuffer(bytes))
  assert.equal(
    store.withView('ada', (view) => view.equals(bytes)),
    true,
  )
})

test('what was not put is undefined everywhere', (t) => {
  const store = memoryStore(t)
  assert.equal(store.get('no'), undefined)
  assert.equal(store.getBinary('no'), undefined)
  assert.equal(store.has('no'), false)
  assert.equal(
    store.withView('no', () => assert.fail('must not be called')),
    undefined,
  )
  assert.equal(store.delete('no'), false)
  assert.equal(store.first(), undefined)
  assert.equal(store.last(), undefined)
})

test('put overwrites, delete removes and says whether it did', (t) => {
  const store = memoryStore(t)
  store.put('k', 1)
  store.put('k', 2)
  assert.equal(store.get('k'), 2)
  assert.equal(store.count(), 1)
  assert.equal(store.delete('k'), true)
  assert.equal(store.delete('k'), false)
  assert.equal(store.count(), 0)
})

test('getMany answers in the order of its keys', (t) => {
  const store = memoryStore(t)
  store.put('a', 1)
  store.put('c', 3)
  assert.deepEqual(store.getMany(['c', 'b', 'a', 'a']), [3, undefined, 1, 1])
  assert.deepEqual(store.getMany(new Set(['a'])), [1])
  throwsCode(() => store.getMany(5 as never), 'INVALID_ARGUMENT', /iterable/)
  throwsCode(() => store.batch(undefined as never), 'INVALID_ARGUMENT', /iterable/)
})

test('the empty key and the empty value are legal', (t) => {
  const store = open(':memory:', { keyEncoding: 'binary', valueEncoding: 'binary' })
  t.after(() => {
    store.close()
  })
  store.put(Buffer.alloc(0), Buffer.alloc(0))
  assert.deepEqual(store.get(Buffer.alloc(0)), Buffer.alloc(0))
  assert.equal(
    store.withView(Buffer.alloc(0), (view) => view.length),
    0,
  )
  assert.deepEqual([...store.keys()], [Buffer.alloc(0)])
})

test('a Buffer returned by get or getBinary belongs to the caller', (t) => {
  const store = open(':memory:', { valueEncoding: 'binary' })
  t.after(() => {
    store.close()
  })
  store.put('k', Buffer.from('value'))
  store.get('k')?.fill(0)
  store.getBinary('k')?.fill(0)
  assert.equal(store.get('k')?.toString(), 'value')
})

test('values of any size come back as they were', (t) => {
  const store = open(':memory:', { valueEncoding: 'binary' })
  t.after(() => {
    store.close()
  })
  const sizes = [0, 1, 100, 1900, 1994, 2000, 4095, 4096, 4097, 70_000, 1_000_000, 5_000_001]
  for (const size of sizes) store.put(size, Buffer.alloc(size, size % 251))
  for (const size of sizes) {
    const expected = Buffer.alloc(size, size % 251)
    assert.ok(store.get(size)?.equals(expected), `${size} bytes`)
    assert.ok(store.withView(size, (view) => view.equals(expected)))
  }
  assert.equal(store.check().ok, true)
  for (const size of sizes) assert.equal(store.delete(size), true)
  const report = store.check()
  assert.deepEqual(report.problems, [])
  assert.equal(report.pages.extent, 0)
})

test('inside withView the store can be read, not written or closed', (t) => {
  const store = memoryStore(t)
  store.put('a', 'one')
  store.put('b', 'two')
  const other = store.keyspace('other')
  store.withView('a', () => {
    assert.equal(store.get('b'), 'two')
    assert.equal(
      store.withView('b', (view) => view.length),
      store.getBinary('b')?.length,
    )
    assert.deepEqual([...store.keys()], ['a', 'b'])
    for (const write of [
      () => store.put('c', 1),
      () => other.put('c', 1),
      () => store.delete('a'),
      () => store.deleteRange({ gte: 'a' }),
      () => store.clear(),
      () => store.batch([]),
      () => store.putIfAbsent('c', 1),
      () => store.compareAndSet('a', 'one', 'two'),
      () => store.update('a', (value) => value),
      () => store.transaction(() => 1),
      () => store.keyspace('new'),
      () => store.dropKeyspace('other'),
      () => store.close(),
    ]) {
      throwsCode(write, 'BUSY')
    }
    assert.equal(store.keyspace('other'), other)
  })
  store.put('c', 3)
  assert.equal(store.count(), 3)
})

test('what a view callback throws comes through, and the store can be written again', (t) => {
  const store = memoryStore(t)
  store.put('a', 1)
  assert.throws(() => store.withView('a', () => assert.fail('mine')), /mine/)
  store.put('a', 2)
  assert.equal(store.get('a'), 2)
  throwsCode(() => store.withView('a', async () => 1), 'INVALID_ARGUMENT', /Promise/)
  throwsCode(() => store.withView('a', undefined as never), 'INVALID_ARGUMENT', /function/)
})

test('a view of a page the transaction has changed is a copy', (t) => {
  const store = memoryStore(t)
  store.put('a', 'before')
  store.transaction(() => {
    store.put('b', 'other')
    store.withView('a', (view) => view.fill(0))
    assert.equal(store.get('a'), 'before')
  })
  assert.equal(store.get('a'), 'before')
})

for (const valueEncoding of ['msgpack', 'json'] as const) {
  test(`a ${valueEncoding} value whose encoding runs code may read the store but not write it`, (t) => {
    const store = open(':memory:', { valueEncoding })
    t.after(() => {
      store.close()
    })
    class Lazy {
      constructor(private readonly make: () => unknown) {}
      toJSON(): unknown {
        return this.make()
      }
    }
    store.put('n', 41)
    store.put('k', new Lazy(() => ({ next: (store.get('n') as number) + 1 })))
    assert.deepEqual(store.get('k'), { next: 42 })
    const writer = new Lazy(() => {
      store.put('other', 1)
    })
    // JSON.stringify's errors are the value's fault, with the cause named.
    throwsCode(
      () => store.put('k', writer),
      valueEncoding === 'json' ? 'INVALID_ARGUMENT' : 'BUSY',
      /cannot be changed/,
    )
    assert.equal(store.has('other'), false)
    assert.deepEqual(store.get('k'), { next: 42 })
    assert.equal(store.compareAndSet('k', new Lazy(() => store.get('k')), new Lazy(() => store.get('n'))), true)
    assert.equal(store.get('k'), 41)
    store.put('after', { shape: 1 })
    assert.deepEqual(store.get('after'), { shape: 1 })
  })
}

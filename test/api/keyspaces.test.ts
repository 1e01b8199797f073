import assert from 'node:assert/strict'
import test from 'node:test'
import { memoryStore, simulatedMemory, storeOnMemory, throwsCode, open } from './support.js'

test('keyspaces are separate, and the same name gives the same object', (t) => {
  const store = memoryStore(t)
  const users = store.keyspace<string, string>('users')
  assert.equal(store.keyspace('users'), users)
  assert.equal(store.keyspace(''), store)
  users.put('k', 'user')
  store.put('k', 'default')
  assert.equal(users.get('k'), 'user')
  assert.equal(store.get('k'), 'default')
  assert.equal(users.name, 'users')
  assert.equal(store.name, '')
})

test('keyspaces() lists names, encodings and sizes', (t) => {
  const store = open(':memory:', { keyEncoding: 'utf8', valueEncoding: 'json' })
  t.after(() => {
    store.close()
  })
  store.keyspace('b', { keyEncoding: 'uint32', valueEncoding: 'string' }).put(1, 'x')
  store.keyspace('a', { keyEncoding: 'binary', valueEncoding: 'binary' })
  assert.deepEqual(store.keyspaces(), [
    { name: '', keyEncoding: 'utf8', valueEncoding: 'json', entries: 0 },
    { name: 'a', keyEncoding: 'binary', valueEncoding: 'binary', entries: 0 },
    { name: 'b', keyEncoding: 'uint32', valueEncoding: 'string', entries: 1 },
  ])
  assert.equal(store.stats().keyspaces, 3)
})

test('encodings are recorded: omitted they are taken over, others are refused', () => {
  const memory = simulatedMemory()
  const store = storeOnMemory(memory)
  store.keyspace('n', { keyEncoding: 'uint32', valueEncoding: 'json' }).put(7, [1])
  throwsCode(() => store.keyspace('n', { keyEncoding: 'utf8' }), 'ENCODING_MISMATCH', /'n'.*'uint32'.*'utf8'/)
  const image = memory.image()
  store.close()
  const again = storeOnMemory(simulatedMemory(image))
  throwsCode(() => again.keyspace('n', { valueEncoding: 'msgpack' }), 'ENCODING_MISMATCH', /'n'.*'json'.*'msgpack'/)
  throwsCode(
    () => again.keyspace('', { keyEncoding: 'binary' }),
    'ENCODING_MISMATCH',
    /default keyspace.*'ordered'.*'binary'/,
  )
  const numbers = again.keyspace<number, number[]>('n')
  assert.deepEqual([numbers.keyEncoding, numbers.valueEncoding], ['uint32', 'json'])
  assert.deepEqual([...numbers], [[7, [1]]])
  assert.equal(again.keyspace('n', { keyEncoding: 'uint32' }), numbers)
  again.close()
})

test('a dropped keyspace is gone with its entries, and its handle says so', (t) => {
  const store = memoryStore(t)
  const free = store.check().pages.free
  const users = store.keyspace<string, unknown>('users')
  for (let i = 0; i < 500; i++) users.put(`user ${i}`, { name: 'x'.repeat(i * 20) })
  const rows = users.range()
  rows.next()
  assert.equal(store.dropKeyspace('users'), true)
  assert.equal(store.dropKeyspace('users'), false)
  for (const use of [
    () => users.get('user 1'),
    () => users.getBinary('user 1'),
    () => users.withView('user 1', () => 1),
    () => users.has('user 1'),
    () => users.getMany(['user 1']),
    () => users.put('user 1', 1),
    () => users.delete('user 1'),
    () => users.deleteRange({ gte: 'a' }),
    () => users.batch([]),
    () => users.putIfAbsent('user 1', 1),
    () => users.compareAndSet('user 1', 1, 2),
    () => users.update('user 1', () => 1),
    () => users.clear(),
    () => users.range(),
    () => users.count(),
    () => users.first(),
    () => users.last(),
    () => users.forEach({}, () => 1),
    () => users.scan({}, () => 1),
    () => rows.next(),
  ]) {
    throwsCode(use, 'CLOSED', /'users'/)
  }
  const report = store.check()
  assert.deepEqual(report.problems, [])
  assert.ok(report.pages.free >= free - 3)
  const fresh = store.keyspace('users', { keyEncoding: 'uint32' })
  assert.notEqual(fresh, users)
  assert.equal(fresh.count(), 0)
  assert.deepEqual(
    store.keyspaces().map(({ name }) => name),
    ['', 'users'],
  )
})

test('the default keyspace cannot be dropped', (t) => {
  const store = memoryStore(t)
  throwsCode(() => store.dropKeyspace(''), 'INVALID_ARGUMENT', /clear/)
})

test('a drop that is aborted leaves keyspace and handle as they were', (t) => {
  const store = memoryStore(t)
  const users = store.keyspace<string, number>('users')
  users.put('ada', 1)
  assert.throws(() =>
    store.transaction(() => {
      assert.equal(store.dropKeyspace('users'), true)
      throwsCode(() => users.get('ada'), 'CLOSED')
      const other = store.keyspace<string, number>('users', { keyEncoding: 'utf8' })
      other.put('bob', 2)
      assert.deepEqual([...other], [['bob', 2]])
      throw new Error('abort')
    }),
  )
  assert.equal(users.get('ada'), 1)
  assert.equal(store.keyspace('users'), users)
  users.put('eve', 2)
  assert.equal(users.count(), 2)
  assert.deepEqual(store.check().problems, [])
})

test('a keyspace created in an aborted transaction does not exist, and its handle says so', (t) => {
  const store = memoryStore(t)
  let handle = store.keyspace<string, number>('')
  assert.throws(() =>
    store.transaction(() => {
      handle = store.keyspace<string, number>('new')
      handle.put('a', 1)
      throw new Error('abort')
    }),
  )
  throwsCode(() => handle.get('a'), 'CLOSED', /'new'.*aborted/)
  assert.deepEqual(
    store.keyspaces().map(({ name }) => name),
    [''],
  )
  const again = store.keyspace<string, number>('new')
  assert.notEqual(again, handle)
  assert.equal(again.count(), 0)
})

test('handles follow the savepoint their keyspace was created in', (t) => {
  const store = memoryStore(t)
  let inner = store.keyspace<string, number>('')
  const abort = (action: () => void): void => {
    assert.throws(() =>
      store.transaction(() => {
        action()
        throw new Error('abort')
      }),
    )
  }
  abort(() => {
    store.transaction(() => {
      store.keyspace('created')
    })
    // The handle is made in a savepoint that is rolled back, its keyspace in the transaction around it.
    abort(() => {
      inner = store.keyspace<string, number>('created')
      inner.put('x', 1)
    })
    assert.equal(inner.count(), 0)
    inner.put('y', 2)
  })
  throwsCode(() => inner.get('y'), 'CLOSED')
  abort(() => {
    abort(() => {
      store.keyspace('deeper')
    })
    inner = store.keyspace<string, number>('deeper')
    inner.put('x', 1)
  })
  throwsCode(() => inner.get('x'), 'CLOSED')
  assert.deepEqual(
    store.keyspaces().map(({ name }) => name),
    [''],
  )
  assert.deepEqual(store.check().problems, [])
})

test('many keyspaces, names of all sorts', () => {
  const memory = simulatedMemory(undefined, 4 * 2 ** 20)
  const store = storeOnMemory(memory)
  const names = Array.from({ length: 300 }, (_, i) => `keyspace ${i} ${'ü'.repeat(i % 90)}`)
  store.transaction(() => {
    for (const name of names) store.keyspace<string, string>(name, { valueEncoding: 'string' }).put('me', name)
  })
  const image = memory.image()
  store.close()
  const again = storeOnMemory(simulatedMemory(image))
  for (const name of names) assert.equal(again.keyspace<string, string>(name).get('me'), name)
  assert.equal(again.keyspaces().length, 301)
  assert.deepEqual(again.check().problems, [])
  again.close()
})

test('names are checked', (t) => {
  const store = memoryStore(t)
  throwsCode(() => store.keyspace(1 as never), 'INVALID_ARGUMENT', /string/)
  throwsCode(() => store.keyspace('x'.repeat(256)), 'INVALID_ARGUMENT', /255.*256/)
  throwsCode(() => store.keyspace('\ud800'), 'INVALID_ARGUMENT', /surrogate/)
  throwsCode(() => store.dropKeyspace(undefined as never), 'INVALID_ARGUMENT', /string/)
  throwsCode(() => store.keyspace('x', { keyEncoding: 'utf16' as never }), 'INVALID_ARGUMENT', /keyEncoding/)
  throwsCode(() => store.keyspace('x', { encoding: 'utf8' } as never), 'UNKNOWN_OPTION', /keyEncoding/)
  assert.equal(store.keyspaces().length, 1)
})

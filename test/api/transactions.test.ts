import assert from 'node:assert/strict'
import test from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { memoryStore, simulatedMemory, storeOnMemory, throwsCode } from './support.js'

test('a transaction covers all keyspaces and returns what its action returns', (t) => {
  const store = memoryStore(t)
  const other = store.keyspace('other')
  const commits = store.stats().commits
  const result = store.transaction(() => {
    store.put('a', 1)
    other.put('b', 2)
    assert.equal(store.get('a'), 1)
    assert.deepEqual([...other], [['b', 2]])
    return 'done'
  })
  assert.equal(result, 'done')
  assert.equal(store.stats().commits, commits + 1)
  assert.equal(store.get('a'), 1)
  assert.equal(other.get('b'), 2)
})

test('an exception takes everything back and is thrown on', (t) => {
  const store = memoryStore(t)
  const other = store.keyspace('other')
  store.put('a', 'old')
  const mine = new Error('mine')
  assert.throws(
    () =>
      store.transaction(() => {
        store.put('a', 'new')
        other.put('b', 2)
        store.delete('a')
        throw mine
      }),
    (error) => error === mine,
  )
  assert.equal(store.get('a'), 'old')
  assert.equal(other.count(), 0)
  store.put('after', 1)
  assert.deepEqual([...store.keys()], ['a', 'after'])
})

test('a nested transaction is a savepoint', (t) => {
  const store = memoryStore(t)
  store.transaction(() => {
    store.put('outer', 1)
    assert.throws(
      () =>
        store.transaction(() => {
          store.put('outer', 2)
          store.put('inner', 1)
          store.transaction(() => store.put('innermost', 1))
          assert.deepEqual([...store.keys()], ['inner', 'innermost', 'outer'])
          throw new Error('inner')
        }),
      /inner/,
    )
    assert.deepEqual([...store], [['outer', 1]])
    store.transaction(() => store.put('second', 1))
  })
  assert.deepEqual([...store.keys()], ['outer', 'second'])
  assert.equal(store.check().ok, true)
})

test('a callback that returns a Promise commits nothing, and its rejection harms nobody', async (t) => {
  const store = memoryStore(t)
  throwsCode(
    () =>
      store.transaction(async () => {
        store.put('a', 1)
        await setImmediate()
        throw new Error('unheard')
      }),
    'ASYNC_TRANSACTION',
    /Promise/,
  )
  assert.equal(store.has('a'), false)
  const thenable = { then: (): number => 1 }
  throwsCode(() => store.transaction(() => thenable), 'ASYNC_TRANSACTION')
  await setImmediate()
  await setImmediate()
  store.put('b', 1)
  assert.deepEqual([...store.keys()], ['b'])
})

test('a transaction that changes nothing is not a commit', (t) => {
  const store = memoryStore(t)
  store.put('a', 1)
  const before = store.stats()
  store.transaction(() => store.get('a'))
  store.delete('no such key')
  store.transaction(() => {
    store.transaction(() => undefined)
  })
  const after = store.stats()
  assert.equal(after.commits, before.commits)
  assert.equal(after.counters.fences, before.counters.fences)
})

test('closing and checking wait for the end of a transaction', (t) => {
  const store = memoryStore(t)
  store.transaction(() => {
    store.put('a', 1)
    throwsCode(() => store.close(), 'BUSY', /transaction/)
    throwsCode(() => store.check(), 'BUSY', /transaction/)
  })
  assert.equal(store.get('a'), 1)
  throwsCode(() => store.transaction(1 as never), 'INVALID_ARGUMENT', /function/)
})

test('bad input inside a transaction leaves the transaction whole', (t) => {
  const store = memoryStore(t)
  store.transaction(() => {
    store.put('a', 1)
    throwsCode(() => store.put('b', undefined), 'INVALID_ARGUMENT')
    throwsCode(() => store.put(Symbol('b') as never, 1), 'INVALID_ARGUMENT')
    throwsCode(() => store.put('x'.repeat(5000), 1), 'KEY_TOO_LONG', /1978.*5000/)
    throwsCode(() => store.get(undefined as never), 'INVALID_ARGUMENT')
    store.put('c', 3)
  })
  assert.deepEqual([...store.keys()], ['a', 'c'])
})

test('a write that fails half way dooms its transaction, not the store', (t) => {
  const store = memoryStore(t, { maxSizeBytes: 2 ** 20, valueEncoding: 'binary' } as never)
  store.put('kept', Buffer.from('1'))
  const big = Buffer.alloc(300_000)
  const fill = (): void => {
    for (let i = 0; i < 20; i++) store.put(`big ${i}` as never, big)
  }
  throwsCode(
    () =>
      store.transaction(() => {
        store.put('lost', Buffer.from('1'))
        throwsCode(fill, 'NO_SPACE', /maxSizeBytes/)
        // Swallowing the error does not help: half an operation is staged.
        throwsCode(() => store.get('kept'), 'NO_SPACE')
        throwsCode(() => store.put('more', big), 'NO_SPACE')
        throwsCode(() => [...store.keys()], 'NO_SPACE')
      }),
    'NO_SPACE',
  )
  assert.deepEqual([...store.keys()], ['kept'])
  store.transaction(() => {
    store.put('outer', Buffer.from('1'))
    throwsCode(() => store.transaction(fill), 'NO_SPACE')
    // The savepoint took the failure back with it.
    store.put('more', Buffer.from('1'))
  })
  assert.deepEqual([...store.keys()], ['kept', 'more', 'outer'])
  throwsCode(fill, 'NO_SPACE')
  const report = store.check()
  assert.deepEqual(report.problems, [])
})

test('a transaction over the staging limit is refused with limit and actual size', (t) => {
  const store = memoryStore(t, { stagingLimitBytes: 2 ** 20 } as never)
  const error = throwsCode(
    () =>
      store.transaction(() => {
        for (let i = 0; i < 2000; i++) store.put(`key ${i}` as never, 'x'.repeat(1000))
      }),
    'TX_TOO_LARGE',
    /stagingLimitBytes/,
  )
  assert.equal(error.limit, 2 ** 20)
  assert.ok(Number(error.actual) > 2 ** 20)
  assert.equal(store.count(), 0)
  store.put('a', 1)
  assert.deepEqual(store.check().problems, [])
})

test('a failed persist poisons the store, reopening continues', () => {
  const memory = simulatedMemory()
  memory.startRecording()
  const store = storeOnMemory(memory)
  store.put('a', 1)
  const rows = store.range()
  memory.failAfterEvents(3)
  throwsCode(() => store.put('b', 2), 'PERSIST_FAILED')
  throwsCode(() => store.get('a'), 'POISONED', /reopen/)
  throwsCode(() => store.put('a', 2), 'POISONED')
  throwsCode(() => store.transaction(() => 1), 'POISONED')
  throwsCode(() => rows.next(), 'POISONED')
  throwsCode(() => store.check(), 'POISONED')
  throwsCode(() => store.keyspaces(), 'POISONED')
  const image = memory.image()
  store.close()
  throwsCode(() => store.get('a'), 'CLOSED')
  const again = storeOnMemory(simulatedMemory(image))
  assert.equal(again.get('a'), 1)
  assert.equal(again.has('b'), false)
  assert.deepEqual(again.check().problems, [])
  again.close()
})

test('a failed persist in a transaction poisons as well', () => {
  const memory = simulatedMemory()
  memory.startRecording()
  const store = storeOnMemory(memory)
  memory.failAfterEvents(2)
  throwsCode(() => store.transaction(() => store.put('b', { shape: 2 })), 'PERSIST_FAILED')
  throwsCode(() => store.get('b'), 'POISONED')
  store.close()
})

test('shapes of objects saved in an aborted transaction do not spoil later values', (t) => {
  const store = memoryStore(t)
  const other = store.keyspace('other')
  store.put('one', { a: 1 })
  assert.throws(() =>
    store.transaction(() => {
      store.put('two', { b: 1, c: 2 })
      other.put('x', { y: 1 })
      throw new Error('abort')
    }),
  )
  store.put('three', { d: 1, e: 2 })
  other.put('z', { w: 1 })
  store.transaction(() => {
    store.put('four', { f: 4 })
    assert.throws(() =>
      store.transaction(() => {
        store.put('five', { g: 5 })
        throw new Error('inner')
      }),
    )
    store.put('six', { h: 6 })
    assert.deepEqual(store.get('four'), { f: 4 })
  })
  const expected = { one: { a: 1 }, three: { d: 1, e: 2 }, four: { f: 4 }, six: { h: 6 } }
  assert.deepEqual(Object.fromEntries(store), expected)
  assert.deepEqual([...other.values()], [{ w: 1 }])
})

test('shapes survive reopening, whatever was aborted before', () => {
  let memory = simulatedMemory()
  let store = storeOnMemory(memory)
  for (let round = 0; round < 10; round++) {
    store.put(`kept ${round}`, { [`field ${round}`]: round })
    assert.throws(() =>
      store.transaction(() => {
        store.put(`lost ${round}`, { [`other ${round}`]: round })
        throw new Error('abort')
      }),
    )
    // Without a clean close: recovery must give the same.
    const image = memory.image()
    store.close()
    memory = simulatedMemory(image)
    store = storeOnMemory(memory)
    for (let i = 0; i <= round; i++) assert.deepEqual(store.get(`kept ${i}`), { [`field ${i}`]: i })
  }
  store.close()
})

/** Asynchronous writes: what they return and when, who sees them, and how many times the disk is waited for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { storeOn } from '../../src/api/open.js'
import type { StoreHandle } from '../../src/api/store.js'
import { DaxkvError, type Store, type StoreOptions } from '../../src/index.js'
import { Engine, type EngineOptions } from '../../src/tx/engine.js'
import { EXECUTOR, KeptMemory, memoryStore, open, poolPath } from './support.js'

const PAGE: StoreOptions = { forceGranularity: 'page' }

function fileStore(t: TestContext, options: StoreOptions = {}): Store {
  const store = open(poolPath(t), { ...PAGE, ...options })
  t.after(() => {
    store.close()
  })
  return store
}

/** A store whose barriers end when the test says so. */
function steppedStore(image?: Uint8Array, options: EngineOptions = {}): { store: StoreHandle; memory: KeptMemory } {
  const memory = new KeptMemory({
    sizeBytes: image?.length ?? 1024 * 1024,
    segmentShift: 12,
    granularity: 'page',
    record: true,
    ...(image === undefined ? {} : { image }),
  })
  memory.barriersEnd = 'on demand'
  return { store: storeOn(Engine.open('stepped', { memory, logSizeBytes: 256 * 1024, ...options })), memory }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const keyOf = (row: IteratorResult<[key: unknown, value: unknown]>): unknown =>
  row.done === true ? undefined : row.value[0]

/** Settled or not, without waiting for it. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol('open')
  return (await Promise.race([promise.then(undefined, () => undefined), Promise.resolve(open)])) !== open
}

test('a thousand asynchronous puts of one turn cost one msync, made by another thread', async (t) => {
  const store = fileStore(t)
  const before = store.stats().counters
  await Promise.all(Array.from({ length: 1000 }, (_, i) => store.putAsync(i, { i })))
  const after = store.stats().counters
  assert.equal(after.syncs - before.syncs, 1)
  assert.equal(after.backgroundSyncs - before.backgroundSyncs, EXECUTOR === 'portable' ? 0 : 1)
  assert.equal(store.count(), 1000)
  assert.deepEqual(store.check().problems, [])
})

test('every synchronous put costs exactly one msync, also between asynchronous ones', async (t) => {
  const store = fileStore(t)
  const puts: Promise<void>[] = []
  for (let i = 0; i < 20; i++) {
    const before = store.stats().counters.syncs
    store.put(i, 'sync')
    assert.equal(store.stats().counters.syncs - before, 1)
  }
  const before = store.stats().counters.syncs
  for (let i = 0; i < 10; i++) puts.push(store.putAsync(`a${i}`, i))
  store.put('joins', true)
  assert.equal(store.stats().counters.syncs - before, 1)
  await Promise.all(puts)
  assert.equal(store.stats().counters.syncs - before, 1)
  assert.equal(store.get('a9'), 9)
})

test('until it is durable, an asynchronous put is seen by transactions and not by plain reads', async () => {
  const { store, memory } = steppedStore()
  store.put('a', 1)
  const put = store.putAsync('a', 2)
  const removed = store.deleteAsync('nothing')
  assert.equal(store.get('a'), 1)
  assert.equal([...store.range()].length, 1)
  const seen = (): unknown => {
    let value: unknown
    assert.throws(() => {
      store.transaction(() => {
        value = store.get('a')
        throw new RangeError('taken back')
      })
    }, RangeError)
    return value
  }
  assert.equal(seen(), 2)
  await turn()
  assert.ok(memory.barrierUnderWay)
  assert.equal(store.get('a'), 1)
  assert.equal(seen(), 2)
  assert.equal(await isSettled(put), false)
  memory.endBarrier()
  assert.equal(store.get('a'), 2)
  await put
  assert.equal(await removed, false)
  store.close()
})

test('what is put while a group is in flight belongs to the next group, and the order is that of the calls', async () => {
  const { store, memory } = steppedStore()
  const order: string[] = []
  const note = (name: string) => (): void => {
    order.push(name)
  }
  const first = [store.putAsync('k', 1).then(note('put 1')), store.deleteAsync('k').then(note('delete'))]
  first.push(store.putAsync('k', 2).then(note('put 2')))
  await turn()
  const second = store.putAsync('k', 3).then(note('put 3'))
  memory.endBarrier()
  await Promise.all(first)
  assert.equal(store.get('k'), 2)
  assert.deepEqual(order, ['put 1', 'delete', 'put 2'])
  await turn()
  memory.endBarrier()
  await second
  assert.equal(store.get('k'), 3)
  store.close()
})

test('a synchronous put waits for the group in flight and takes the collected one with it', async () => {
  const { store, memory } = steppedStore()
  const first = store.putAsync('a', 1)
  await turn()
  const second = store.putAsync('b', 2)
  const syncs = memory.counters.syncs
  store.put('c', 3)
  assert.equal(memory.counters.syncs - syncs, 1)
  assert.equal(memory.barrierUnderWay, false)
  assert.deepEqual(
    [...store.range()],
    [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ],
  )
  await first
  await second
  store.close()
})

test('an operation that cannot be done rejects alone', async () => {
  const { store, memory } = steppedStore()
  const good = store.putAsync('good', { name: 'x', other: 1 })
  await assert.rejects(store.putAsync('x'.repeat(5000), 1), { code: 'KEY_TOO_LONG' })
  await assert.rejects(store.putAsync('u', undefined), { code: 'INVALID_ARGUMENT' })
  await assert.rejects(
    store.putAsync('f', () => 1),
    { code: 'INVALID_ARGUMENT' },
  )
  await assert.rejects(
    store.batchAsync([
      { type: 'put', key: 'half', value: 1 },
      { type: 'put', key: 'x'.repeat(5000), value: 1 },
    ]),
    { code: 'KEY_TOO_LONG' },
  )
  const broken = {
    *[Symbol.iterator](): Generator<never> {
      throw new RangeError('of the caller')
    },
  }
  await assert.rejects(store.batchAsync(broken), RangeError)
  const alsoGood = store.batchAsync([
    { type: 'put', key: 'b1', value: { name: 'y', other: 2 } },
    { type: 'del', key: 'good' },
  ])
  await turn()
  memory.endBarrier()
  await good
  await alsoGood
  assert.deepEqual([...store.range()], [['b1', { name: 'y', other: 2 }]])
  store.close()
  await assert.rejects(store.putAsync('late', 1), { code: 'CLOSED' })
})

test('inside a transaction an asynchronous write is refused', async (t) => {
  const store = fileStore(t)
  let promise: Promise<void> | undefined
  store.transaction(() => {
    promise = store.putAsync('a', 1)
    store.put('b', 2)
  })
  assert.ok(promise !== undefined)
  await assert.rejects(promise, { code: 'BUSY' })
  assert.deepEqual([...store.keys()], ['b'])
})

test('an aborted transaction takes back its own part only', async () => {
  const { store, memory } = steppedStore()
  const put = store.putAsync('a', { first: 1 })
  assert.throws(() => {
    store.transaction(() => {
      store.put('a', { second: 2 })
      store.put('b', { third: 3 })
      throw new RangeError('no')
    })
  }, RangeError)
  const other = store.putAsync('c', { third: 4 })
  await turn()
  memory.endBarrier()
  await Promise.all([put, other])
  assert.deepEqual(
    [...store.range()],
    [
      ['a', { first: 1 }],
      ['c', { third: 4 }],
    ],
  )
  assert.deepEqual(store.check().problems, [])
  store.close()
})

test('closing makes what is pending durable and resolves it', async () => {
  const { store, memory } = steppedStore()
  const first = store.putAsync('a', 1)
  await turn()
  const second = store.putAsync('b', Buffer.alloc(20_000, 3))
  store.close()
  await Promise.all([first, second])
  const again = storeOn(
    Engine.open('again', {
      memory: new KeptMemory({
        sizeBytes: memory.image().length,
        segmentShift: 12,
        granularity: 'page',
        image: memory.image(),
      }),
    }),
  )
  assert.equal(again.stats().recovery.outcome, 'clean')
  assert.equal(again.get('a'), 1)
  assert.equal((again.get('b') as Buffer).length, 20_000)
  again.close()
})

test('iterators opened before a group is applied go on correctly after it', async () => {
  const { store, memory } = steppedStore()
  for (let i = 0; i < 300; i += 2) store.put(i, `old ${i}`)
  const rows = store.range()
  const seen: unknown[] = []
  for (let i = 0; i < 20; i++) seen.push(keyOf(rows.next()))
  const puts = Array.from({ length: 300 }, (_, i) => store.putAsync(i, `new ${i}`))
  for (let i = 0; i < 20; i++) seen.push(keyOf(rows.next()))
  await turn()
  for (let i = 0; i < 20; i++) seen.push(keyOf(rows.next()))
  memory.endBarrier()
  await Promise.all(puts)
  assert.deepEqual(
    seen,
    Array.from({ length: 60 }, (_, i) => i * 2),
  )
  assert.deepEqual(
    [...rows].map(([key, value]) => `${String(key)} ${String(value)}`),
    Array.from({ length: 181 }, (_, i) => `${i + 119} new ${i + 119}`),
  )
  store.close()
})

test('an msync that fails rejects the whole group and what is collected, and poisons the store', async () => {
  const { store, memory } = steppedStore()
  store.put('before', 1)
  const group = [store.putAsync('a', 1), store.deleteAsync('before')]
  await turn()
  const collected = store.putAsync('b', 1)
  memory.failAfterEvents(0)
  memory.endBarrier()
  for (const promise of [...group, collected]) await assert.rejects(promise, { code: 'PERSIST_FAILED' })
  assert.throws(() => store.get('before'), { code: 'POISONED' })
  await assert.rejects(store.putAsync('c', 1), { code: 'POISONED' })
  assert.throws(
    () => {
      store.put('c', 1)
    },
    { code: 'POISONED' },
  )
  store.close()
  const { store: again } = steppedStore(memory.image())
  // The record had been written: it may be there or not. Nothing else is.
  assert.ok(again.get('a') === 1 ? again.get('before') === undefined : again.get('before') === 1)
  assert.equal(again.get('b'), undefined)
  again.close()
})

test('a synchronous put that meets a failed group is refused as well', async () => {
  const { store, memory } = steppedStore()
  const put = store.putAsync('a', 1)
  await turn()
  memory.failAfterEvents(0)
  assert.throws(
    () => {
      store.put('b', 1)
    },
    { code: 'PERSIST_FAILED' },
  )
  await assert.rejects(put, { code: 'PERSIST_FAILED' })
  assert.throws(() => store.get('a'), { code: 'POISONED' })
  store.close()
})

const noMsync = { skip: EXECUTOR === 'portable' && 'every commit of the portable executor needs an msync' }

for (const logging of ['undo', 'redo'] as const) {
  test(`where a commit needs no msync, asynchronous writes are committed at once (${logging})`, noMsync, async (t) => {
    const store = memoryStore(t, { logging })
    if (store.persistence.granularity === 'page' && logging === 'redo') {
      t.skip('the executor these tests run on waits for a disk')
      return
    }
    const put = store.putAsync('a', 1)
    assert.equal(store.get('a'), 1)
    const removed = store.deleteAsync('a')
    assert.equal(store.has('a'), false)
    const batch = store.batchAsync([{ type: 'put', key: 'b', value: 2 }])
    assert.equal(store.get('b'), 2)
    await put
    assert.equal(await removed, true)
    await batch
    await assert.rejects(store.putAsync('u', undefined), { code: 'INVALID_ARGUMENT' })
  })
}

test('large values, growth and groups longer than the ring are committed whole', async (t) => {
  const path = poolPath(t)
  const options: StoreOptions = {
    ...PAGE,
    initialSizeBytes: 1024 * 1024,
    logSizeBytes: 128 * 1024,
    growthStepBytes: 256 * 1024,
  }
  const store = open<string, Buffer>(path, { ...options, keyEncoding: 'utf8', valueEncoding: 'binary' })
  const expected = new Map<string, number>()
  const puts: Promise<void>[] = []
  for (let i = 0; i < 400; i++) {
    const size = i % 40 === 0 ? 150_000 : i % 7 === 0 ? 9000 : 300
    const key = `key ${(i * 37) % 200}`
    expected.set(key, size)
    puts.push(store.putAsync(key, Buffer.alloc(size, i)))
    if (i % 100 === 0) await turn()
  }
  await Promise.all(puts)
  const found = (from: typeof store): Map<string, number> =>
    new Map([...from.range()].map(([key, value]) => [key, value.length]))
  const sorted = new Map([...expected].sort(([a], [b]) => (a < b ? -1 : 1)))
  assert.deepEqual(found(store), sorted)
  assert.deepEqual(store.check().problems, [])
  store.close()
  const again = open<string, Buffer>(path, { ...options, keyEncoding: 'utf8', valueEncoding: 'binary' })
  assert.deepEqual(found(again), sorted)
  again.close()
})

test('errors are of the family', async (t) => {
  const store = fileStore(t)
  const error: unknown = await store.putAsync(NaN, 1).then(undefined, (reason: unknown) => reason)
  assert.ok(error instanceof DaxkvError)
})

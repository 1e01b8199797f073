/** Groups and relaxed commits where something else comes in between: failures, growth, aborts, a full log. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storeOn } from '../../src/api/open.js'
import type { StoreHandle } from '../../src/api/store.js'
import type { AnyKey, AsyncTransaction, Keyspace } from '../../src/index.js'
import { Engine, type EngineOptions } from '../../src/tx/engine.js'
import { KeptMemory } from './support.js'

const KIB = 1024

/** A store whose barriers end when the test says so. */
function steppedStore(image?: Uint8Array, options: EngineOptions = {}): { store: StoreHandle; memory: KeptMemory } {
  const memory = new KeptMemory({
    sizeBytes: image?.length ?? options.initialSizeBytes ?? 1024 * KIB,
    segmentShift: 12,
    granularity: 'page',
    record: true,
    ...(image === undefined ? {} : { image }),
  })
  memory.barriersEnd = 'on demand'
  return { store: storeOn(Engine.open('stepped', { memory, logSizeBytes: 256 * KIB, ...options })), memory }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Lets barriers end, turn by turn, and answers whether the promise was settled within some turns. */
async function settlesBy(memory: KeptMemory, promise: Promise<unknown>): Promise<boolean> {
  const state = { settled: false }
  const done = (): void => {
    state.settled = true
  }
  promise.then(done, done)
  for (let i = 0; i < 10 && !state.settled; i++) {
    await turn()
    memory.endBarrier()
    await turn()
  }
  return state.settled
}

test('what was collected is committed although an operation that failed has waited for the barrier', async () => {
  const { store, memory } = steppedStore(undefined, { maxSizeBytes: 1024 * KIB })
  const first = store.putAsync('a', 1)
  await turn()
  assert.ok(memory.barrierUnderWay)
  const collected = store.putAsync('b', 2)
  // Growth waits for the barrier before it finds that there is no room.
  await assert.rejects(store.putAsync('large', Buffer.alloc(2048 * KIB)), { code: 'NO_SPACE' })
  await first
  assert.equal(await settlesBy(memory, collected), true)
  assert.equal(store.get('b'), 2)
  store.close()
})

test('what was collected is committed although an aborted transaction has waited for the barrier', async () => {
  const { store, memory } = steppedStore()
  const first = store.putAsync('a', 1)
  await turn()
  const collected = store.flush()
  assert.throws(() => {
    store.transaction(() => {
      store.put('large', Buffer.alloc(2048 * KIB))
      throw new RangeError('no')
    })
  }, RangeError)
  await first
  assert.equal(await settlesBy(memory, collected), true)
  store.close()
})

test('growth into a full ring while the data of a checkpoint is synced', async () => {
  let filled = 0
  for (let entries = 1; entries <= 40; entries++) {
    const { store, memory } = steppedStore(undefined, { logSizeBytes: 48 * KIB, initialSizeBytes: 512 * KIB })
    for (let i = 0; i < 2; i++) store.put(i, 'sync')
    store.transaction(
      () => {
        for (let i = 0; i < entries; i++) store.put(100 + i, 'r'.repeat(1000))
      },
      { durability: 'relaxed' },
    )
    if (memory.barrierUnderWay) filled++
    store.put('large', Buffer.alloc(2048 * KIB))
    store.put('after', 1)
    const later = store.putAsync('later', 2)
    assert.equal(await settlesBy(memory, later), true)
    await later
    assert.equal(store.get('later'), 2)
    assert.deepEqual(store.check().problems, [])
    store.close()
  }
  assert.ok(filled > 0)
})

test('an asynchronous transaction does not read what an open transaction may still take back', async () => {
  const { store } = steppedStore()
  store.put('a', 1)
  store.put('b', 1)
  await assert.rejects(
    store.transactionAsync((tx: AsyncTransaction<AnyKey, unknown>) => {
      let read: unknown
      try {
        store.transaction(() => {
          store.put('a', 2)
          read = tx.get('a')
          throw new RangeError('no')
        })
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
      }
      tx.put('b', read)
    }),
    { code: 'BUSY' },
  )
  assert.equal(store.get('b'), 1)
  store.close()
})

test('an asynchronous transaction that wrote nothing resolves when what it has read is durable', async () => {
  const { store, memory } = steppedStore()
  const put = store.putAsync('a', 1)
  const absent = store.transactionAsync((tx) => tx.putIfAbsent('a', 2))
  let resolved = false
  void absent.then(() => {
    resolved = true
  })
  await turn()
  await turn()
  assert.equal(resolved, false)
  assert.equal(await settlesBy(memory, absent), true)
  assert.equal(await absent, false)
  await put
  store.close()
})

test('msgpack structures of operations that had to be forgotten are saved again', async () => {
  const size = 1024 * KIB
  const { store, memory } = steppedStore(undefined, {
    logSizeBytes: 48 * KIB,
    initialSizeBytes: size,
    maxSizeBytes: size,
  })
  for (let i = 0; i < 200; i++) store.put(i, 'o'.repeat(1000))
  // No room is left for the overflow of an undo record, and a little for small values.
  let fillers = 0
  assert.throws(() => {
    for (; ; fillers++) store.put(`f${fillers}`, Buffer.alloc(8 * KIB))
  })
  store.delete('f0')
  const first = store.putAsync('s1', { alpha: 1, beta: 1 })
  await assert.rejects(store.putAsync('x'.repeat(5000), 1), { code: 'KEY_TOO_LONG' })
  const second = store.putAsync('s2', { alpha: 2, beta: 2 })
  const ends = Promise.allSettled([first, second])
  assert.throws(
    () => {
      store.transaction(() => {
        for (let i = 0; i < 200; i++) store.put(i, 'n'.repeat(1000))
      })
    },
    { code: 'NO_SPACE' },
  )
  assert.deepEqual(
    (await ends).map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  assert.equal(store.get('s1'), undefined)
  store.put('s3', { alpha: 3, beta: 3 })
  store.close()
  const { store: again } = steppedStore(memory.image(), { maxSizeBytes: size })
  assert.deepEqual(again.get('s3'), { alpha: 3, beta: 3 })
  again.close()
})

test('a large value is not put in place where a record that outlives the checkpoint would be replayed', async () => {
  const { store, memory } = steppedStore()
  // 64 pages of log, half of them used when the relaxed commit comes: the checkpoint begins before that is applied.
  const isIdle = (): boolean => !memory.barrierUnderWay && !memory.dataSyncUnderWay
  while (isIdle()) store.put('value', Buffer.alloc(3 * KIB, 1))
  store.flushSync()
  for (let i = 0; i < 29; i++) store.put('small', i)
  while (isIdle()) store.put('relaxed', Buffer.alloc(9 * KIB, 2), { durability: 'relaxed' })
  const { checkpoints } = store.stats()
  for (let i = 0; i < 10 && store.stats().checkpoints === checkpoints; i++) {
    memory.endDataSync()
    memory.endBarrier()
    await turn()
  }
  assert.equal(store.stats().checkpoints, checkpoints + 1)
  store.delete('relaxed')
  const large = Buffer.alloc(120 * KIB, 3)
  store.put('large', large)
  const { store: again } = steppedStore(memory.image())
  assert.equal(again.stats().recovery.outcome, 'replayed')
  assert.ok(large.equals(again.get('large') as Buffer), 'the value was overwritten by the replay')
  assert.deepEqual(again.check().problems, [])
  again.close()
  store.close()
})

test('relaxed commits written while a barrier is under way become durable right after it when their interval is over', async (t) => {
  const { store, memory } = steppedStore(undefined, { relaxedIntervalMs: 60_000 })
  let now = 1000
  t.mock.method(performance, 'now', () => now)
  const put = store.putAsync('a', 1)
  await turn()
  store.put('b', 2, { durability: 'relaxed' })
  now += 61_000
  memory.endBarrier()
  await put
  await turn()
  assert.equal(memory.barrierUnderWay, true)
  memory.endBarrier()
  store.close()
})

test('a failed operation does not undo what an operation before it has done beside the pages', async () => {
  const { store, memory } = steppedStore()
  let two: Keyspace<AnyKey, unknown> | undefined
  const operations = {
    *[Symbol.iterator](): Generator<{ type: 'put'; key: string; value: number }> {
      two = store.keyspace('two')
      two.put('b', 2)
      yield { type: 'put', key: 'k', value: 1 }
    },
  }
  const batch = store.batchAsync(operations)
  await assert.rejects(store.putAsync('x'.repeat(5000), 1), { code: 'KEY_TOO_LONG' })
  assert.equal(await settlesBy(memory, batch), true)
  await batch
  assert.equal(two?.get('b'), 2)
  assert.equal(store.get('k'), 1)
  store.close()
})

test('a relaxed deletion that found nothing is not followed by a read that finds it', async () => {
  const { store, memory } = steppedStore()
  store.put('a', 1)
  const removed = store.deleteAsync('a')
  await turn()
  assert.equal(store.delete('a', { durability: 'relaxed' }), false)
  assert.equal(store.get('a'), undefined)
  memory.endBarrier()
  assert.equal(await removed, true)
  store.close()
})

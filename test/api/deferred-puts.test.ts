/** Asynchronous puts are staged later, together and in another order: nobody may be able to tell. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storeOn } from '../../src/api/open.js'
import type { StoreHandle } from '../../src/api/store.js'
import { DaxkvError } from '../../src/index.js'
import { Engine, type EngineOptions } from '../../src/tx/engine.js'
import { KeptMemory } from './support.js'

function makeStore(
  options: EngineOptions = {},
  sizeBytes = 1024 * 1024,
): { store: StoreHandle; engine: Engine; memory: KeptMemory } {
  const memory = new KeptMemory({ sizeBytes, segmentShift: 12, granularity: 'page', record: true })
  const engine = Engine.open('deferred', { memory, logSizeBytes: 256 * 1024, ...options })
  return { store: storeOn(engine), engine, memory }
}

/** The content as a transaction sees it. */
function tip(store: StoreHandle): Map<unknown, unknown> {
  return store.transaction(() => new Map(store.range()))
}

/** A sequence of numbers that looks random and is the same each time. */
function numbers(seed: number): () => number {
  let state = seed
  return () => (state = (Math.imul(state, 1103515245) + 12345) & 0x7fff_ffff) >>> 8
}

test('puts of one group in any order, several to a key, some to another keyspace', async () => {
  for (const prefix of ['', 'k', 'every key begins like this: ']) {
    const { store } = makeStore()
    const other = store.keyspace('other')
    const next = numbers(7)
    const expected = new Map<unknown, unknown>()
    const expectedOther = new Map<unknown, unknown>()
    for (let round = 0; round < 5; round++) {
      const puts: Promise<unknown>[] = []
      for (let i = 0; i < 400; i++) {
        // Keys of different lengths, also such as are the beginning of others.
        const key = prefix + String(next() % 700)
        const value = { round, i, text: 'x'.repeat(next() % 40) }
        const [target, content] = i % 5 === 0 ? [other, expectedOther] : [store, expected]
        puts.push(target.putAsync(key, value))
        content.set(key, value)
        if (i % 97 === 0) {
          puts.push(store.deleteAsync(key))
          expected.delete(key)
        }
      }
      await Promise.all(puts)
    }
    const sorted = (map: Map<unknown, unknown>): [unknown, unknown][] =>
      [...map].sort(([a], [b]) => ((a as string) < (b as string) ? -1 : 1))
    assert.deepEqual([...store.range()], sorted(expected))
    assert.deepEqual([...other.range()], sorted(expectedOther))
    assert.deepEqual(store.check().problems, [])
    store.close()
  }
})

test('the last put of a key wins, whichever of them are staged by themselves', async () => {
  const { store } = makeStore()
  const large = Buffer.alloc(5000, 1)
  const puts = [
    store.putAsync('a', 1),
    store.putAsync('a', large),
    store.putAsync('a', 2),
    store.putAsync('b', 1),
    store.batchAsync([{ type: 'put', key: 'b', value: 2 }]),
    store.putAsync('c', 1),
    store.putAsync('c', large),
    store.putAsync('d', 1),
    store.deleteAsync('d'),
    store.putAsync('e', 1),
    store.transactionAsync((tx) => {
      assert.equal(tx.get('e'), 1)
      tx.put('e', 2)
      return Promise.resolve()
    }),
    store.putAsync('f', 1),
  ]
  store.put('f', 2)
  await Promise.all(puts)
  assert.deepEqual(
    [...store.range()],
    [
      ['a', 2],
      ['b', 2],
      ['c', large],
      ['e', 2],
      ['f', 2],
    ],
  )
})

test('transactions see what is deferred, plain reads do not', async () => {
  const { store } = makeStore()
  store.put('key', 'old')
  const put = store.putAsync('key', 'new')
  assert.equal(store.get('key'), 'old')
  assert.equal(store.count(), 1)
  assert.equal(
    store.transaction(() => store.get('key')),
    'new',
  )
  const second = store.putAsync('another', 1)
  assert.equal(tip(store).size, 2)
  await Promise.all([put, second])
  assert.equal(store.get('key'), 'new')
})

test('an asynchronous transaction conflicts with a put deferred after its read', async () => {
  const { store } = makeStore()
  store.put('key', 1)
  let runs = 0
  const transaction = store.transactionAsync(async (tx) => {
    runs++
    const value = tx.get('key') as number
    await Promise.resolve()
    if (runs === 1) void store.putAsync('key', 10)
    tx.put('key', value + 1)
  })
  await transaction
  assert.equal(runs, 2)
  assert.equal(store.get('key'), 11)
})

test('flush and close wait for what is deferred', async () => {
  const { store, memory } = makeStore()
  const first = store.putAsync('first', 1)
  store.flushSync()
  assert.equal(store.get('first'), 1)
  const second = store.putAsync('second', 2)
  await store.flush()
  assert.equal(store.get('second'), 2)
  const third = store.putAsync('third', 3)
  store.close()
  await Promise.all([first, second, third])
  const again = storeOn(
    Engine.open('again', {
      memory: new KeptMemory({
        sizeBytes: memory.sizeBytes,
        segmentShift: 12,
        granularity: 'page',
        image: memory.image(),
      }),
    }),
  )
  assert.deepEqual([...again.keys()], ['first', 'second', 'third'])
})

test('where pages run out puts are refused one by one, and what was taken before is committed', async () => {
  const { store } = makeStore({ maxSizeBytes: 512 * 1024, growthStepBytes: 16 * 1024 }, 384 * 1024)
  const next = numbers(3)
  const outcomes = new Map<number, boolean>()
  const puts: Promise<void>[] = []
  for (let i = 0; i < 600; i++) {
    const key = next()
    const settled = store.putAsync(key, 'x'.repeat(900)).then(
      () => outcomes.set(key, true),
      (error: unknown) => {
        assert.ok(error instanceof DaxkvError)
        assert.equal(error.code, 'NO_SPACE')
        outcomes.set(key, false)
      },
    )
    puts.push(settled.then(() => undefined))
    if (i % 50 === 0) await settled
  }
  await Promise.all(puts)
  const kept = [...outcomes].filter(([, done]) => done).map(([key]) => key)
  assert.ok(kept.length > 40, `${String(kept.length)} puts found room`)
  assert.ok(kept.length < outcomes.size)
  assert.deepEqual(
    [...store.keys()],
    kept.sort((a, b) => a - b),
  )
  assert.deepEqual(store.check().problems, [])
})

test('damage met while staging rejects what was deferred and nothing else', async () => {
  const { store, engine } = makeStore()
  store.put('before', 1)
  const staged = store.batchAsync([{ type: 'put', key: 'staged', value: 1 }])
  const puts = ['x', 'y', 'z'].map((key) => store.putAsync(key, 1))
  const { space } = engine
  const stage = space.stage.bind(space)
  let left = 2
  space.stage = (pageId) => {
    if (left-- === 0) throw new DaxkvError('CORRUPT', 'a page is damaged')
    stage(pageId)
  }
  assert.deepEqual([...tip(store).keys()], ['before', 'staged'])
  space.stage = stage
  for (const put of puts) await assert.rejects(put, { code: 'CORRUPT', path: 'deferred' })
  await staged
  await store.putAsync('after', 1)
  assert.deepEqual([...store.keys()], ['after', 'before', 'staged'])
  assert.deepEqual(store.check().problems, [])
})

test('what cannot be put is refused at once, and alone', async () => {
  const { store } = makeStore()
  const good = store.putAsync('good', 1)
  await assert.rejects(store.putAsync('x'.repeat(3000), 1), { code: 'KEY_TOO_LONG' })
  await assert.rejects(store.putAsync(Symbol('no key') as unknown as string, 1), { code: 'INVALID_ARGUMENT' })
  const throws = {
    get field(): number {
      throw new RangeError('of the caller')
    },
  }
  await assert.rejects(store.putAsync('throws', throws), /of the caller/)
  await good
  await store.putAsync('more', 2)
  assert.deepEqual([...store.keys()], ['good', 'more'])
})

test('more than a batch holds, in entries and in bytes', async () => {
  const { store } = makeStore({}, 8 * 1024 * 1024)
  const next = numbers(5)
  const expected = new Map<number, string>()
  for (const length of [1, 1500]) {
    const puts: Promise<void>[] = []
    for (let i = 0; i < 1500; i++) {
      const key = next()
      const value = `${String(i)} ${'x'.repeat(length)}`
      puts.push(store.putAsync(key, value))
      expected.set(key, value)
    }
    await Promise.all(puts)
  }
  assert.equal(store.count(), expected.size)
  for (const [key, value] of expected) assert.equal(store.get(key), value)
  assert.deepEqual(store.check().problems, [])
})

test('a failed msync rejects what is deferred, too', async () => {
  const { store, memory } = makeStore()
  memory.barriersEnd = 'on demand'
  const inFlight = store.putAsync('in flight', 1)
  await new Promise((resolve) => setImmediate(resolve))
  const deferred = store.putAsync('deferred', 2)
  memory.failAfterEvents(0)
  memory.endBarrier()
  await assert.rejects(inFlight, { code: 'PERSIST_FAILED' })
  await assert.rejects(deferred, { code: 'PERSIST_FAILED' })
  await assert.rejects(store.putAsync('later', 3), { code: 'POISONED' })
  store.close()
})

/** Entries in many leaves. */
function filled(options: EngineOptions = {}, length = 100): ReturnType<typeof makeStore> {
  const made = makeStore(options, 8 * 1024 * 1024)
  const { store, memory } = made
  memory.barriersEnd = 'on demand'
  for (let from = 0; from < 3000; from += 300) {
    store.transaction(() => {
      for (let key = from; key < from + 300; key++) store.put(key, 'x'.repeat(length))
    })
  }
  made.engine.checkpoint()
  return made
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a barrier that fails while a full group waits for it is not taken for one that has ended', async () => {
  for (const call of ['flushSync', 'checkpoint', 'close'] as const) {
    const { store, engine, memory } = filled()
    const inFlight = store.putAsync(1, 'in flight')
    await turn()
    assert.equal(memory.barrierUnderWay, true)
    memory.failAfterEvents(0)
    const puts = Array.from({ length: 250 }, (_, i) => store.putAsync(i * 12, 'later'))
    const { syncs } = memory.counters
    const wait = (): void => {
      if (call === 'checkpoint') engine.checkpoint()
      else store[call]()
    }
    if (call === 'close') assert.doesNotThrow(wait)
    else assert.throws(wait, (error: DaxkvError) => error.code === 'POISONED' || error.code === 'PERSIST_FAILED')
    assert.equal(memory.counters.syncs, syncs)
    await assert.rejects(inFlight, { code: 'PERSIST_FAILED' })
    for (const put of puts) await assert.rejects(put)
    store.close()
  }
})

test('a put whose batch poisons the store is rejected', async () => {
  const { store, memory } = filled()
  const inFlight = store.putAsync(1, 'in flight')
  await turn()
  memory.failAfterEvents(0)
  const puts = Array.from({ length: 1100 }, (_, i) => store.putAsync((i * 7) % 3000, 'later'))
  for (const put of [inFlight, ...puts]) await assert.rejects(put)
  store.close()
})

test('a refused asynchronous put does not let others write', async () => {
  const { store } = makeStore()
  store.put('key', 'value')
  const bytes = store.keyspace('bytes', { valueEncoding: 'binary' })
  bytes.put('key', Buffer.from('abc'))
  let refused: Promise<void> | undefined
  bytes.withView('key', () => {
    refused = store.putAsync('other', 1)
    assert.throws(
      () => {
        store.put('other', 1)
      },
      { code: 'BUSY' },
    )
  })
  await assert.rejects(refused ?? Promise.resolve(), { code: 'BUSY' })
  assert.equal(store.get('other'), undefined)
})

test('plain reads stage nothing, whatever they decode', async () => {
  const { store, engine } = makeStore()
  store.put(1, { a: 1 })
  const puts = [2, 3, 4].map((key) => store.putAsync(key, { b: key }))
  const throws = {
    get field(): number {
      throw new RangeError('of the caller')
    },
  }
  // The codec learns that it may not know all structures, and loads them at the next read.
  await assert.rejects(store.putAsync('throws', throws), /of the caller/)
  puts.push(store.putAsync(5, { b: 5 }))
  const pending = engine.deferred?.count ?? 0
  assert.ok(pending > 0)
  assert.deepEqual(store.get(1), { a: 1 })
  assert.deepEqual([...store.values()], [{ a: 1 }])
  assert.equal(engine.deferred?.count, pending)
  await Promise.all(puts)
  assert.equal(store.count(), 5)
})

test('an asynchronous transaction that reads under a view stages nothing, and conflicts with what it has missed', async () => {
  const { store, engine } = makeStore()
  const bytes = store.keyspace('bytes', { valueEncoding: 'binary' })
  bytes.put('view', Buffer.from('abc'))
  store.put('key', 1)
  const seen: unknown[] = []
  await store.transactionAsync((tx) => {
    if (seen.length === 0) {
      void store.putAsync('key', 10)
      bytes.withView('view', () => {
        seen.push(tx.get('key'))
        assert.equal(engine.deferred?.count, 1)
      })
    } else seen.push(tx.get('key'))
    tx.put('key', (seen.at(-1) as number) + 1)
    return Promise.resolve()
  })
  assert.deepEqual(seen, [1, 10])
  assert.equal(store.get('key'), 11)
})

test('a batch stages no more than its transaction may', async () => {
  const { store, memory } = filled({ stagingLimitBytes: 1024 * 1024 }, 500)
  memory.barriersEnd = 'soon'
  const puts = Array.from({ length: 1000 }, (_, i) => store.putAsync((i * 3) % 3000, 'scattered'))
  await Promise.all(puts)
  assert.equal(store.get(3), 'scattered')
})

test('while a relaxed commit is not durable, plain reads see asynchronous puts at once', async () => {
  const { store } = makeStore()
  store.put('a', 1, { durability: 'relaxed' })
  const put = store.putAsync('b', 2)
  assert.equal(store.get('b'), 2)
  await put
})

test('a batch that fails does not fail a flush', async () => {
  const { store, engine } = makeStore()
  store.put('before', 1)
  const put = store.putAsync('x', 1)
  const { space } = engine
  const stage = space.stage.bind(space)
  space.stage = () => {
    throw new DaxkvError('CORRUPT', 'a page is damaged')
  }
  const flushed = store.flush()
  space.stage = stage
  await assert.rejects(put, { code: 'CORRUPT' })
  await flushed
})

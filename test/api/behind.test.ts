/** The pool may stay behind what is durable while nobody reads it: nobody may be able to tell. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storeOn } from '../../src/api/open.js'
import type { StoreHandle } from '../../src/api/store.js'
import { DaxkvError } from '../../src/index.js'
import { EVENT_STORE } from '../../src/pmem/event-log.js'
import { Engine, type EngineOptions } from '../../src/tx/engine.js'
import { KeptMemory, throwsCode } from './support.js'

interface Behind {
  readonly store: StoreHandle
  readonly engine: Engine
  readonly memory: KeptMemory
}

function makeStore(image?: Uint8Array, options: EngineOptions = {}): Behind {
  const memory = new KeptMemory({
    sizeBytes: image?.length ?? options.initialSizeBytes ?? 1024 * 1024,
    segmentShift: 12,
    granularity: 'page',
    record: true,
    ...(image === undefined ? {} : { image }),
  })
  memory.barriersEnd = 'on demand'
  const engine = Engine.open('behind', { memory, logSizeBytes: 256 * 1024, ...options })
  return { store: storeOn(engine), engine, memory }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Writes a group and waits until it is acknowledged; the pool is behind when this resolves. */
async function acknowledged({ engine, memory }: Behind, writes: readonly Promise<unknown>[]): Promise<void> {
  const settled = { all: false }
  const all = Promise.all(writes).then(() => {
    settled.all = true
  })
  for (let i = 0; !settled.all && i < 10; i++) {
    await turn()
    memory.endBarrier()
    // The promises of promises; no turn of the event loop, in which there would be time to apply.
    for (let j = 0; j < 5; j++) await Promise.resolve()
  }
  await all
  assert.equal(engine.space.behind, true)
}

/** A store whose keys 0 to 9 hold the number of the last of so many groups, none of which is in its place. */
async function storeBehind(groups: number, options: EngineOptions = {}): Promise<Behind> {
  const behind = makeStore(undefined, options)
  const { store } = behind
  for (let key = 0; key < 10; key++) store.put(key, 0)
  for (let group = 1; group <= groups; group++) {
    await acknowledged(
      behind,
      Array.from({ length: 10 }, (_, key) => store.putAsync(key, group)),
    )
  }
  return behind
}

const READS: readonly [string, (store: StoreHandle) => unknown, unknown][] = [
  ['get', (store) => store.get(3), 3],
  ['getMany', (store) => store.getMany([1, 2]), [3, 3]],
  ['has', (store) => store.has('new'), true],
  ['getBinary', (store) => store.getBinary(3), Buffer.from([3])],
  ['withView', (store) => store.withView(3, (view) => [...view]), [3]],
  ['values', (store) => [...store.values({ limit: 2 })], [3, 3]],
  ['count', (store) => store.count(), 11],
  ['last', (store) => store.last()?.[0], 'new'],
  ['forEach', (store) => sumOf(store), 30],
  ['check', (store) => store.check().problems, []],
]

function sumOf(store: StoreHandle): number {
  let sum = 0
  store.forEach({ limit: 10 }, (_, value) => {
    sum += value as number
  })
  return sum
}

for (const [name, read, expected] of READS) {
  for (const verifyReads of [false, true]) {
    test(`${name} shows what is acknowledged${verifyReads ? ', with verified reads' : ''}`, async () => {
      const behind = await storeBehind(2, { verifyReads })
      const { store, engine } = behind
      await acknowledged(behind, [
        store.putAsync('new', 3),
        ...Array.from({ length: 10 }, (_, key) => store.putAsync(key, 3)),
      ])
      // On its way, and not to be seen.
      const next = store.putAsync(3, 4)
      assert.deepEqual(read(store), expected)
      assert.equal(engine.space.behind, false)
      store.flushSync()
      await next
      assert.equal(store.get(3), 4)
    })
  }
}

test('groups that nobody reads in between store each page once', async () => {
  const behind = await storeBehind(12)
  const { store, memory, engine } = behind
  const leaf = store.tree.rootPage
  const before = memory.trace().events.count
  assert.equal(store.get(0), 12)
  const { events } = memory.trace()
  const lines = new Map<number, number>()
  for (let event = before; event < events.count; event++) {
    if (events.kind(event) !== EVENT_STORE || events.pageId(event) !== leaf) continue
    const line = events.line(event)
    lines.set(line, (lines.get(line) ?? 0) + 1)
  }
  assert.ok(lines.size > 0)
  assert.deepEqual(new Set(lines.values()), new Set([1]))
  assert.equal(engine.space.behind, false)
})

test('what waits to be applied leaves most of the staging limit to transactions', async () => {
  const log = 1024 * 1024
  const behind = makeStore(undefined, { stagingLimitBytes: 1024 * 1024, logSizeBytes: log, initialSizeBytes: 4 * log })
  const { store, engine, memory } = behind
  // 256 frames may be staged, in chunks of 128.
  for (let key = 0; key < 4000; key++) store.put(key, 'x'.repeat(100), { durability: 'relaxed' })
  store.flushSync()
  let most = 0
  for (let group = 0; group < 40; group++) {
    const puts = Array.from({ length: 12 }, (_, i) => store.putAsync((group * 389 + i * 331) % 4000, group))
    await acknowledged(behind, puts)
    memory.endDataSync()
    most = Math.max(most, engine.space.frameCount)
  }
  store.transaction(() => {
    for (let key = 0; key < 4000; key += 40) store.put(key, 'transaction')
  })
  assert.ok(most > 40 && most < 128, String(most))
  assert.equal(store.get(40), 'transaction')
})

test('an event loop with nothing to do applies what is behind', async () => {
  const { store, engine } = await storeBehind(3)
  await turn()
  await turn()
  assert.equal(engine.space.behind, false)
  assert.equal(engine.space.frameCount, 0)
  assert.equal(store.get(0), 3)
})

test('a flush that has nothing to wait for leaves nothing behind', async () => {
  const { store, engine } = await storeBehind(2)
  await store.flush()
  await turn()
  await turn()
  assert.equal(engine.space.behind, false)
})

test('an iterator that was open before goes on with what is acknowledged', async () => {
  const behind = await storeBehind(1)
  const { store } = behind
  const rows = store.range()
  assert.deepEqual(rows.next().value, [0, 1])
  await acknowledged(behind, [store.putAsync(1, 'changed'), store.putAsync(1.5, 'between'), store.deleteAsync(2)])
  assert.deepEqual(rows.next().value, [1, 'changed'])
  assert.deepEqual(rows.next().value, [1.5, 'between'])
  assert.deepEqual(rows.next().value, [3, 1])
})

test('transactions stand on what is acknowledged, and synchronous commits end it', async () => {
  const { store, engine, memory } = await storeBehind(2)
  const before = memory.counters.syncs
  store.transaction(() => {
    assert.equal(store.get(1), 2)
    store.put(1, 'sync')
  })
  assert.equal(memory.counters.syncs - before, 1)
  assert.equal(engine.space.behind, false)
  assert.deepEqual(store.getMany([1, 2]), ['sync', 2])
})

test('an aborted transaction leaves the pool behind as it was', async () => {
  const { store, engine } = await storeBehind(2)
  assert.throws(() => {
    store.transaction(() => {
      store.put(1, 'aborted')
      throw new RangeError('abort')
    })
  }, RangeError)
  assert.equal(engine.space.behind, true)
  assert.deepEqual(store.getMany([1, 2]), [2, 2])
})

test('a kill while the pool is behind loses nothing that was acknowledged', async () => {
  const behind = await storeBehind(5)
  await acknowledged(behind, [behind.store.putAsync('large', 'x'.repeat(20_000))])
  const { store } = makeStore(behind.memory.image())
  assert.deepEqual(store.getMany([0, 9]), [5, 5])
  assert.equal((store.get('large') as string).length, 20_000)
  assert.deepEqual(store.check().problems, [])
})

test('values put at once do not lie where older records are still to be applied', async () => {
  const behind = makeStore()
  const { store } = behind
  const value = (seed: number): string => String.fromCharCode(97 + seed).repeat(5000)
  for (let round = 0; round < 12; round++) {
    // The log holds these values; what is freed may be taken again when they have been applied, not before.
    await acknowledged(
      behind,
      [0, 1, 2].map((key) => store.putAsync(key, value((round + key) % 26))),
    )
    await acknowledged(behind, [store.deleteAsync((round + 1) % 3)])
    const pending = store.putAsync('other', value((round + 7) % 26))
    // From the log, as something is staged.
    assert.equal(store.get(round % 3), value((round + (round % 3)) % 26))
    store.flushSync()
    await pending
    assert.equal(store.get('other'), value((round + 7) % 26))
  }
  assert.deepEqual(store.check().problems, [])
})

test('a read that cannot apply what is behind fails, and poisons the store', async () => {
  const { store, memory } = await storeBehind(2)
  memory.run = () => {
    throw new DaxkvError('PERSIST_FAILED', 'injected')
  }
  throwsCode(() => store.get(1), 'PERSIST_FAILED', /injected/)
  throwsCode(() => store.get(1), 'POISONED', /injected/)
  await assert.rejects(store.putAsync(1, 1), { code: 'POISONED' })
})

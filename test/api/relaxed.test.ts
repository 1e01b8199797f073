/** Relaxed commits: what they cost, what survives, and what makes them durable. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../crash-tests/src/random.js'
import { storeOn } from '../../src/api/open.js'
import type { StoreHandle } from '../../src/api/store.js'
import { open } from '../../src/index.js'
import { EVENT_SYNC_ALL } from '../../src/pmem/event-log.js'
import {
  LINE_BYTES,
  LINES_PER_PAGE,
  PAGE_BYTES,
  RECORD_MAGIC,
  RECORD_OFFSET_TOTAL_LINES,
  RECORD_OFFSET_TXID,
} from '../../src/pmem/program.js'
import { PAGE_LOG_START } from '../../src/pool/format.js'
import { Engine, type EngineOptions } from '../../src/tx/engine.js'
import { KeptMemory, poolPath } from './support.js'

const PAGE_OPTIONS: EngineOptions = { logSizeBytes: 256 * 1024, durability: 'relaxed', relaxedIntervalMs: 60_000 }

function relaxedStore(options: EngineOptions = {}, image?: Uint8Array): { store: StoreHandle; memory: KeptMemory } {
  const memory = new KeptMemory({
    sizeBytes: image?.length ?? 2 * 1024 * 1024,
    segmentShift: 12,
    granularity: 'page',
    record: true,
    ...(image === undefined ? {} : { image }),
  })
  memory.barriersEnd = 'on demand'
  return { store: storeOn(Engine.open('relaxed', { memory, ...PAGE_OPTIONS, ...options })), memory }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a relaxed put costs no msync, is read at once, and survives the end of the process', () => {
  const { store, memory } = relaxedStore()
  const before = { ...memory.counters }
  for (let i = 0; i < 20; i++) store.put(i % 7, `value ${i}`)
  store.transaction(() => {
    store.put('t', 1)
    store.delete(0)
  })
  assert.equal(memory.counters.syncs, before.syncs)
  assert.equal(memory.counters.fences, before.fences)
  const rows = [...store.range()]
  assert.equal(rows.length, 7)
  assert.equal(store.get(5), 'value 19')
  const { store: again } = relaxedStore({}, memory.image())
  assert.equal(again.stats().recovery.outcome, 'replayed')
  assert.deepEqual([...again.range()], rows)
  assert.deepEqual(again.check().problems, [])
  again.close()
  store.close()
})

/** Where records begin in the log of an image, in lines from its start, and how long they are; also old ones. */
function recordsIn(image: Uint8Array): { line: number; lines: number; txid: number }[] {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.length)
  const records = []
  for (let line = 0; line < (PAGE_OPTIONS.logSizeBytes ?? 0) / LINE_BYTES; line++) {
    const at = PAGE_LOG_START * PAGE_BYTES + line * LINE_BYTES
    if (bytes.readUInt32LE(at) !== RECORD_MAGIC) continue
    const lines = bytes.readUInt32LE(at + RECORD_OFFSET_TOTAL_LINES)
    records.push({ line, lines, txid: Number(bytes.readBigUInt64LE(at + RECORD_OFFSET_TXID)) })
  }
  return records
}

test('records that no barrier separates follow each other line by line; behind a barrier a page begins', () => {
  const { store, memory } = relaxedStore()
  store.flushSync()
  const before = recordsIn(memory.image()).length
  for (let i = 0; i < 12; i++) store.put(i, `value ${i}`)
  store.flushSync()
  for (let i = 0; i < 3; i++) store.put(i, 'again')
  // One that is waited for makes the relaxed ones durable, too.
  store.put('synced', 1, { durability: 'sync' })
  store.put('last', 1)
  const records = recordsIn(memory.image()).slice(before)
  assert.equal(records.length, 12 + 3 + 1 + 1)
  records.forEach(({ line }, index) => {
    if ([0, 12, 16].includes(index)) assert.equal(line % LINES_PER_PAGE, 0, `record ${index}`)
    if (index === 0) return
    const end = records[index - 1].line + records[index - 1].lines
    const sealed = [12, 16].includes(index)
    assert.equal(line, sealed ? Math.ceil(end / LINES_PER_PAGE) * LINES_PER_PAGE : end, `record ${index}`)
  })
  assert.ok(records[11].line > LINES_PER_PAGE, 'several pages in one stretch')
  const { store: again } = relaxedStore({}, memory.image())
  assert.equal(again.get('last'), 1)
  assert.deepEqual([...again.range()], [...store.range()])
  again.close()

  // Whatever the first record is that is not whole: those before it are there, and none behind it.
  for (const [index, { line, lines }] of records.entries()) {
    const image = Buffer.from(memory.image())
    image[PAGE_LOG_START * PAGE_BYTES + (line + lines) * LINE_BYTES - 1] ^= 1
    const { store: cut } = relaxedStore({}, image)
    assert.equal(cut.stats().recovery.txid, index === 0 ? records[0].txid - 1 : records[index - 1].txid)
    assert.deepEqual(cut.check().problems, [])
    cut.close()
  }
  store.close()
})

test('checksums hold when nested transactions have copied a page that waits to be applied', () => {
  const { store } = relaxedStore()
  const value = (letter: string): string => letter.repeat(100)
  for (let i = 0; i < 400; i++) store.put(i, value('a'))
  store.flushSync()
  // Three leaves with records that are not applied; the path of the last put leads to the first of them.
  for (const key of [390, 200, 10]) store.put(key, value('b'))
  store.transaction(() => {
    // Tries that leaf first, and leaves it as it is.
    store.put(390, value('c'))
    store.transaction(() => store.put(10, value('d')))
    store.transaction(() => store.put(390, value('e')))
  })
  store.flushSync()
  assert.deepEqual(store.check().problems, [])
  assert.equal(store.get(10), value('d'))
  store.close()
})

test('relaxed, asynchronous and nested transactions in any order keep content and checksums', async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = new Random(seed)
    const { store, memory } = relaxedStore({
      durability: random.below(3) === 0 ? 'sync' : 'relaxed',
      logSizeBytes: 256 * 1024 * (1 + random.below(3)),
    })
    memory.endBarrier()
    memory.barriersEnd = 'soon'
    let model = new Map<number, string>()
    const value = (): string => 'v'.repeat(random.below(30) === 0 ? 3000 + random.below(9000) : random.below(300))
    const edit = (target: Map<number, string>): void => {
      const key = random.below(600)
      if (random.below(5) === 0) {
        assert.equal(store.delete(key), target.delete(key))
        return
      }
      const written = value()
      store.put(key, written)
      target.set(key, written)
    }
    const nested = (from: Map<number, string>, depth: number): Map<number, string> => {
      let mine = new Map(from)
      try {
        store.transaction(() => {
          for (let steps = 1 + random.below(6); steps > 0; steps--) {
            if (depth < 4 && random.below(5) < 2) mine = nested(mine, depth + 1)
            else edit(mine)
          }
          if (random.below(4) === 0) throw new RangeError('taken back')
        })
        return mine
      } catch (error) {
        if (error instanceof RangeError) return from
        throw error
      }
    }
    const pending: Promise<void>[] = []
    for (let step = 0; step < 200; step++) {
      const choice = random.below(100)
      if (choice < 50) {
        model = nested(model, 1)
      } else if (choice < 80) {
        edit(model)
      } else if (choice < 92) {
        const key = random.below(600)
        const written = value()
        pending.push(store.putAsync(key, written))
        model.set(key, written)
      } else if (choice < 97) {
        await turn()
      } else {
        store.flushSync()
      }
    }
    await Promise.all(pending)
    store.flushSync()
    assert.deepEqual(store.check().problems, [], `seed ${seed}`)
    assert.deepEqual(
      [...store.range()],
      [...model].sort(([a], [b]) => a - b),
      `seed ${seed}`,
    )
    store.close()
  }
})

test('a log full of packed records goes round, and is found there', () => {
  const { store, memory } = relaxedStore({ logSizeBytes: 64 * 1024 })
  let checkpoints = 0
  for (let i = 0; i < 1500; i++) {
    store.put(i % 50, `value ${i}`)
    if (memory.barrierUnderWay && i % 3 === 0) memory.endBarrier()
    if (i % 97 !== 0) continue
    const { store: again } = relaxedStore({ logSizeBytes: 64 * 1024 }, memory.image())
    assert.equal(again.get(i % 50), `value ${i}`)
    assert.deepEqual([...again.range()], [...store.range()])
    again.close()
    checkpoints = store.stats().checkpoints
  }
  assert.ok(checkpoints >= 5, `${checkpoints} checkpoints`)
  store.close()
})

test('on a file a relaxed put costs no msync either', (t) => {
  const store = open(poolPath(t), { forceGranularity: 'page', durability: 'relaxed', relaxedIntervalMs: 60_000 })
  store.put('first', 1)
  const before = store.stats().counters.syncs
  for (let i = 0; i < 200; i++) store.put(i, i)
  assert.equal(store.stats().counters.syncs, before)
  store.flushSync()
  assert.equal(store.stats().counters.syncs, before + 1)
  store.close()
})

test('flush makes everything before it durable with one msync, and changes nothing for readers', async () => {
  const { store, memory } = relaxedStore()
  for (let i = 0; i < 10; i++) store.put(i, i)
  const syncs = memory.counters.syncs
  const flushed = store.flush()
  store.put(3, 'after')
  await turn()
  store.put(4, 'after')
  assert.equal(memory.counters.syncs, syncs + 1)
  assert.ok(memory.barrierUnderWay)
  memory.endBarrier()
  await flushed
  assert.deepEqual([store.get(3), store.get(4), store.get(5)], ['after', 'after', 5])
  store.flushSync()
  assert.deepEqual([store.get(3), store.get(4), store.get(5)], ['after', 'after', 5])
  await store.flush()
  store.close()
})

test('the background msync comes by itself, and its timer keeps no process alive', async () => {
  const { store, memory } = relaxedStore({ relaxedIntervalMs: 5 })
  memory.endBarrier()
  memory.barriersEnd = 'soon'
  store.put('a', 1)
  const before = memory.counters.backgroundSyncs
  for (let tries = 0; tries < 1000 && memory.counters.backgroundSyncs === before; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  assert.equal(memory.counters.backgroundSyncs, before + 1)
  assert.equal(store.get('a'), 1)
  store.close()
})

test('a synchronous commit in a relaxed store makes everything before it durable with one msync', () => {
  const { store, memory } = relaxedStore()
  for (let i = 0; i < 10; i++) store.put(i, i)
  const syncs = memory.counters.syncs
  store.put('s', 1, { durability: 'sync' })
  assert.equal(memory.counters.syncs, syncs + 1)
  assert.equal(store.count(), 11)
  store.put('r', 1)
  store.transaction(() => store.put('s', 2), { durability: 'sync' })
  assert.equal(memory.counters.syncs, syncs + 2)
  store.close()
})

test('a relaxed commit in a synchronous store is acknowledged at once, asynchronous puts with it when they are durable', async () => {
  const { store, memory } = relaxedStore({ durability: 'sync' })
  const syncs = memory.counters.syncs
  const put = store.putAsync('a', 1)
  store.put('b', 2, { durability: 'relaxed' })
  assert.equal(memory.counters.syncs, syncs)
  assert.equal(store.get('b'), 2)
  await turn()
  memory.endBarrier()
  await put
  assert.deepEqual([...store.values()], [1, 2])
  store.close()
})

test('durability is checked, and has no place inside a transaction', () => {
  const { store } = relaxedStore()
  assert.throws(() => store.put(1, 1, { durability: 'never' as never }), { code: 'INVALID_ARGUMENT' })
  assert.throws(() => store.put(1, 1, { durable: true } as never), { code: 'UNKNOWN_OPTION' })
  store.transaction(() => {
    assert.throws(() => store.put(1, 1, { durability: 'sync' }), { code: 'INVALID_ARGUMENT' })
    assert.throws(
      () => {
        store.flushSync()
      },
      { code: 'BUSY' },
    )
  })
  store.close()
})

test('thousands of relaxed commits in one turn go round the ring and through checkpoints', async (t) => {
  const path = poolPath(t)
  const options = { forceGranularity: 'page', durability: 'relaxed', logSizeBytes: 128 * 1024 } as const
  const store = open(path, options)
  const expected = new Map<number, string>()
  for (let i = 0; i < 3000; i++) {
    const key = (i * 7919) % 500
    if (i % 11 === 0) {
      store.delete(key)
      expected.delete(key)
    } else {
      const value = i % 97 === 0 ? 'v'.repeat(20_000) : `value ${i}`
      store.put(key, value)
      expected.set(key, value)
    }
    if (i % 500 === 0) await turn()
  }
  const sorted = [...expected].sort(([a], [b]) => a - b)
  assert.deepEqual([...store.range()], sorted)
  assert.ok(store.stats().checkpoints > 5)
  assert.deepEqual(store.check().problems, [])
  store.close()
  const again = open(path, options)
  assert.equal(again.stats().recovery.outcome, 'clean')
  assert.deepEqual([...again.range()], sorted)
  again.close()
})

test('a background msync that fails poisons the store; what was flushed before is found again', async () => {
  const { store, memory } = relaxedStore()
  store.put('a', 1)
  store.flushSync()
  store.put('b', 1)
  const flushed = store.flush()
  await turn()
  memory.failAfterEvents(0)
  memory.endBarrier()
  await assert.rejects(flushed, { code: 'PERSIST_FAILED' })
  assert.throws(() => store.get('a'), { code: 'POISONED' })
  store.close()
  const { store: again } = relaxedStore({}, memory.image())
  assert.equal(again.get('a'), 1)
  again.close()
})

for (const durability of ['relaxed', 'sync'] as const) {
  test(`${durability} commits in a loop learn that a checkpoint has got on, without the event loop`, () => {
    const memory = new KeptMemory({ sizeBytes: 1024 * 1024, segmentShift: 12, granularity: 'page', record: true })
    const store = storeOn(Engine.open('loop', { memory, logSizeBytes: 256 * 1024 }))
    const begin = memory.trace().events.count
    for (let i = 0; i < 1500; i++) store.put(i % 50, i, { durability })
    assert.ok(store.stats().checkpoints > 3, String(store.stats().checkpoints))
    // None that everybody has to wait for because the log is full.
    const { events } = memory.trace()
    for (let event = begin; event < events.count; event++) assert.notEqual(events.kind(event), EVENT_SYNC_ALL)
    store.close()
  })
}

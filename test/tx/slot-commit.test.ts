/** Redo in two alternating slots: what it writes where, and what recovery makes of it. Crashes are in test/crash/slots.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { throwsCode } from '../api/support.js'
import { sealRecord } from '../../crash-tests/src/hostile/seal.js'
import { engineOptions, SmallStore } from '../../crash-tests/src/redo-support.js'
import { RecordingMemory } from '../../crash-tests/src/replay-memory.js'
import type { Granularity } from '../../src/pmem/persistent-memory.js'
import {
  PAGE_BYTES,
  RECORD_OFFSET_EXTENT_COUNT,
  RECORD_OFFSET_FRESH_HASH,
  RECORD_OFFSET_KIND,
  RECORD_SLOT,
} from '../../src/pmem/program.js'
import { PAGE_LOG_START } from '../../src/pool/format.js'
import { peekRecord } from '../../src/tx/log-record.js'
import { newestAnchor, readAnchors } from '../../src/tx/recovery.js'
import { slotOf } from '../../src/tx/slot-recovery.js'

const LOG_PAGES = 8
const SLOTS = [0, 1].map((parity) => slotOf(parity, LOG_PAGES))

function memoryOf(sizeBytes: number, granularity: Granularity, image?: Uint8Array): RecordingMemory {
  return new RecordingMemory({ sizeBytes, segmentShift: 8, granularity, ...(image === undefined ? {} : { image }) })
}

function newStore(granularity: Granularity = 'cache-line', pages = 200): SmallStore {
  return new SmallStore(memoryOf(pages * PAGE_BYTES, granularity), engineOptions('redo', LOG_PAGES))
}

/** Another process finds what this one has left in the cache. */
function afterKill(
  { memory, options }: SmallStore,
  overrides: { granularity?: Granularity; logging?: 'undo' | 'redo'; image?: Buffer } = {},
): SmallStore {
  const { granularity = 'cache-line', logging = 'redo', image = memory.image() } = overrides
  return new SmallStore(memoryOf(image.length, granularity, image), { ...options, logging })
}

const headers = ({ memory }: SmallStore): ({ kind: number; txid: number } | undefined)[] =>
  SLOTS.map(({ page }) => peekRecord(memory, page))

test('the log is divided into two halves, which lie side by side', () => {
  assert.deepEqual(SLOTS, [
    { page: PAGE_LOG_START, pages: 4 },
    { page: PAGE_LOG_START + 4, pages: 4 },
  ])
  assert.deepEqual(
    [slotOf(7, 5), slotOf(2 ** 40, 5)],
    [
      { page: PAGE_LOG_START + 2, pages: 2 },
      { page: PAGE_LOG_START, pages: 2 },
    ],
  )
})

test('records go to the two slots by turns, always to the same lines', () => {
  const store = newStore()
  for (let round = 0; round < 30; round++) {
    store.put(['key', 'abc'[round % 3], 100])
    const [even, odd] = headers(store)
    const { txid } = store.engine.stats()
    assert.deepEqual([even?.kind, odd?.kind], round === 0 && odd === undefined ? [3, undefined] : [3, 3])
    if (odd !== undefined) assert.equal((txid % 2 === 0 ? odd : even)?.txid, txid - 1)
    assert.equal((txid % 2 === 0 ? even : odd)?.txid, txid)
  }
  assert.equal(store.engine.stats().checkpoints, 0)
})

test('after a kill the last two transactions are replayed, and no more', () => {
  const store = newStore()
  for (let index = 0; index < 10; index++) store.put([`key ${index}`, 'a', 100])
  const { txid } = store.engine.stats()
  const next = afterKill(store)
  assert.deepEqual([next.engine.recovery.outcome, next.engine.recovery.txid], ['replayed', txid])
  assert.deepEqual(next.expected, store.expected)
  assert.equal(afterKill(next).engine.recovery.outcome, 'nothing')
})

test('fresh pages and values are not logged: the record has their hash', () => {
  const store = newStore()
  store.put(['small', 'a', 100])
  const before = store.memory.counters.nonTemporalLines
  store.put(['large', 'b', 30_000])
  const lines = store.memory.counters.nonTemporalLines - before
  assert.ok(lines < 20, `${lines} lines`)
  const { txid } = store.engine.stats()
  const head = store.memory.image().subarray(SLOTS[txid % 2].page * PAGE_BYTES)
  assert.equal(head.readUInt32LE(RECORD_OFFSET_KIND), RECORD_SLOT)
  assert.notEqual(head.readBigUInt64LE(RECORD_OFFSET_FRESH_HASH), 0n)
  assert.deepEqual(afterKill(store).expected, store.expected)
})

test('a newest record whose fresh lines are not there is not replayed, the one before is', () => {
  const store = newStore()
  store.put(['a', 'a', 100])
  store.put(['b', 'b', 100])
  const before = new Map(store.expected)
  const image = store.memory.image()
  const { txid } = store.engine.stats()
  store.put(['large', 'c', 30_000])
  // As if the power had failed before the fence, and the record alone had reached the medium.
  const { page, pages } = SLOTS[(txid + 1) % 2]
  store.memory.image().copy(image, page * PAGE_BYTES, page * PAGE_BYTES, (page + pages) * PAGE_BYTES)
  const next = afterKill(store, { image })
  assert.deepEqual([next.engine.recovery.outcome, next.engine.recovery.txid], ['replayed', txid])
  assert.deepEqual(next.expected, before)
})

test('a record that overflows its slot goes on in free pages, which nobody is given before the next record is durable', () => {
  const store = newStore()
  const puts = (letter: string): [string, string, number][] =>
    Array.from({ length: 30 }, (_, index) => [`key ${index}`, letter, 1500])
  store.put(...puts('a'))
  store.put(['key 3', 'b', 1500])
  store.put(...puts('c'))
  const { txid } = store.engine.stats()
  const head = store.memory.image().subarray(SLOTS[txid % 2].page * PAGE_BYTES)
  assert.equal(head.readUInt32LE(RECORD_OFFSET_EXTENT_COUNT), 1)
  const first = head.readUInt32LE(64)
  const end = first + head.readUInt32LE(68)
  assert.deepEqual(afterKill(store).expected, store.expected)

  // A fence makes its lines durable, but the record must stay: the older one, taken for the newest, would put back key 3.
  store.engine.checkpoint()
  for (let round = 0; round < 2; round++) {
    store.engine.begin()
    for (let index = 0; index < 8; index++) store.stagePut(`large ${index}`, 'd', 20_000)
    assert.deepEqual(afterKill(store).expected, store.expected)
    store.engine.abort()
  }
  assert.ok(!store.engine.allocator.isAllocated(first) && !store.engine.allocator.isAllocated(end - 1))
  store.put(['next', 'e', 100])
  store.put(['takes them', 'f', (end - first) * PAGE_BYTES])
  assert.ok(store.engine.allocator.isAllocated(first), 'the pages can be allocated again')
  assert.deepEqual(afterKill(store).expected, store.expected)
})

test('a checkpoint is a fence where lines of the last transaction wait for one, and nothing elsewhere', () => {
  const store = newStore()
  store.put(['key', 'a', 100])
  const fences = (): number => store.memory.counters.fences
  const before = fences()
  store.engine.checkpoint()
  store.engine.checkpoint()
  assert.equal(fences() - before, 1)
})

test('growth in the middle of a transaction is a transaction of its own, and both are replayed', () => {
  const store = newStore('cache-line', 24)
  store.put(['first', 'a', 100])
  const { txid } = store.engine.stats()
  store.put(['large', 'b', 60_000])
  assert.equal(store.engine.stats().txid, txid + 2)
  assert.deepEqual(afterKill(store).expected, store.expected)
})

for (const from of ['cache-line', 'page'] as const) {
  for (const to of ['cache-line', 'byte', 'page'] as const) {
    for (const logging of ['undo', 'redo'] as const) {
      test(`redo records written under ${from} are replayed under ${to} with ${logging}`, () => {
        const store = newStore(from)
        for (let index = 0; index < 12; index++) store.put([`key ${index}`, 'a', index === 5 ? 9000 : 300])
        const next = afterKill(store, { granularity: to, logging })
        assert.equal(next.engine.recovery.outcome, 'replayed')
        assert.deepEqual(next.expected, store.expected)
        next.put(['more', 'b', 400])
        const last = afterKill(next, { granularity: from })
        assert.deepEqual(last.expected, next.expected)
      })
    }
  }
}

for (const parity of [0, 1]) {
  test(`a complete record of a kind nobody knows in slot ${parity} is refused`, () => {
    const store = newStore()
    for (let index = 0; index < 4; index++) store.put([`key ${index}`, 'a', 100])
    const anchor = newestAnchor(readAnchors(store.memory))
    assert.ok(anchor)
    const image = store.memory.image()
    // In the other slot there is none.
    image.fill(0, SLOTS[1 - parity].page * PAGE_BYTES, SLOTS[1 - parity].page * PAGE_BYTES + 64)
    const at = SLOTS[parity].page * PAGE_BYTES
    image.writeUInt32LE(4, at + RECORD_OFFSET_KIND)
    assert.ok(sealRecord(image, at, anchor.saltLo, anchor.saltHi))
    throwsCode(() => afterKill(store, { image }), 'UNSUPPORTED_FORMAT')
  })
}

test('a log of odd length leaves its last page unused', () => {
  const store = new SmallStore(memoryOf(100 * PAGE_BYTES, 'cache-line'), engineOptions('redo', 5))
  for (let index = 0; index < 20; index++) store.put([`key ${index}`, 'a', 700])
  assert.deepEqual(afterKill(store).expected, store.expected)
})

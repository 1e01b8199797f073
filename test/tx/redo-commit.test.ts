import assert from 'node:assert/strict'
import { test } from 'node:test'
import { throwsCode } from '../api/support.js'
import { engineOptions, LOG_PAGES, recordingMemory, SmallStore } from '../../crash-tests/src/redo-support.js'
import { RecordingMemory } from '../../crash-tests/src/replay-memory.js'
import type { PersistCounters } from '../../src/pmem/persistent-memory.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import { PAGE_ANCHOR_A, PAGE_ANCHOR_B, PAGE_LOG_START } from '../../src/pool/format.js'
import { MAX_LOGGED_EXTENT_BYTES } from '../../src/tx/redo-commit.js'
import { newestAnchor, readAnchors } from '../../src/tx/recovery.js'

const LARGE = MAX_LOGGED_EXTENT_BYTES + 1

/** What a piece of work costs. */
function cost(memory: RecordingMemory, work: () => void): Omit<PersistCounters, 'backgroundSyncs'> {
  const before = { ...memory.counters }
  work()
  const after = memory.counters
  return {
    fences: after.fences - before.fences,
    flushedLines: after.flushedLines - before.flushedLines,
    nonTemporalLines: after.nonTemporalLines - before.nonTemporalLines,
    syncs: after.syncs - before.syncs,
    programs: after.programs - before.programs,
  }
}

/** Another process finds what this one has left in the cache. */
function afterKill(store: SmallStore, logging: 'undo' | 'redo' = 'redo'): SmallStore {
  return new SmallStore(new RecordingMemory({ ...sizesOf(store), image: store.memory.image() }), {
    ...store.options,
    logging,
  })
}

function sizesOf({ memory }: SmallStore): { sizeBytes: number; segmentShift: number; granularity: 'page' } {
  return { sizeBytes: memory.image().length, segmentShift: memory.segmentShift, granularity: 'page' }
}

test('redo is the default under granularity page, undo elsewhere, and either can be chosen', () => {
  const logging = (granularity: 'byte' | 'cache-line' | 'page', chosen?: 'undo' | 'redo'): string => {
    const memory = new RecordingMemory({ sizeBytes: 64 * PAGE_BYTES, segmentShift: 8, granularity })
    return new SmallStore(memory, {
      logSizeBytes: LOG_PAGES * PAGE_BYTES,
      ...(chosen === undefined ? {} : { logging: chosen }),
    }).engine.stats().logging
  }
  assert.deepEqual([logging('page'), logging('cache-line'), logging('byte')], ['redo', 'undo', 'undo'])
  assert.deepEqual([logging('page', 'undo'), logging('cache-line', 'redo')], ['undo', 'redo'])
})

test('a commit costs one fence and one sync, and applying it costs none', () => {
  const store = new SmallStore(recordingMemory(256), engineOptions('redo', 128))
  for (let index = 0; index < 40; index++) {
    const { fences, syncs, programs, flushedLines } = cost(store.memory, () => store.put([`key ${index}`, 'a', 100]))
    assert.deepEqual([fences, syncs, programs, flushedLines], [1, 1, 1, 0])
  }
  const small = cost(store.memory, () => store.put(['extent', 'b', 9000]))
  assert.deepEqual([small.fences, small.syncs, small.flushedLines], [1, 1, 0], 'a value of three pages is logged')
  const empty = cost(store.memory, () => {
    store.engine.begin()
    store.engine.commit()
  })
  assert.equal(empty.programs, 0)
  assert.deepEqual(store.entries(), store.expected)
})

test('a large value is not logged: two waits, and a record of a few lines', () => {
  const store = new SmallStore(recordingMemory(256), engineOptions('redo', 40))
  const { fences, syncs, nonTemporalLines } = cost(store.memory, () => store.put(['large', 'a', LARGE]))
  assert.deepEqual([fences, syncs], [2, 2])
  assert.ok(nonTemporalLines < 64, `${nonTemporalLines} lines`)
  assert.deepEqual(afterKill(store).entries(), store.expected)
})

test('values that a transaction writes and drops again are neither logged nor flushed', () => {
  const store = new SmallStore(recordingMemory(256), engineOptions('redo', 128))
  store.put(['first', 'a', 10])
  const { nonTemporalLines, fences } = cost(store.memory, () => {
    store.engine.begin()
    store.stagePut('dropped', 'b', 20_000)
    store.stagePut('dropped', 'c', 10)
    store.engine.begin()
    store.stagePut('rolled back', 'd', 20_000)
    store.engine.abort()
    store.engine.commit()
  })
  store.expected.set('dropped', 'c10')
  assert.ok(nonTemporalLines < 64 && fences === 1, `${nonTemporalLines} lines`)
  assert.deepEqual(afterKill(store).entries(), store.expected)
})

test('each commit begins on a page of its own, records go round the ring and are found there', () => {
  const store = new SmallStore(recordingMemory())
  for (let index = 0; index < 100; index++) {
    store.put([`key ${index % 9}`, String.fromCharCode(97 + (index % 26)), 200 + index])
    const next = afterKill(store)
    assert.deepEqual(next.entries(), store.expected, `after ${index} transactions`)
    assert.equal(next.engine.stats().txid, store.engine.stats().txid)
    assert.ok(['replayed', 'nothing'].includes(next.engine.recovery.outcome))
  }
  assert.ok(store.engine.stats().checkpoints > 8)
})

test('a checkpoint frees the ring: data, anchor, and nothing to replay afterwards', () => {
  const store = new SmallStore(recordingMemory())
  store.put(['key', 'a', 100])
  assert.equal(afterKill(store).engine.recovery.outcome, 'replayed')
  const before = newestAnchor(readAnchors(store.memory))
  const { syncs, programs } = cost(store.memory, () => store.engine.checkpoint())
  assert.deepEqual([syncs, programs], [2, 1])
  const after = newestAnchor(readAnchors(store.memory))
  assert.ok(before !== undefined && after !== undefined)
  assert.deepEqual([after.epoch, after.saltLo, after.clean], [before.epoch, before.saltLo, false])
  assert.equal(after.txid, store.engine.stats().txid)
  assert.equal(afterKill(store).engine.recovery.outcome, 'nothing')
  assert.equal(cost(store.memory, () => store.engine.checkpoint()).programs, 0, 'nothing to free')
  store.put(['key', 'b', 100])
  assert.deepEqual(afterKill(store).entries(), store.expected)
})

test('a record longer than the ring: fresh pages in place, or a commit by undo between two checkpoints', () => {
  const store = new SmallStore(recordingMemory(200))
  const many = (count: number, length: number, from = 0): [string, string, number][] =>
    Array.from({ length: count }, (_, index) => [`key ${String(index + from).padStart(5, '0')}`, 'a', length])
  // Thirty fresh leaves and few dirty lines: more than twelve pages in all.
  const { fences } = cost(store.memory, () => store.put(...many(100, 1000)))
  assert.ok(fences >= 2)
  assert.deepEqual(afterKill(store).entries(), store.expected)
  const checkpoints = store.engine.stats().checkpoints
  store.put(...many(100, 990))
  assert.equal(store.engine.stats().checkpoints, checkpoints + 2)
  assert.deepEqual(store.entries(), store.expected)
  const after = afterKill(store)
  assert.deepEqual(after.entries(), store.expected)
  assert.equal(after.engine.recovery.txid, 0, 'the anchor knows the transaction: nothing to recover')
  store.put(...many(2, 900))
  assert.deepEqual(store.entries(), store.expected)
  assert.deepEqual(afterKill(store).entries(), store.expected)
})

test('a value in place waits for a checkpoint only where a record touches its pages', () => {
  const store = new SmallStore(recordingMemory(300), engineOptions('redo', 40))
  store.engine.checkpoint()
  const checkpoints = (): number => store.engine.stats().checkpoints
  const before = checkpoints()
  store.put(['large', 'a', LARGE])
  store.put(['large', 'b', LARGE])
  store.put(['large', 'c', LARGE])
  assert.equal(checkpoints(), before, 'replacing values that were never logged needs none')
  store.put(['small', 'd', 30_000])
  store.delete('large')
  store.delete('small')
  store.put(['other', 'e', LARGE * 3])
  assert.equal(checkpoints(), before + 1, 'pages of the logged value are used again')
  assert.deepEqual(afterKill(store).entries(), store.expected)
})

test('growth under redo is a record of its own, also in the middle of a transaction', () => {
  const store = new SmallStore(recordingMemory(40))
  for (let index = 0; index < 30; index++) store.put([`key ${index}`, 'a', 5000])
  assert.ok(store.engine.stats().growths > 2)
  const next = afterKill(store)
  assert.deepEqual(next.entries(), store.expected)
  assert.equal(next.engine.stats().capacityPages, store.engine.stats().capacityPages)
})

test('a pool is switched between the modes by opening it, clean or not', () => {
  let store = new SmallStore(recordingMemory(128))
  for (let round = 0; round < 12; round++) {
    for (let index = 0; index < 5; index++) store.put([`key ${index}`, 'abcdef'[round % 6], 50 + round + index])
    const { expected, options } = store
    const other = options.logging === 'redo' ? 'undo' : 'redo'
    if (round % 3 === 0) {
      store.engine.close()
      store = new SmallStore(store.memory, { ...options, logging: other })
      assert.equal(store.engine.recovery.outcome, 'clean')
    } else {
      const was = options.logging
      store = afterKill(store, other)
      assert.equal(store.engine.recovery.outcome, was === 'redo' ? 'replayed' : 'finished')
    }
    assert.deepEqual(store.entries(), expected)
  }
})

test('a clean close leaves no record to replay, and an anchor that starts at the ring start', () => {
  const store = new SmallStore(recordingMemory())
  for (let index = 0; index < 10; index++) store.put([`key ${index}`, 'a', 100])
  store.engine.close()
  const anchor = newestAnchor(readAnchors(store.memory))
  assert.deepEqual([anchor?.clean, anchor?.ringLine, anchor?.txid], [true, 0, 11])
  const next = new SmallStore(store.memory, engineOptions('redo'), 2)
  assert.equal(next.engine.recovery.outcome, 'clean')
  assert.deepEqual(next.entries(), store.expected)
})

test('a record is believed only whole: any changed byte of it ends the replay before it', () => {
  const store = new SmallStore(recordingMemory())
  store.engine.checkpoint()
  const first = (newestAnchor(readAnchors(store.memory))?.ringLine ?? 0) / 64
  store.put(['one', 'a', 100])
  const old = new Map(store.expected)
  store.put(['two', 'b', 100])
  const image = store.memory.image()
  const at = (PAGE_LOG_START + first + 1) * PAGE_BYTES
  const bytes = image.readUInt32LE(at + 36) * 64
  for (let offset = 0; offset < bytes; offset += 7) {
    const damaged = Buffer.from(image)
    damaged[at + offset] ^= 1 << (offset % 8)
    // The data pages hold the second transaction already, so only what was replayed tells.
    const next = new SmallStore(new RecordingMemory({ ...sizesOf(store), image: damaged }))
    assert.equal(next.engine.recovery.txid, store.engine.stats().txid - 1, `byte ${offset}`)
    assert.ok(old.size === 1)
  }
})

test('a failed persist poisons, and reopening finds the last acknowledged transaction or the one after it', () => {
  for (let failAt = 0; ; failAt++) {
    const store = new SmallStore(recordingMemory())
    for (let index = 0; index < 4; index++) store.put([`key ${index}`, 'a', 100])
    const before = new Map(store.expected)
    store.memory.failAfterEvents(failAt)
    let failed = false
    try {
      store.put(['key 1', 'b', 1500])
      store.engine.checkpoint()
    } catch {
      failed = true
    }
    if (!failed) {
      assert.ok(failAt > 30)
      return
    }
    throwsCode(() => store.engine.begin(), 'POISONED')
    const events = store.memory.trace().events.count
    store.engine.close()
    assert.equal(store.memory.trace().events.count, events, 'closing a poisoned store stores nothing')
    const found = afterKill(store).entries()
    const after = new Map(before).set('key 1', 'b1500')
    if (!isSame(found, before)) assert.deepEqual(found, after)
  }
})

test('the anchors of a checkpoint alternate between the two copies', () => {
  const store = new SmallStore(recordingMemory())
  const copies = new Set<number>()
  for (let index = 0; index < 4; index++) {
    store.put(['key', 'a', 100 + index])
    const before = store.memory.trace().events.count
    store.engine.checkpoint()
    const { events } = store.memory.trace()
    for (let event = before; event < events.count; event++) {
      const page = events.pageId(event)
      if (page === PAGE_ANCHOR_A || page === PAGE_ANCHOR_B) copies.add(page * 10 + (index % 2))
    }
  }
  assert.equal(copies.size, 2)
})

function isSame(a: Map<string, string>, b: Map<string, string>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)
}

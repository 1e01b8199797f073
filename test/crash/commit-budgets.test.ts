import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import type { PersistCounters } from '../../src/pmem/persistent-memory.js'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { ready } from '../../src/pmem/xxh64.js'
import { Tree } from '../../src/tree/tree.js'
import { Engine } from '../../src/tx/engine.js'

await ready

/** What a piece of work costs the medium. */
type Cost = Omit<PersistCounters, 'programs' | 'backgroundSyncs'>

class Store {
  readonly engine: Engine
  readonly tree: Tree

  constructor(pages = 4096) {
    const memory = new SimulatedMemory({ sizeBytes: pages * PAGE_BYTES, segmentShift: 14 })
    this.engine = Engine.open('budget', { memory, logSizeBytes: 1024 * 1024 })
    this.engine.begin()
    const id = this.engine.nextKeyspaceId()
    this.tree = new Tree(this.engine, Tree.create(this.engine, id), id)
    this.engine.commit()
  }

  put(key: string, value: Uint8Array): void {
    this.tree.put(Buffer.from(key), key.length, value)
  }

  cost(work: () => void): Cost {
    const { counters } = this.engine.memory
    const before = { ...counters }
    this.engine.begin()
    work()
    this.engine.commit()
    return {
      fences: counters.fences - before.fences,
      flushedLines: counters.flushedLines - before.flushedLines,
      nonTemporalLines: counters.nonTemporalLines - before.nonTemporalLines,
      syncs: counters.syncs - before.syncs,
    }
  }
}

const key = (number: number): string => `key ${String(number).padStart(8, '0')}`

test('a transaction that changes nothing costs nothing', () => {
  const store = new Store()
  const nothing = { fences: 0, flushedLines: 0, nonTemporalLines: 0, syncs: 0 }
  assert.deepEqual(
    store.cost(() => undefined),
    nothing,
  )
  store.cost(() => store.put('a', Buffer.alloc(10)))
  assert.deepEqual(
    store.cost(() => store.tree.find(Buffer.from('a'), 1)),
    nothing,
  )
})

test('an aborted transaction costs nothing', () => {
  const store = new Store()
  const before = { ...store.engine.memory.counters }
  store.engine.begin()
  store.put('a', Buffer.alloc(100))
  store.engine.abort()
  assert.deepEqual({ ...store.engine.memory.counters }, before)
})

for (const pages of [1, 10, 1000]) {
  test(`a transaction that changes ${pages} pages has two fences and no system call`, () => {
    const store = new Store()
    // One entry fills a leaf well enough that each has a page of its own.
    store.cost(() => {
      for (let number = 0; number < 2 * pages; number++) store.put(key(number), Buffer.alloc(1800, 1))
    })
    const { fences, syncs, flushedLines } = store.cost(() => {
      for (let number = 0; number < 2 * pages; number += 2) store.put(key(number), Buffer.alloc(1800, 2))
    })
    assert.deepEqual({ fences, syncs }, { fences: 2, syncs: 0 })
    assert.ok(flushedLines >= pages * 29, `${flushedLines} lines`)
  })
}

test('a value in an extent adds no fence', () => {
  const store = new Store()
  const { fences, syncs } = store.cost(() => store.put('large', Buffer.alloc(100_000, 1)))
  assert.deepEqual({ fences, syncs }, { fences: 2, syncs: 0 })
})

// One leaf with eight entries of 12-byte keys and 100-byte values, each at a place that does not change between runs.
const SHAPES: readonly { readonly name: string; readonly lines: number; readonly work: (store: Store) => unknown }[] = [
  {
    name: 'overwriting a value (checksum, two lines of value)',
    lines: 3,
    work: (store) => store.put(key(3), Buffer.alloc(100, 2)),
  },
  {
    name: 'putting a new entry (header, slots, two lines of entry)',
    lines: 4,
    work: (store) => store.put(key(8), Buffer.alloc(100, 2)),
  },
  {
    name: 'deleting an entry (header, slots)',
    lines: 2,
    work: (store) => store.tree.delete(Buffer.from(key(3)), key(3).length),
  },
]

for (const { name, lines, work } of SHAPES) {
  test(`${name} flushes ${lines} lines and records as many`, () => {
    const store = new Store()
    store.cost(() => {
      for (let number = 0; number < 8; number++) store.put(key(number), Buffer.alloc(100, 1))
    })
    const cost = store.cost(() => void work(store))
    // The record: header, directory, and the old lines.
    assert.deepEqual(cost, { fences: 2, flushedLines: lines, nonTemporalLines: 2 + lines, syncs: 0 })
  })
}

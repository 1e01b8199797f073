import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import type { PersistCounters } from '../../src/pmem/persistent-memory.js'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { ready } from '../../src/pmem/xxh64.js'
import { Tree } from '../../src/tree/tree.js'
import type { Logging } from '../../src/tx/committer.js'
import { Engine } from '../../src/tx/engine.js'

await ready

/** What a piece of work costs the medium. */
type Cost = Omit<PersistCounters, 'programs' | 'backgroundSyncs'>

class Store {
  readonly engine: Engine
  readonly tree: Tree

  constructor(logging: Logging = 'undo', pages = 4096) {
    const memory = new SimulatedMemory({ sizeBytes: pages * PAGE_BYTES, segmentShift: 14 })
    this.engine = Engine.open('budget', { memory, logSizeBytes: 1024 * 1024, logging })
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

/** Fences of a transaction of any size. */
const FENCES: readonly (readonly [Logging, number])[] = [
  ['undo', 2],
  ['redo', 1],
]

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

for (const [logging, expected] of FENCES) {
  for (const pages of [1, 10, 1000]) testPages(logging, expected, pages)
}

function testPages(logging: Logging, expected: number, pages: number): void {
  test(`${logging}: a transaction that changes ${pages} pages has fences: ${expected}, and no system call`, () => {
    const store = new Store(logging)
    // One entry fills a leaf well enough that each has a page of its own.
    store.cost(() => {
      for (let number = 0; number < 2 * pages; number++) store.put(key(number), Buffer.alloc(1800, 1))
    })
    const { fences, syncs, flushedLines } = store.cost(() => {
      for (let number = 0; number < 2 * pages; number += 2) store.put(key(number), Buffer.alloc(1800, 2))
    })
    assert.deepEqual({ fences, syncs }, { fences: expected, syncs: 0 })
    assert.ok(flushedLines >= pages * 29, `${flushedLines} lines`)
  })
}

for (const [logging, expected] of FENCES) {
  test(`${logging}: a value in an extent adds no fence`, () => {
    const store = new Store(logging)
    const { fences, syncs } = store.cost(() => store.put('large', Buffer.alloc(100_000, 1)))
    assert.deepEqual({ fences, syncs }, { fences: expected, syncs: 0 })
  })
}

test('redo: a value in an extent is flushed once and not logged', () => {
  const store = new Store('redo')
  const { flushedLines, nonTemporalLines } = store.cost(() => store.put('large', Buffer.alloc(100_000, 1)))
  // The value; checksum, slots and entry of the leaf, and of the bitmap checksum and bits. The record: header, directory of 27
  // pages, and these lines of leaf and bitmap.
  const valueLines = Math.ceil(100_000 / 64)
  assert.deepEqual([flushedLines - valueLines, nonTemporalLines], [5, 1 + 7 + 5])
})

test('redo: a commit whose record overflows its slot has one fence, too', () => {
  const store = new Store('redo')
  const halfLines = (1024 * 1024) / 2 / 64
  store.cost(() => {
    for (let number = 0; number < 600; number++) store.put(key(number), Buffer.alloc(1800, 1))
  })
  const { fences, syncs, nonTemporalLines } = store.cost(() => {
    for (let number = 0; number < 600; number++) store.put(key(number), Buffer.alloc(1800, 2))
  })
  assert.deepEqual({ fences, syncs }, { fences: 1, syncs: 0 })
  assert.ok(nonTemporalLines > halfLines, `${nonTemporalLines} lines`)
})

test('redo: a thousand transactions have a thousand fences; the log never has to be freed', () => {
  const store = new Store('redo')
  store.cost(() => store.put(key(0), Buffer.alloc(100, 1)))
  let fences = 0
  for (let number = 0; number < 1000; number++) {
    fences += store.cost(() => store.put(key(0), Buffer.alloc(100, number))).fences
  }
  assert.deepEqual([fences, store.engine.stats().checkpoints], [1000, 0])
})

test('redo: a transaction of a thousand overwrites has one fence and flushes what it changes', () => {
  const store = new Store('redo')
  store.cost(() => {
    for (let number = 0; number < 1000; number++) store.put(key(number), Buffer.alloc(100, 1))
  })
  const cost = store.cost(() => {
    for (let number = 0; number < 1000; number++) store.put(key(number), Buffer.alloc(100, 2))
  })
  assert.deepEqual(cost, THOUSAND)
})

/** Nearly every line of 26 leaves; the record has them all, a header, and 7 lines of directory. */
const THOUSAND: Cost = { fences: 1, flushedLines: 1671, nonTemporalLines: 1 + 7 + 1671, syncs: 0 }

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

for (const [logging, fences] of FENCES) for (const shape of SHAPES) testShape(logging, fences, shape)

function testShape(logging: Logging, fences: number, { name, lines, work }: (typeof SHAPES)[number]): void {
  test(`${logging}: ${name} flushes ${lines} lines and records as many`, () => {
    const store = new Store(logging)
    store.cost(() => {
      for (let number = 0; number < 8; number++) store.put(key(number), Buffer.alloc(100, 1))
    })
    const cost = store.cost(() => void work(store))
    // The record: header, directory, and the old or the new lines.
    assert.deepEqual(cost, { fences, flushedLines: lines, nonTemporalLines: 2 + lines, syncs: 0 })
  })
}

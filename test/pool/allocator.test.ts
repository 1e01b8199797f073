import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Engine } from '../../src/tx/engine.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'

/** Small segments, so that a few hundred pages already span several of them. */
const SEGMENT_BYTES = 256 * PAGE_BYTES

function open(): Engine {
  return Engine.open(':memory:', {
    segmentBytes: SEGMENT_BYTES,
    initialSizeBytes: 64 * PAGE_BYTES,
    growthStepBytes: 16 * PAGE_BYTES,
    logSizeBytes: 4 * PAGE_BYTES,
  })
}

const action = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('allocate' as const), pages: fc.integer({ min: 1, max: 60 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('free' as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const) }) },
)

test('pages are never handed out twice, and never while committed or freed in the same transaction', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const engine = open()
      const { geometry } = engine
      let committed = new Map<number, number>() // first page -> pages
      let pending = new Map<number, number>()
      engine.begin()
      const pagesOf = (extents: Map<number, number>): Set<number> => {
        const all = new Set<number>()
        for (const [page, pages] of extents) for (let i = 0; i < pages; i++) all.add(page + i)
        return all
      }
      for (const a of actions) {
        if (a.kind === 'allocate') {
          const page = a.pages === 1 ? engine.allocator.allocate() : engine.allocator.allocateExtent(a.pages)
          const taken = new Set([...pagesOf(committed), ...pagesOf(pending)])
          for (let i = 0; i < a.pages; i++) assert.ok(!taken.has(page + i), `page ${page + i} handed out twice`)
          const segment = Math.floor(page / geometry.segmentPages)
          assert.equal(
            Math.floor((page + a.pages - 1) / geometry.segmentPages),
            segment,
            'an extent stays in a segment',
          )
          assert.ok(
            page % geometry.segmentPages >= geometry.reservedPages(segment),
            'reserved pages are never handed out',
          )
          assert.ok(page + a.pages <= engine.space.capacityPages)
          pending.set(page, a.pages)
        } else if (a.kind === 'free') {
          const keys = [...pending.keys()]
          if (keys.length === 0) continue
          const page = keys[a.which % keys.length]
          engine.allocator.free(page, pending.get(page))
          pending.delete(page)
        } else if (a.kind === 'commit') {
          engine.commit()
          committed = new Map(pending)
          engine.begin()
        } else {
          engine.abort()
          pending = new Map(committed)
          engine.begin()
        }
        for (const page of pagesOf(pending)) assert.ok(engine.allocator.isAllocated(page))
      }
      const reserved = (): number => {
        let sum = 0
        for (let s = 0; s * geometry.segmentPages < engine.space.capacityPages; s++) sum += geometry.reservedPages(s)
        return sum + 1 // the catalog's root
      }
      assert.equal(engine.allocator.countAllocated(), pagesOf(pending).size + reserved())
      engine.abort()
      engine.close()
    }),
    { numRuns: 200 },
  )
})

test('freed space is reused: ten rounds of freeing and allocating everything do not grow the pool', () => {
  const engine = open()
  const allocateAll = (): number[] => {
    engine.begin()
    const pages = Array.from({ length: 300 }, () => engine.allocator.allocate())
    engine.commit()
    return pages
  }
  let pages = allocateAll()
  let capacity = 0
  for (let round = 0; round < 10; round++) {
    engine.begin()
    for (const page of pages) engine.allocator.free(page)
    engine.commit()
    pages = allocateAll()
    if (round === 0) capacity = engine.space.capacityPages
  }
  assert.equal(engine.space.capacityPages, capacity)
  engine.close()
})

test('freeing a page twice, or one that is never allocated, is reported as damage', () => {
  const engine = open()
  engine.begin()
  const page = engine.allocator.allocate()
  engine.allocator.free(page)
  assert.throws(
    () => {
      engine.allocator.free(page)
    },
    { code: 'CORRUPT' },
  )
  assert.throws(
    () => {
      engine.allocator.free(4)
    },
    { code: 'CORRUPT' },
  )
  assert.throws(
    () => {
      engine.allocator.free(engine.space.capacityPages)
    },
    { code: 'CORRUPT' },
  )
  engine.abort()
  engine.close()
})

test('maxSizeBytes stops growth with limit and actual, and the store goes on', () => {
  const engine = Engine.open(':memory:', {
    initialSizeBytes: 64 * PAGE_BYTES,
    logSizeBytes: 4 * PAGE_BYTES,
    maxSizeBytes: 80 * PAGE_BYTES,
  })
  engine.begin()
  assert.throws(
    () => {
      for (;;) engine.allocator.allocate()
    },
    { code: 'NO_SPACE', limit: 80 * PAGE_BYTES },
  )
  engine.abort()
  engine.begin()
  engine.allocator.allocate()
  engine.commit()
  engine.close()
})

test('reserved pages are given to nobody, whatever commits or aborts, until others are reserved', () => {
  const engine = open()
  const { allocator } = engine
  engine.begin()
  const runs = allocator.findRuns(9, 4)
  assert.ok(runs)
  allocator.reserve(runs)
  const reserved = new Set(runs.flatMap(({ page, pages }) => Array.from({ length: pages }, (_, i) => page + i)))
  assert.equal(reserved.size, 9)
  const first = Math.min(...reserved)
  for (const end of ['abort', 'commit', 'abort'] as const) {
    for (let count = 0; count < 8; count++) {
      assert.ok(!reserved.has(allocator.allocate()))
      const extent = allocator.allocateExtent(3)
      for (let page = extent; page < extent + 3; page++) assert.ok(!reserved.has(page))
    }
    const others = allocator.findRuns(9, 4)
    assert.ok(others?.every(({ page, pages }) => !reserved.has(page) && !reserved.has(page + pages - 1)))
    if (end === 'commit') engine.commit()
    else engine.abort()
    engine.begin()
  }
  allocator.reserve([])
  assert.equal(allocator.allocate(), first, 'the lowest free page again')
  assert.equal(allocator.allocateExtent(8), first + 1)
  engine.abort()
  engine.close()
})

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, it } from 'node:test'
import { DaxkvError } from '../../src/errors.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import { checkTree } from '../../src/tree/check.js'
import { Cursor } from '../../src/tree/cursor.js'
import { Tree } from '../../src/tree/tree.js'
import { keys, makeValue } from '../support/tree-model.js'
import { TreePool } from '../support/tree-pool.js'

interface Mutation {
  readonly page: number
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Builds a tree with inline and extent values and branches of two levels. */
function build(): { pool: TreePool; tree: Tree; pages: number[] } {
  const pool = new TreePool(1024, { segmentShift: 10 })
  const tree = new Tree(pool, Tree.create(pool, 1), 1)
  for (let i = 0; i < 500; i++) {
    const key = Buffer.from(i % 5 === 0 ? `${'x'.repeat(400)}${i}` : `user:${i * 7}`)
    tree.put(key, key.length, makeValue(i % 50 === 0 ? 5000 : i % 90, i))
  }
  pool.commit()
  const pages: number[] = []
  checkTree(pool, tree.rootPage, (page) => pages.push(page))
  return { pool, tree, pages }
}

/** Runs an action that may find the damage; anything but a proper error is a failure. */
function tolerate(action: () => void): boolean {
  try {
    action()
    return true
  } catch (error) {
    if (error instanceof DaxkvError && (error.code === 'CORRUPT' || error.code === 'NO_SPACE')) {
      if (error.code === 'CORRUPT') assert.equal(typeof error.offset, 'number', error.message)
      return false
    }
    throw error
  }
}

/** Values read must lie in memory, whatever the entry says. */
function assertReadable(holder: Tree | Cursor): void {
  assert.ok(Number.isInteger(holder.valueStart) && holder.valueStart >= 0)
  assert.ok(Number.isInteger(holder.valueLength) && holder.valueLength >= 0)
  assert.ok(holder.valueStart + holder.valueLength <= holder.valueView.byteLength)
}

const headerBytes = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 4 }),
  fc.constantFrom(...[0, 1, 3, 4, 255].map((byte) => Uint8Array.of(byte))),
)
const mutations: fc.Arbitrary<Mutation> = fc.oneof(
  // Headers and slots are where damage does the most.
  { weight: 3, arbitrary: fc.record({ page: fc.nat(), offset: fc.integer({ min: 8, max: 63 }), bytes: headerBytes }) },
  {
    weight: 3,
    arbitrary: fc.record({ page: fc.nat(), offset: fc.integer({ min: 64, max: 400 }), bytes: headerBytes }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      page: fc.nat(),
      offset: fc.nat(PAGE_BYTES - 1),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }),
    }),
  },
)

function damage(pool: TreePool, pages: number[], list: readonly Mutation[]): void {
  for (const { page, offset, bytes } of list) {
    pool.space.locateCommitted(pages[page % pages.length])
    const { u8 } = pool.space.view
    for (let i = 0; i < bytes.length && offset + i < PAGE_BYTES; i++) u8[pool.space.base + offset + i] = bytes[i]
  }
}

/** Everything a store does with a tree. Work is bounded by the pages of the pool, so this always ends. */
function exercise(pool: TreePool, tree: Tree, list: readonly Buffer[]): void {
  const cursor = new Cursor(tree)
  const buffer = Buffer.alloc(2048)
  tolerate(() => {
    const report = checkTree(pool, tree.rootPage, () => undefined)
    assert.ok(report.problems.length <= 100)
  })
  for (const reverse of [false, true]) {
    tolerate(() => {
      cursor.seek({ reverse })
      while (cursor.next()) assertReadable(cursor)
    })
    tolerate(() => {
      cursor.seek({ reverse, gt: list[0] })
      cursor.scan((row) => {
        assertReadable(row)
        row.copyKey(buffer, 0)
        return true
      })
    })
  }
  tolerate(() => tree.count({ gte: list[0], lt: list[1] }))
  for (const key of list) {
    tolerate(() => {
      if (tree.find(key, key.length)) assertReadable(tree)
    })
    if (!tolerate(() => tree.put(key, key.length, makeValue(key.length * 13, 1)))) pool.abort()
    if (!tolerate(() => tree.delete(key, key.length))) pool.abort()
  }
  if (!tolerate(() => tree.deleteRange({ gte: list[0], lt: list[1] }))) pool.abort()
  if (!tolerate(() => tree.clear())) pool.abort()
}

describe('a damaged or hostile tree', () => {
  it('gives CORRUPT or works, but never hangs, leaves the mapping or fails in another way', () => {
    const { pool, tree, pages } = build()
    const image = pool.memory.image()
    const list = fc.array(
      fc.oneof(
        keys,
        fc.nat(500).map((n) => Buffer.from(`user:${n * 7}`)),
      ),
      {
        minLength: 12,
        maxLength: 12,
      },
    )
    fc.assert(
      fc.property(fc.array(mutations, { minLength: 1, maxLength: 6 }), list, (changes, wanted) => {
        damage(pool, pages, changes)
        try {
          exercise(pool, tree, wanted)
        } finally {
          pool.abort()
          restore(pool, image)
        }
      }),
      { numRuns: 400 },
    )
  })

  it('gives an error when a branch leads back to itself or to one leaf again and again', () => {
    const { pool, tree, pages } = build()
    const { space } = pool
    space.locate(tree.rootPage)
    const { view, base } = space
    const level = view.u8[base + 13]
    assert.ok(level >= 1)
    // Every child of the root is the leftmost one.
    const leftmost = view.u32[(base >>> 2) + 6]
    const count = view.u16[(base >>> 1) + 7]
    for (let i = 0; i < count; i++) {
      const place = view.i32[(base >>> 2) + 16 + 2 * i + 1]
      view.u32[(base >>> 2) + (place & 1023)] = leftmost
    }
    assert.ok(checkTree(pool, tree.rootPage, () => undefined).problems.length > 0)
    assert.throws(() => tree.clear(), { code: 'CORRUPT' })
    pool.abort()
    const cursor = new Cursor(tree)
    tolerate(() => {
      cursor.seek({})
      cursor.skip(Infinity)
    })
    for (const reverse of [false, true]) {
      const walks = [() => cursor.next(), () => cursor.scan(() => true) > 0]
      for (const walk of walks) {
        cursor.seek({ reverse })
        assert.throws(
          () => {
            while (walk());
          },
          { code: 'CORRUPT', message: /out of order/ },
        )
      }
    }
    // A child that is the root itself has the wrong level.
    view.u32[(base >>> 2) + 6] = tree.rootPage
    assert.throws(() => tree.find(Buffer.alloc(1), 0), { code: 'CORRUPT', offset: tree.rootPage * PAGE_BYTES })
    assert.ok(pages.length > 10)
  })

  it('reports each kind of damage in check', () => {
    const { pool, tree } = build()
    const image = pool.memory.image()
    const { space } = pool
    const problemsAfter = (change: () => void): string[] => {
      change()
      const { problems } = checkTree(pool, tree.rootPage, () => undefined)
      restore(pool, image)
      return problems.map(({ message }) => message)
    }
    assert.deepEqual(
      problemsAfter(() => undefined),
      [],
    )
    // The leftmost leaf.
    let leaf = tree.rootPage
    for (;;) {
      space.locate(leaf)
      if (space.view.u8[space.base + 13] === 0) break
      leaf = space.view.u32[(space.base >>> 2) + 6]
    }
    const at = space.base
    const { u8, i32, u32, u16 } = space.view
    const cases: [string, () => void][] = [
      ['node of level', () => (u8[at + 12] = 9)],
      ['node of level', () => (u32[(at + 8) >>> 2] = 99)],
      ['header is inconsistent', () => (u16[(at + 18) >>> 1] = 4097)],
      ['dead in a heap', () => (u16[(at + 22) >>> 1] += 4)],
      ['dead in a heap', () => (u16[(at + 14) >>> 1] -= 1)],
      ['keyspace', () => (u32[(at + 28) >>> 2] = 77)],
      ['entry count', () => (u32[(at + 32) >>> 2] = 1)],
      ['head of entry 2', () => (i32[(at + 64 + 16) >>> 2] ^= 1)],
      ['out of order', () => (i32[(at + 64 + 12) >>> 2] = i32[(at + 64 + 4) >>> 2])],
      ['share bytes', () => (i32[(at + 64 + 12) >>> 2] = i32[(at + 64 + 4) >>> 2])],
      ['outside the heap', () => (i32[(at + 64 + 4) >>> 2] &= ~1023)],
      ['entries, the leaves hold', () => u32.set([7], (pageBase(pool, tree.rootPage) + 32) >>> 2)],
    ]
    for (const [expected, change] of cases) {
      const messages = problemsAfter(change)
      assert.ok(
        messages.some((message) => message.includes(expected)),
        `${expected}: ${messages.join('; ')}`,
      )
    }
  })

  it('reports a value that was changed in its extent', () => {
    const { pool, tree } = build()
    const key = Buffer.from(`${'x'.repeat(400)}50`)
    assert.ok(tree.find(key, key.length))
    assert.notEqual(tree.valuePage, 0)
    tree.valueView.u8[tree.valueStart + 4000] ^= 1
    const { problems } = checkTree(pool, tree.rootPage, () => undefined)
    assert.equal(problems.length, 1)
    assert.equal(problems[0].pageId, tree.valuePage)
  })
})

function pageBase(pool: TreePool, page: number): number {
  pool.space.locateCommitted(page)
  return pool.space.base
}

/** Puts the whole pool back; segments hold 1024 pages. */
function restore(pool: TreePool, image: Buffer): void {
  const bytes = PAGE_BYTES * 1024
  pool.memory.segments.forEach((segment, index) => segment.u8.set(image.subarray(index * bytes, (index + 1) * bytes)))
}

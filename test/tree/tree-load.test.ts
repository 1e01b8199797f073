import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkTree, type TreeReport } from '../../src/tree/check.js'
import { Tree } from '../../src/tree/tree.js'
import { TreeModel } from '../support/tree-model.js'
import { TreePool } from '../support/tree-pool.js'

const ENTRIES = 100_000

/** Loads keys of 14 bytes with values of 100 bytes in the given order. */
function load(order: (index: number) => number): {
  pool: TreePool
  tree: Tree
  report: TreeReport
  bytesPerKey: number
} {
  const pool = new TreePool(16_384)
  const tree = new Tree(pool, Tree.create(pool, 1), 1)
  const key = Buffer.alloc(16)
  const value = Buffer.alloc(100, 7)
  for (let i = 0; i < ENTRIES; i++) {
    key.write(`key${String(order(i)).padStart(11, '0')}`, 'latin1')
    assert.ok(tree.put(key, 14, value))
    if (i % 5000 === 4999) pool.commit()
  }
  pool.commit()
  const report = checkTree(pool, tree.rootPage, () => undefined)
  assert.deepEqual(report.problems, [])
  assert.equal(report.entries, ENTRIES)
  return { pool, tree, report, bytesPerKey: (report.nodePages * 4096) / ENTRIES }
}

describe('a tree of 100,000 keys', () => {
  it('is packed full by an ascending load', () => {
    const { bytesPerKey } = load((i) => i)
    assert.ok(bytesPerKey <= 135, `${bytesPerKey} bytes a key`)
  })

  it('is packed full by a descending load', () => {
    const { bytesPerKey } = load((i) => ENTRIES - i)
    assert.ok(bytesPerKey <= 135, `${bytesPerKey} bytes a key`)
  })

  it('is about two thirds full after a random load', () => {
    // A permutation: the multiplier shares no factor with 100,000.
    const { bytesPerKey } = load((i) => (i * 77_773) % ENTRIES)
    assert.ok(bytesPerKey <= 200, `${bytesPerKey} bytes a key`)
  })

  it('is packed full by runs that ascend at many places', () => {
    const runs = 100
    const { bytesPerKey } = load((i) => (i % runs) * 1_000_000 + Math.floor(i / runs))
    assert.ok(bytesPerKey <= 150, `${bytesPerKey} bytes a key`)
  })

  it('returns all pages of a range that is emptied', () => {
    const { pool, tree } = load((i) => i)
    const before = pool.allocator.countAllocated()
    const removed = tree.deleteRange({ gte: Buffer.from('key00000010000'), lt: Buffer.from('key00000090000') })
    assert.equal(removed, 80_000)
    pool.commit()
    const report = checkTree(pool, tree.rootPage, () => undefined)
    assert.deepEqual(report.problems, [])
    assert.equal(report.entries, 20_000)
    const freed = before - pool.allocator.countAllocated()
    assert.ok(freed > before * 0.78, `${freed} of ${before} pages freed`)
    assert.equal(tree.clear(), 20_000)
    pool.commit()
    assert.equal(pool.allocator.countAllocated(), new TreePool(64).allocator.countAllocated() + 1)
  })

  it('counts ranges without visiting interior leaves', () => {
    const { pool, tree } = load((i) => i)
    const range = { gt: Buffer.from('key00000012345'), lte: Buffer.from('key00000092345') }
    let located = 0
    const { space } = pool
    const locate = space.locate.bind(space)
    space.locate = (page) => {
      located++
      locate(page)
    }
    assert.equal(tree.count(range), 80_000)
    assert.ok(located < 8000, `${located} pages located`)
  })
})

describe('a tree that changes for long', () => {
  it('stays sound with keys of up to 1978 bytes, many levels deep', () => {
    const model = new TreeModel(4096)
    const random = generator(12345)
    // Neighbours differ late and the keys of a node share little: separators are about as long as keys can be.
    const longKey = (): Buffer => {
      const bits = random(512)
      const runs = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((bit) => Buffer.alloc(215, 'ab'[(bits >>> bit) & 1]))
      return Buffer.concat([...runs, Buffer.from(String(random(100)))])
    }
    let levels = 0
    for (let round = 0; round < 40; round++) {
      const growing = round % 8 < 5
      for (let i = 0; i < 250; i++) {
        if (random(10) < (growing ? 8 : 2)) model.put(longKey(), Buffer.alloc(random(random(8) === 0 ? 2500 : 90), i))
        else if (model.map.size > 0) {
          const all = model.keysIn({})
          const from = random(all.length)
          for (const key of all.slice(from, from + 1 + random(growing ? 2 : 12))) model.delete(key)
        }
      }
      levels = Math.max(levels, model.check().levels)
      model.commit()
      model.walk({ reverse: round % 2 === 0 })
    }
    assert.ok(levels >= 6, `only ${levels} levels`)
  })

  it('keeps its size under updates that change the length of values', () => {
    const model = new TreeModel(4096)
    const random = generator(99)
    let most = 0
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < 1000; i++) model.put(Buffer.from(`k${random(3000)}`), Buffer.alloc(random(120), i))
      most = Math.max(most, model.check().nodePages)
      model.commit()
    }
    assert.ok(most < 150, `${most} pages`)
  })
})

/** A small deterministic generator: random(n) is in [0, n). */
function generator(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 0x1_0000_0000) * below)
  }
}

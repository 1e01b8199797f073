import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkTree } from '../../src/tree/check.js'
import { Cursor } from '../../src/tree/cursor.js'
import { assertDirtyLines } from '../../src/tree/dirty-check.js'
import { branchChild, nodeCount, nodeLevel } from '../../src/tree/node.js'
import { Tree } from '../../src/tree/tree.js'
import { makeValue, TreeModel, valueOf } from '../support/tree-model.js'
import { TreePool } from '../support/tree-pool.js'

const value = Buffer.alloc(100, 1)

function newTree(pages = 2048): { pool: TreePool; tree: Tree } {
  const pool = new TreePool(pages, { segmentShift: 12 })
  const tree = new Tree(pool, Tree.create(pool, 1), 1)
  return { pool, tree }
}

function fill(tree: Tree, entries: number): void {
  for (let i = 0; i < entries; i++) tree.put(Buffer.from(`key${String(i).padStart(6, '0')}`), 9, value)
}

describe('keys', () => {
  it('may come in buffers of any alignment and length', () => {
    const { tree } = newTree()
    for (let shift = 0; shift < 8; shift++) {
      for (let length = 0; length < 30; length++) {
        // Long ones count as scratch buffers, short ones are copied.
        const whole = Buffer.alloc((length % 2 === 0 ? 64 : 4096) + shift, 0xee)
        const key = whole.subarray(shift, shift + length)
        key.fill(length)
        const isNew = tree.put(key, length, Buffer.from([length, shift]))
        assert.equal(isNew, shift === 0)
        assert.ok(tree.find(whole.subarray(shift), length))
        assert.deepEqual(valueOf(tree), Buffer.from([length, shift]))
      }
    }
    assert.equal(tree.entryCount, 30)
  })

  it('longer than the limit are refused by put, never found, and legal as bounds', () => {
    const { tree } = newTree()
    const longest = Buffer.alloc(1978, 0x62)
    tree.put(longest, longest.length, value)
    tree.put(Buffer.from('c'), 1, value)
    const tooLong = Buffer.alloc(1979, 0x62)
    assert.throws(() => tree.put(tooLong, tooLong.length, value), { code: 'KEY_TOO_LONG', limit: 1978, actual: 1979 })
    assert.equal(tree.find(tooLong, tooLong.length), false)
    assert.equal(tree.delete(tooLong, tooLong.length), false)
    const bound = Buffer.alloc(5000, 0x62)
    assert.equal(tree.count({ lt: bound }), 1)
    assert.equal(tree.count({ gte: bound }), 1)
    assert.equal(tree.deleteRange({ lte: bound }), 1)
    assert.ok(tree.find(Buffer.from('c'), 1))
  })
})

describe('values', () => {
  it('stay in the leaf up to 1994 bytes with their key, and live in an extent beyond', () => {
    const { pool, tree } = newTree()
    const before = pool.allocator.countAllocated()
    const key = Buffer.from('0123456789')
    for (const [size, isInline] of [
      [1984, true],
      [1985, false],
      [2047, false],
      [0, true],
      [100_000, false],
    ] as const) {
      tree.put(key, key.length, makeValue(size, 5))
      assert.ok(tree.find(key, key.length))
      assert.equal(tree.valuePage === 0, isInline)
      assert.deepEqual(valueOf(tree), makeValue(size, 5))
    }
    pool.commit()
    tree.delete(key, key.length)
    pool.commit()
    assert.equal(pool.allocator.countAllocated(), before)
  })

  it('may be the front of a longer buffer', () => {
    const { tree } = newTree()
    for (const size of [0, 3, 17, 90, 1500, 9000]) {
      tree.put(Buffer.from('k'), 1, makeValue(10_000, 9), size)
      assert.ok(tree.find(Buffer.from('k'), 1))
      assert.deepEqual(valueOf(tree), makeValue(size, 9))
    }
    assert.throws(() => tree.put(Buffer.from('k'), 1, value, 101), { code: 'INTERNAL' })
  })

  it('in an extent survive the rollback of a savepoint under which their pages were freed', () => {
    const model = new TreeModel()
    const key = Buffer.from('big')
    model.run({ type: 'put', key, size: 9000, fill: 1 })
    model.run({ type: 'savepoint' })
    for (let i = 0; i < 5; i++) {
      model.run({ type: 'put', key, size: 9000, fill: 2 + i })
      model.run({ type: 'put', key: Buffer.from(`other${i}`), size: 9000, fill: i })
    }
    model.run({ type: 'rollback' })
    model.find(key)
    model.check()
    model.commit()
    model.find(key)
  })
})

describe('a tree', () => {
  it('counts past 2^32 entries and back', () => {
    const { pool, tree } = newTree()
    pool.space.stage(tree.rootPage)
    pool.space.view.u32[(pool.space.base >>> 2) + 8] = 0xffff_ffff
    tree.put(Buffer.from('a'), 1, value)
    assert.equal(tree.entryCount, 2 ** 32)
    tree.put(Buffer.from('b'), 1, value)
    assert.equal(tree.entryCount, 2 ** 32 + 1)
    tree.delete(Buffer.from('a'), 1)
    tree.delete(Buffer.from('b'), 1)
    assert.equal(tree.entryCount, 2 ** 32 - 1)
  })

  it('merges what is left of the first leaf of a removed range', () => {
    const { pool, tree } = newTree()
    fill(tree, 2000)
    // All but one entry of the first leaf, and everything behind it up to the last thousand.
    const removed = tree.deleteRange({ gt: Buffer.from('key000000'), lt: Buffer.from('key001000') })
    assert.equal(removed, 999)
    const report = checkTree(pool, tree.rootPage, () => undefined)
    assert.deepEqual(report.problems, [])
    let leaf = tree.rootPage
    for (pool.space.locate(leaf); nodeLevel(pool.space.view, pool.space.base) > 0; pool.space.locate(leaf)) {
      leaf = branchChild(pool.space.view, pool.space.base, 0)
    }
    assert.ok(nodeCount(pool.space.view, pool.space.base) > 1)
  })

  it('edits only the lines of a value that is overwritten in place', () => {
    const { pool, tree } = newTree()
    fill(tree, 2000)
    pool.commit()
    tree.put(Buffer.from('key000500'), 9, Buffer.alloc(100, 2))
    pool.commit()
    assert.ok(pool.storedLines <= 3, `${pool.storedLines} lines`)
    tree.put(Buffer.from('key000500'), 9, Buffer.alloc(20, 3))
    pool.commit()
    assert.ok(pool.storedLines <= 4, `${pool.storedLines} lines`)
  })

  it('edits few lines of the leaf and one of the root for an insert', () => {
    const { pool, tree } = newTree()
    fill(tree, 2000)
    // Room in the leaf: one entry goes first.
    tree.delete(Buffer.from('key000500'), 9)
    tree.delete(Buffer.from('key000499'), 9)
    pool.commit()
    tree.put(Buffer.from('key001999x'), 10, value)
    pool.commit()
    assert.ok(pool.storedLines <= 6, `${pool.storedLines} lines`)
  })

  it('has an assertion that notices an edit nobody marked', () => {
    const { pool, tree } = newTree()
    fill(tree, 10)
    pool.commit()
    pool.space.stage(tree.rootPage)
    pool.space.view.u8[pool.space.base + 4000] ^= 1
    assert.throws(() => assertDirtyLines(pool.space), { code: 'INTERNAL', message: /line 62/ })
    pool.space.markDirty(pool.space.frame, 4000, 4001)
    assertDirtyLines(pool.space)
  })
})

describe('a cursor', () => {
  it('finds its place again when the tree has changed, in either direction', () => {
    const { pool, tree } = newTree()
    fill(tree, 1000)
    for (const reverse of [false, true]) {
      const cursor = new Cursor(tree)
      cursor.seek({ reverse })
      let rows = 0
      let before = ''
      while (cursor.next()) {
        const key = cursor.key.toString('latin1', 0, cursor.keyLength)
        if (rows > 0) assert.ok(reverse ? key < before : key > before)
        before = key
        rows++
        // Splits and merges under the cursor, and commits.
        tree.delete(Buffer.from(key), key.length)
        tree.put(
          Buffer.from(`${key}${reverse ? 'z' : ''}`),
          key.length + (reverse ? 1 : 0),
          Buffer.alloc(rows % 300, rows),
        )
        if (rows % 10 === 0) {
          pool.commit()
          tree.version++
        }
      }
      assert.equal(rows, 1000)
    }
  })

  it('refuses a write inside scan', () => {
    const { tree } = newTree()
    fill(tree, 10)
    const cursor = new Cursor(tree)
    cursor.seek({})
    assert.throws(() => cursor.scan(() => !tree.delete(Buffer.from('key000005'), 9)), { code: 'BUSY' })
  })

  it('keeps its bounds when the caller changes the buffers they came in', () => {
    const { tree } = newTree()
    fill(tree, 1000)
    const lower = Buffer.from('key000010')
    const upper = Buffer.from('key000900')
    const cursor = new Cursor(tree)
    cursor.seek({ gte: lower, lt: upper })
    lower.fill(0xff)
    upper.fill(0xff)
    assert.equal(cursor.skip(Infinity), 890)
  })

  it('passes over entries without reading them, and goes on from there', () => {
    const { tree } = newTree()
    fill(tree, 1000)
    const cursor = new Cursor(tree)
    for (const reverse of [false, true]) {
      cursor.seek({ reverse })
      assert.equal(cursor.skip(0), 0)
      assert.equal(cursor.skip(123), 123)
      assert.ok(cursor.next())
      assert.equal(cursor.key.toString('latin1', 0, cursor.keyLength), reverse ? 'key000876' : 'key000123')
      assert.equal(cursor.skip(10_000), 876)
      assert.equal(cursor.next(), false)
      assert.ok(cursor.previous())
    }
  })
})

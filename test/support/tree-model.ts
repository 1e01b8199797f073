/** A tree next to a plain map that must always hold the same, and the operations tests run on both. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { checkTree, type TreeReport } from '../../src/tree/check.js'
import { Cursor, type KeyRange } from '../../src/tree/cursor.js'
import { Tree } from '../../src/tree/tree.js'
import { TreePool } from './tree-pool.js'

export type Operation =
  | { readonly type: 'put'; readonly key: Buffer; readonly size: number; readonly fill: number }
  | { readonly type: 'delete' | 'find'; readonly key: Buffer }
  | { readonly type: 'deleteRange' | 'walk'; readonly range: KeyRange }
  | { readonly type: 'stroll'; readonly range: KeyRange; readonly steps: readonly number[] }
  | { readonly type: 'savepoint' | 'rollback' | 'release' | 'commit' | 'abort' | 'clear' | 'check' }

export class TreeModel {
  readonly pool: TreePool
  readonly tree: Tree
  readonly emptyPages: number
  map = new Map<string, Buffer>()
  private committed = new Map<string, Buffer>()
  private readonly savepoints: Map<string, Buffer>[] = []
  private readonly scratch = Buffer.alloc(2048)
  private sortedKeys: Buffer[] | undefined

  constructor(pages = 256) {
    this.pool = new TreePool(pages, { segmentShift: 12 })
    this.tree = new Tree(this.pool, Tree.create(this.pool, 3), 3)
    this.pool.commit()
    this.emptyPages = this.pool.allocator.countAllocated()
  }

  run(operation: Operation): void {
    switch (operation.type) {
      case 'put':
        return this.put(operation.key, makeValue(operation.size, operation.fill))
      case 'delete':
        return this.delete(operation.key)
      case 'find':
        return this.find(operation.key)
      case 'deleteRange':
        return this.deleteRange(operation.range)
      case 'walk':
        return this.walk(operation.range)
      case 'stroll':
        return this.stroll(operation.range, operation.steps)
      case 'savepoint':
        if (this.savepoints.length > 4) return
        this.pool.space.setSavepoint()
        this.savepoints.push(new Map(this.map))
        return
      case 'rollback':
        if (this.savepoints.length > 0) {
          this.pool.space.rollback()
          this.pool.allocator.aborted()
          this.tree.version++
          this.replaceMap(this.savepoints.pop() ?? this.map)
        }
        return
      case 'release':
        if (this.savepoints.pop() !== undefined) this.pool.space.release()
        return
      case 'commit':
        return this.commit()
      case 'abort':
        this.savepoints.length = 0
        this.pool.abort()
        this.tree.version++
        this.replaceMap(new Map(this.committed))
        return
      case 'clear':
        assert.equal(this.tree.clear(), this.map.size)
        this.replaceMap(new Map())
        return
      case 'check':
        this.check()
        return
    }
  }

  put(key: Buffer, value: Buffer): void {
    const isNew = this.tree.put(this.load(key), key.length, value)
    const name = key.toString('latin1')
    assert.equal(isNew, !this.map.has(name), 'put reports whether the key is new')
    if (isNew) this.sortedKeys = undefined
    this.map.set(name, value)
  }

  delete(key: Buffer): void {
    const removed = this.tree.delete(this.load(key), key.length)
    assert.equal(removed, this.map.delete(key.toString('latin1')))
    if (removed) this.sortedKeys = undefined
  }

  find(key: Buffer): void {
    const expected = this.map.get(key.toString('latin1'))
    assert.equal(this.tree.find(this.load(key), key.length), expected !== undefined)
    if (expected !== undefined) assert.deepEqual(valueOf(this.tree), expected)
  }

  deleteRange(range: KeyRange): void {
    const keys = this.keysIn({ ...range, reverse: false })
    assert.equal(this.tree.deleteRange(range), keys.length)
    for (const key of keys) this.map.delete(key.toString('latin1'))
    this.sortedKeys = undefined
  }

  /** Walks a range from end to end in every way there is. */
  walk(range: KeyRange): void {
    const keys = this.keysIn(range)
    const cursor = new Cursor(this.tree)
    cursor.seek(range)
    for (const key of keys) {
      assert.ok(cursor.next(), 'the cursor ends too early')
      this.assertAt(cursor, key)
    }
    assert.equal(cursor.next(), false)
    assert.equal(cursor.next(), false)
    for (let i = keys.length - 1; i >= 0; i--) {
      assert.ok(cursor.previous())
      this.assertAt(cursor, keys[i])
    }
    assert.equal(cursor.previous(), false)
    assert.equal(this.tree.count(range), keys.length)
    cursor.seek(range)
    let at = 0
    const visited = cursor.scan((row) => {
      const length = row.copyKey(this.scratch, 5)
      assert.deepEqual(this.scratch.subarray(5, 5 + length), keys[at])
      assert.deepEqual(valueOf(row), this.map.get(keys[at].toString('latin1')))
      return ++at < 1000
    })
    assert.equal(visited, Math.min(keys.length, 1000))
    if (visited < keys.length) {
      assert.ok(cursor.next())
      this.assertAt(cursor, keys[visited])
    }
  }

  /** Wanders about in a range; writes between the steps, so that the cursor has to find its place again. */
  stroll(range: KeyRange, steps: readonly number[]): void {
    const cursor = new Cursor(this.tree)
    cursor.seek(range)
    let keys = this.keysIn(range)
    let at = -1
    for (const step of steps) {
      if (step >= 100) {
        // Remove the entry under the cursor, or one somewhere else.
        if (keys.length === 0) continue
        if (at === -1 || at === keys.length) continue
        const victim = step % 2 === 0 ? at : step % keys.length
        this.delete(keys[victim])
        const here = keys[at]
        keys = this.keysIn(range)
        // The cursor stays between the neighbours: model that as the next step's starting point.
        const order = range.reverse === true ? -1 : 1
        const later = keys.findIndex((key) => Buffer.compare(key, here) * order > 0)
        const after = later === -1 ? keys.length : later
        if (cursor.next()) {
          assert.ok(after < keys.length, 'the cursor found an entry behind the end')
          at = after
          this.assertAt(cursor, keys[at])
        } else {
          assert.equal(after, keys.length)
          at = keys.length
        }
      } else if (step >= 50) {
        const wanted = step - 50
        const rest = keys.length - 1 - at
        const skipped = cursor.skip(wanted)
        const possible = at === keys.length ? 0 : Math.min(wanted, rest)
        assert.equal(skipped, possible)
        at = at === keys.length || wanted > rest ? keys.length : at + wanted
      } else if (step % 3 !== 0) {
        const moved = cursor.next()
        at = Math.min(at + 1, keys.length)
        assert.equal(moved, at < keys.length)
        if (moved) this.assertAt(cursor, keys[at])
      } else {
        const moved = cursor.previous()
        at = Math.max(at - 1, -1)
        assert.equal(moved, at >= 0)
        if (moved) this.assertAt(cursor, keys[at])
      }
    }
  }

  commit(): void {
    this.savepoints.length = 0
    this.pool.commit()
    this.tree.version++
    this.committed = new Map(this.map)
  }

  /** The tree is sound, owns exactly the pages that are allocated, and counts right. */
  check(): TreeReport {
    const owned = new Set<number>()
    const report = checkTree(this.pool, this.tree.rootPage, (page, pages) => {
      for (let i = page; i < page + pages; i++) {
        assert.ok(!owned.has(i), `page ${i} is owned twice`)
        assert.ok(this.pool.allocator.isAllocated(i), `page ${i} is in use but not allocated`)
        owned.add(i)
      }
    })
    assert.deepEqual(report.problems, [])
    assert.equal(report.entries, this.map.size)
    assert.equal(this.tree.entryCount, this.map.size)
    // The root is one of the pages that an empty tree has.
    assert.equal(this.pool.allocator.countAllocated() - this.emptyPages, owned.size - 1, 'pages leaked')
    return report
  }

  keysIn(range: KeyRange): Buffer[] {
    this.sortedKeys ??= [...this.map.keys()]
      .map((name) => Buffer.from(name, 'latin1'))
      .sort((a, b) => Buffer.compare(a, b))
    const keys = this.sortedKeys.filter(
      (key) =>
        (range.gt === undefined || Buffer.compare(key, range.gt) > 0) &&
        (range.gte === undefined || Buffer.compare(key, range.gte) >= 0) &&
        (range.lt === undefined || Buffer.compare(key, range.lt) < 0) &&
        (range.lte === undefined || Buffer.compare(key, range.lte) <= 0),
    )
    return range.reverse === true ? keys.reverse() : keys
  }

  private replaceMap(map: Map<string, Buffer>): void {
    this.map = map
    this.sortedKeys = undefined
  }

  private assertAt(cursor: Cursor, key: Buffer): void {
    assert.deepEqual(cursor.key.subarray(0, cursor.keyLength), key)
    assert.deepEqual(valueOf(cursor), this.map.get(key.toString('latin1')))
  }

  private load(key: Buffer): Buffer {
    // Garbage behind the key must not matter.
    this.scratch.fill(0xa5)
    key.copy(this.scratch)
    return this.scratch
  }
}

/** The value a tree or cursor stands on. */
export function valueOf(holder: Tree | Cursor): Buffer {
  return Buffer.from(holder.valueView.u8.subarray(holder.valueStart, holder.valueStart + holder.valueLength))
}

export function makeValue(size: number, fill: number): Buffer {
  const value = Buffer.alloc(size)
  for (let i = 0; i < size; i++) value[i] = fill * 31 + i * 7
  return value
}

const small = fc.nat(60)

/** Keys that meet often, share prefixes of all lengths, and stand next to each other in every way bytes allow. */
export const keys: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 6, arbitrary: fc.nat(400).map((n) => Buffer.from(`user:${n}`)) },
  { weight: 2, arbitrary: fc.nat(5000).map((n) => Buffer.from([0, 0, n >>> 8, n & 255])) },
  { weight: 2, arbitrary: fc.nat(12).map((n) => Buffer.alloc(n)) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(small, fc.nat(4))
      .map(([n, zeros]) => Buffer.concat([Buffer.from(`a${n % 7}`), Buffer.alloc(zeros)])),
  },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes)) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom(5, 100, 700, 1200, 1960), small, fc.nat(3))
      .map(([length, n, kind]) => Buffer.from('pqrs'[kind].repeat(length) + String(n))),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(small, fc.integer({ min: 1, max: 1978 }))
      .map(([n, length]) => Buffer.alloc(length, String.fromCharCode(65 + n))),
  },
  { weight: 1, arbitrary: fc.constantFrom(0xff, 0, 0x80).map((byte) => Buffer.alloc(1978, byte)) },
)

const sizes = fc.oneof(
  { weight: 8, arbitrary: fc.nat(150) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 2100 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1900, max: 10000 }) },
)

const bound = fc.option(keys, { nil: undefined, freq: 4 })

export const ranges: fc.Arbitrary<KeyRange> = fc
  .tuple(bound, bound, fc.boolean(), fc.boolean(), fc.boolean())
  .map(([lower, upper, lowerOpen, upperOpen, reverse]) => ({
    [lowerOpen ? 'gt' : 'gte']: lower,
    [upperOpen ? 'lt' : 'lte']: upper,
    reverse,
  }))

/** Ranges a little apart only, so that a deletion leaves something. */
const narrowRanges: fc.Arbitrary<KeyRange> = fc
  .tuple(fc.nat(400), fc.nat(60), fc.boolean())
  .map(([from, width, inclusive]) => ({
    gte: Buffer.from(`user:${from}`),
    [inclusive ? 'lte' : 'lt']: Buffer.from(`user:${from + width}`),
  }))

const puts = fc.record({ type: fc.constant('put' as const), key: keys, size: sizes, fill: fc.nat(255) })

export function operations(writesOnly = false): fc.Arbitrary<Operation> {
  const plain = (type: 'savepoint' | 'rollback' | 'release' | 'commit' | 'abort' | 'clear' | 'check') =>
    fc.constant<Operation>({ type })
  const writes: fc.WeightedArbitrary<Operation>[] = [
    { weight: 60, arbitrary: puts },
    { weight: 25, arbitrary: fc.record({ type: fc.constant('delete' as const), key: keys }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('deleteRange' as const), range: narrowRanges }) },
    { weight: 5, arbitrary: plain('commit') },
  ]
  if (writesOnly) return fc.oneof(...writes)
  return fc.oneof(
    ...writes,
    { weight: 1, arbitrary: fc.record({ type: fc.constant('deleteRange' as const), range: ranges }) },
    { weight: 10, arbitrary: fc.record({ type: fc.constant('find' as const), key: keys }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('walk' as const), range: ranges }) },
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constant('stroll' as const),
        range: ranges,
        steps: fc.array(fc.nat(110), { maxLength: 40 }),
      }),
    },
    { weight: 3, arbitrary: plain('savepoint') },
    { weight: 2, arbitrary: plain('rollback') },
    { weight: 2, arbitrary: plain('release') },
    { weight: 1, arbitrary: plain('abort') },
    { weight: 3, arbitrary: plain('check') },
    { weight: 1, arbitrary: plain('clear') },
  )
}

import assert from 'node:assert/strict'
import type { Keyspace, KeyEncoding, RangeOptions, Store, ValueEncoding, AnyKey } from '../../src/index.js'
import { storeOn } from '../../src/api/open.js'
import { throwsCode } from '../api/support.js'
import { type Content, Model } from './model.js'
import type { Operation, Span, Write } from './operations.js'
import { valuePool } from './pools.js'
import type { Reopenable } from './reopenable.js'

const SPACES = ['', 'second', 'third']

type AnyKeyspace = Keyspace<AnyKey, unknown>

class Abort extends Error {}

/** An iterator and what it has given so far. */
interface Walker {
  readonly space: number
  readonly keyspace: AnyKeyspace
  readonly span: Span
  readonly rows: IterableIterator<[AnyKey, unknown]>
  given: number
  last: number | undefined
}

/** Runs operations on a store and on the model, and compares everything they answer. */
export class Runner {
  /** Operations run so far, those inside transactions and bulk writes included. */
  count = 0
  private readonly model: Model
  private readonly values: unknown[]
  private store: Store
  private readonly walkers: Walker[] = []
  private contents: Content[] = SPACES.map(() => new Map<number, number>())

  constructor(
    private readonly keyEncoding: KeyEncoding,
    private readonly valueEncoding: ValueEncoding,
    private readonly pool: Reopenable,
  ) {
    this.model = new Model(keyEncoding)
    this.values = valuePool(valueEncoding)
    this.store = this.openStore()
  }

  run(operations: readonly Operation[]): void {
    for (const operation of operations) this.apply(operation)
  }

  /** Compares all contents, checks the pool and closes it. */
  finish(): void {
    this.compareAll()
    this.store.close()
    this.store = this.openStore()
    this.compareAll()
    this.store.close()
  }

  private openStore(): Store {
    return storeOn(this.pool.open(), { keyEncoding: this.keyEncoding, valueEncoding: this.valueEncoding }) as Store
  }

  private space(index: number): AnyKeyspace {
    const { keyEncoding, valueEncoding } = this
    return this.store.keyspace(SPACES[index], { keyEncoding, valueEncoding })
  }

  private key(index: number): AnyKey {
    return this.model.keys[index]
  }

  private compareAll(): void {
    const report = this.store.check()
    assert.deepEqual(report.problems, [])
    SPACES.forEach((_, index) => {
      const rows = this.model.rows(this.contents[index], WHOLE)
      assert.deepEqual([...this.space(index)], this.pairs(index, rows))
      assert.equal(this.space(index).count(), rows.length)
    })
  }

  private pairs(space: number, rows: readonly number[]): [AnyKey, unknown][] {
    return rows.map((key) => [this.key(key), this.valueOf(space, key)])
  }

  private valueOf(space: number, key: number): unknown {
    const value = this.contents[space]?.get(key)
    return value === undefined ? undefined : this.values[value]
  }

  private write(keyspace: AnyKeyspace, content: Content, write: Write): void {
    this.count++
    if (write.op === 'put') {
      keyspace.put(this.key(write.key), this.values[write.value])
      content.set(write.key, write.value)
    } else {
      assert.equal(keyspace.delete(this.key(write.key)), content.delete(write.key))
    }
  }

  private apply(operation: Operation): void {
    this.count++
    const { space } = operation
    const keyspace = this.space(space)
    const content = this.contents[space]
    switch (operation.op) {
      case 'put':
      case 'delete':
        this.count--
        this.write(keyspace, content, operation)
        return
      case 'get':
        assert.deepEqual(keyspace.get(this.key(operation.key)), this.valueOf(space, operation.key))
        assert.equal(keyspace.has(this.key(operation.key)), content.has(operation.key))
        return
      case 'view':
        this.applyView(keyspace, content, operation.key)
        return
      case 'getMany':
        assert.deepEqual(
          keyspace.getMany(operation.keys.map((key) => this.key(key))),
          operation.keys.map((key) => this.valueOf(space, key)),
        )
        return
      case 'fill':
        this.count--
        for (let i = 0; i < operation.count; i++) {
          const key = (operation.from + i * operation.step) % this.model.keys.length
          this.write(keyspace, content, { op: 'put', key, value: (operation.value + i) % this.values.length })
        }
        return
      case 'putIfAbsent': {
        const absent = !content.has(operation.key)
        assert.equal(keyspace.putIfAbsent(this.key(operation.key), this.values[operation.value]), absent)
        if (absent) content.set(operation.key, operation.value)
        return
      }
      case 'compareAndSet':
        this.applyCompareAndSet(keyspace, content, operation)
        return
      case 'update':
        this.applyUpdate(keyspace, content, operation)
        return
      case 'deleteRange': {
        const options = this.model.options(operation.bounds)
        if (Object.keys(options).length === 0) return
        const keys = this.model.within(content, operation.bounds)
        assert.equal(keyspace.deleteRange(options), keys.length)
        for (const key of keys) content.delete(key)
        assert.equal(keyspace.count(), content.size)
        return
      }
      case 'clear':
        keyspace.clear()
        content.clear()
        return
      case 'batch':
        this.applyBatch(keyspace, content, operation)
        return
      case 'range':
        this.compareRange(space, keyspace, operation.span)
        return
      case 'ends': {
        const keys = this.model.within(content, operation.bounds)
        const options = this.model.options(operation.bounds)
        assert.deepEqual(keyspace.first(options), this.pairs(space, keys.slice(0, 1))[0])
        assert.deepEqual(keyspace.last(options), this.pairs(space, keys.slice(-1))[0])
        return
      }
      case 'walk':
        this.walk(space, keyspace, operation)
        return
      case 'open':
        if (this.walkers.length > 3) this.walkers.shift()
        this.walkers.push(this.walker(space, keyspace, operation.span))
        return
      case 'step':
        this.stepWalker(operation)
        return
      case 'bad':
        this.applyBad(keyspace, operation)
        return
      case 'drop':
        if (space === 0) return
        assert.equal(this.store.dropKeyspace(SPACES[space]), true)
        throwsCode(() => keyspace.count(), 'CLOSED')
        content.clear()
        return
      case 'reopen':
        if (operation.cleanly) this.store.close()
        this.store = this.openStore()
        this.walkers.length = 0
        return
      case 'check':
        assert.deepEqual(this.store.check().problems, [])
        return
      case 'transaction':
        this.applyTransaction(operation)
    }
  }

  private applyView(keyspace: AnyKeyspace, content: Content, key: number): void {
    const bytes = keyspace.getBinary(this.key(key))
    assert.equal(bytes !== undefined, content.has(key))
    const equal = keyspace.withView(this.key(key), (view) => {
      throwsCode(() => keyspace.put(this.key(key), this.values[0]), 'BUSY')
      return view.equals(bytes as Buffer)
    })
    assert.equal(equal, content.has(key) ? true : undefined)
  }

  private applyCompareAndSet(
    keyspace: AnyKeyspace,
    content: Content,
    operation: Extract<Operation, { op: 'compareAndSet' }>,
  ): void {
    const { key } = operation
    const current = content.get(key)
    const expected =
      operation.expected === 'current' ? current : operation.expected === 'none' ? undefined : operation.expected
    const next = operation.next === 'none' ? undefined : operation.next
    const matches = keyspace.compareAndSet(
      this.key(key),
      expected === undefined ? undefined : this.values[expected],
      next === undefined ? undefined : this.values[next],
    )
    assert.equal(matches, current === expected)
    if (!matches) return
    if (next === undefined) content.delete(key)
    else content.set(key, next)
  }

  private applyUpdate(keyspace: AnyKeyspace, content: Content, operation: Extract<Operation, { op: 'update' }>): void {
    const { key, value } = operation
    const current = content.get(key)
    const change = (given: unknown): unknown => {
      assert.deepEqual(given, current === undefined ? undefined : this.values[current])
      if (value === 'throw') {
        // Taken back with the rest.
        keyspace.put(this.key(key), this.values[1])
        throw new Abort()
      }
      return value === 'none' ? undefined : this.values[value]
    }
    if (value === 'throw') assert.throws(() => keyspace.update(this.key(key), change), Abort)
    else keyspace.update(this.key(key), change)
    if (value === 'none') content.delete(key)
    else if (value !== 'throw') content.set(key, value)
  }

  private applyBatch(keyspace: AnyKeyspace, content: Content, operation: Extract<Operation, { op: 'batch' }>): void {
    const batch = operation.writes.map((write) =>
      write.op === 'put'
        ? { type: 'put' as const, key: this.key(write.key), value: this.values[write.value] }
        : { type: 'del' as const, key: this.key(write.key) },
    )
    this.count += batch.length
    if (operation.fails) {
      const bad = { type: 'put' as const, key: this.key(0), value: undefined }
      throwsCode(() => keyspace.batch([...batch, bad]), 'INVALID_ARGUMENT')
      return
    }
    keyspace.batch(batch)
    for (const write of operation.writes) {
      if (write.op === 'put') content.set(write.key, write.value)
      else content.delete(write.key)
    }
  }

  private applyBad(keyspace: AnyKeyspace, operation: Extract<Operation, { op: 'bad' }>): void {
    const key = this.key(operation.key)
    const before = keyspace.count()
    switch (operation.way) {
      case 0:
        throwsCode(() => keyspace.put(key, undefined), 'INVALID_ARGUMENT')
        break
      case 1:
        throwsCode(() => keyspace.put(undefined as never, this.values[0]), 'INVALID_ARGUMENT')
        break
      case 2:
        throwsCode(() => keyspace.range({ gt: key, gte: key }), 'INVALID_ARGUMENT')
        break
      default: {
        const long = { ordered: 'x'.repeat(2000), utf8: 'x'.repeat(2000), binary: Buffer.alloc(2000), uint32: -1 }[
          this.keyEncoding
        ]
        throwsCode(
          () => keyspace.put(long, this.values[0]),
          this.keyEncoding === 'uint32' ? 'INVALID_ARGUMENT' : 'KEY_TOO_LONG',
        )
      }
    }
    assert.equal(keyspace.count(), before)
  }

  private compareRange(space: number, keyspace: AnyKeyspace, span: Span): void {
    const rows = this.model.rows(this.contents[space], span)
    const pairs = this.pairs(space, rows)
    const options = this.spanOptions(span)
    assert.deepEqual([...keyspace.range(options)], pairs)
    assert.deepEqual(
      [...keyspace.keys(options)],
      pairs.map(([key]) => key),
    )
    assert.deepEqual(
      [...keyspace.values(options)],
      pairs.map(([, value]) => value),
    )
    assert.equal(keyspace.count(options), rows.length)
    let index = 0
    const visited = keyspace.forEach(options, (key) => {
      assert.deepEqual(key, pairs[index++]?.[0])
    })
    assert.equal(visited, rows.length)
    index = 0
    keyspace.scan(options, ({ valueBuffer, valueStart, valueEnd }) => {
      const bytes = keyspace.getBinary(pairs[index++]?.[0])
      assert.equal(bytes?.compare(valueBuffer, valueStart, valueEnd), 0)
    })
    assert.equal(index, rows.length)
  }

  /** An iterator under changes made by its own loop. */
  private walk(space: number, keyspace: AnyKeyspace, operation: Extract<Operation, { op: 'walk' }>): void {
    const content = this.contents[space]
    const walker: Walker = this.walker(space, keyspace, operation.span)
    for (let step = 0; step < 40; step++) {
      for (const [at, write] of operation.changes) if (at === step) this.write(keyspace, content, write)
      if (!this.step(walker)) break
    }
  }

  private walker(space: number, keyspace: AnyKeyspace, span: Span): Walker {
    return { space, keyspace, span, rows: keyspace.range(this.spanOptions(span)), given: 0, last: undefined }
  }

  /** Every row must be the one that follows the last in the state of this moment; false at the end. */
  private step(walker: Walker): boolean {
    const { space, span, last } = walker
    const content = this.contents[space]
    const exhausted = walker.given >= (span.limit ?? Infinity)
    const following = last === undefined ? this.model.rows(content, span)[0] : this.model.after(content, span, last)
    const expected = exhausted ? undefined : following
    const next = walker.rows.next()
    assert.equal(next.done === true, expected === undefined)
    if (expected === undefined) return false
    assert.deepEqual(next.value, this.pairs(space, [expected])[0])
    walker.last = expected
    walker.given++
    return true
  }

  /** Steps an iterator opened some operations ago, perhaps in a transaction that has ended since. */
  private stepWalker(operation: Omit<Extract<Operation, { op: 'step' }>, 'space'>): void {
    const walker = this.walkers.at(operation.which)
    if (walker === undefined) return
    // Its keyspace may have been dropped, or its creation aborted.
    let alive = walker.keyspace === this.space(walker.space)
    for (let i = 0; alive && i < operation.times; i++) alive = this.step(walker)
    if (!alive) this.walkers.splice(operation.which, 1)
  }

  private applyTransaction(operation: Extract<Operation, { op: 'transaction' }>): void {
    const before = this.contents.map((content) => new Map(content))
    const action = (): void => {
      for (const inner of operation.operations) this.apply(inner)
      if (operation.abort) throw new Abort()
    }
    if (operation.abort) {
      assert.throws(() => this.store.transaction(action), Abort)
      this.contents = before
    } else {
      this.store.transaction(action)
    }
    // The pages iterators stand in have moved or are gone.
    for (let which = this.walkers.length - 1; which >= 0; which--) {
      this.stepWalker({ op: 'step', which, times: 1 })
    }
  }

  private spanOptions(span: Span): RangeOptions<AnyKey> {
    const { reverse, limit, offset } = span
    return { ...this.model.options(span), reverse, limit, offset }
  }
}

const WHOLE: Span = { lowerOpen: false, upperOpen: false, reverse: false }

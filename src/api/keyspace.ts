import { copyBytes } from '../codec/copy-bytes.js'
import { KEY_TARGET_BYTES, type KeyCodec } from '../codec/key-codec.js'
import type { ValueCodec } from '../codec/value-codec.js'
import { DaxkvError } from '../errors.js'
import { Cursor } from '../tree/cursor.js'
import type { Tree } from '../tree/tree.js'
import { checkFunction, checkIterable, checkOperation, valueTooLarge } from './arguments.js'
import { planBounds, planDeletion, planRange, type RangePlan } from './bounds.js'
import { isThenable, STATES_UNREADABLE, STATE_BUSY, STATE_DOOMED, type StoreContext } from './context.js'
import { type CursorSource, KeyIterator, RowIterator, ValueIterator } from './iterators.js'
import type { Keyspace } from './keyspace-interface.js'
import type { KeyBounds, RangeOptions, WriteOptions } from './options.js'
import { CursorRow } from './scan-row.js'
import type { BatchOperation, KeyEncoding, ScanRow, ValueEncoding } from './types.js'

/** Encoded key of the operation under way; operations are synchronous, so one for all stores will do. */
const keyScratch = Buffer.alloc(KEY_TARGET_BYTES)
const keyScratchWords = new Int32Array(keyScratch.buffer, keyScratch.byteOffset, KEY_TARGET_BYTES / 4)

/**
 * One keyspace of an open store. Hot paths (get, put, delete, withView) are flat and free of closures and allocations
 * of their own; `npm run bench` would notice otherwise.
 */
export class KeyspaceHandle<K, V> implements Keyspace<K, V>, CursorSource {
  readonly keyEncoding: KeyEncoding
  readonly valueEncoding: ValueEncoding
  /** STATE_DROPPED once the keyspace is gone, else 0. */
  state = 0
  /** Cursors to use again: each holds a key buffer. */
  private readonly cursors: Cursor[] = []

  constructor(
    readonly context: StoreContext,
    readonly name: string,
    readonly tree: Tree,
    readonly keyCodec: KeyCodec<K>,
    readonly valueCodec: ValueCodec<V>,
  ) {
    this.keyEncoding = keyCodec.name
    this.valueEncoding = valueCodec.name
  }

  get(key: K): V | undefined {
    const { context, tree } = this
    if (((context.state | this.state) & STATES_UNREADABLE) !== 0) throw this.readRefusal()
    let value: V | undefined
    try {
      if (tree.find(keyScratch, this.keyCodec.encode(key, keyScratch, 0))) {
        const { valueStart } = tree
        value = this.valueCodec.decode(tree.valueView.u8, valueStart, valueStart + tree.valueLength)
      }
    } catch (error) {
      throw context.readError(error)
    }
    context.engine.checkFault()
    return value
  }

  getBinary(key: K): Buffer | undefined {
    if (!this.find(key)) return undefined
    const { tree, context } = this
    const { valueStart } = tree
    const bytes = copyBytes(tree.valueView.u8, valueStart, valueStart + tree.valueLength)
    context.engine.checkFault()
    return bytes
  }

  withView<T>(key: K, use: (view: Buffer) => T): T | undefined {
    checkFunction('withView', 'use', use)
    if (!this.find(key)) return undefined
    const { tree, context } = this
    const { valueView, valueStart } = tree
    let view = valueView.u8.subarray(valueStart, valueStart + tree.valueLength)
    // Staging memory is writable: a stray write must not reach it, so the transaction's own pages are shown as copies.
    if (context.engine.space.frameCount !== 0 && !context.engine.memory.segments.includes(valueView)) {
      view = Buffer.from(view)
    }
    const result = context.guarded(use, view)
    if (isThenable(result)) {
      throw new DaxkvError(
        'INVALID_ARGUMENT',
        'withView: the callback returned a Promise, but its view is valid inside only',
      )
    }
    return result
  }

  has(key: K): boolean {
    return this.find(key)
  }

  getMany(keys: Iterable<K>): (V | undefined)[] {
    checkIterable('getMany', 'keys', keys)
    const values: (V | undefined)[] = []
    for (const key of keys) values.push(this.get(key))
    return values
  }

  put(key: K, value: V, options?: WriteOptions): void {
    const { context } = this
    if ((context.state | this.state) !== 0) throw this.writeRefusal()
    const durability = options === undefined ? undefined : context.durabilityOf(options, 'put')
    const alone = context.beginIfNone()
    let changing = false
    try {
      const bytes = this.encodeValue(value)
      const keyLength = this.keyCodec.encode(key, keyScratch, 0)
      changing = true
      this.tree.put(keyScratch, keyLength, bytes, bytes.length)
      context.engine.checkFault()
    } catch (error) {
      throw context.writeError(alone, changing, error)
    }
    if (alone) context.commit(durability)
  }

  delete(key: K, options?: WriteOptions): boolean {
    const { context } = this
    if ((context.state | this.state) !== 0) throw this.writeRefusal()
    const durability = options === undefined ? undefined : context.durabilityOf(options, 'delete')
    const alone = context.beginIfNone()
    let changing = false
    let found: boolean
    try {
      const keyLength = this.keyCodec.encode(key, keyScratch, 0)
      changing = true
      found = this.tree.delete(keyScratch, keyLength)
      context.engine.checkFault()
    } catch (error) {
      throw context.writeError(alone, changing, error)
    }
    if (alone) context.commit(durability)
    return found
  }

  putAsync(key: K, value: V): Promise<void> {
    const { context, tree } = this
    try {
      if ((context.state | this.state) !== 0) throw this.writeRefusal()
      if (!context.collects()) {
        this.put(key, value)
        return DONE
      }
    } catch (error) {
      return rejected(error)
    }
    let bytes: Uint8Array
    let keyLength: number
    try {
      // New msgpack structures are saved by an operation of their own.
      bytes =
        this.valueEncoding === 'msgpack' ? context.runAside(() => this.encodeValue(value)) : this.encodeValue(value)
      keyLength = this.keyCodec.encode(key, keyScratch, 0)
      const promise = context.deferPut(tree, keyScratchWords, keyLength, bytes)
      if (promise !== undefined) return promise as Promise<undefined>
      context.beginOperation()
    } catch (error) {
      return rejected(context.readError(error))
    }
    try {
      tree.put(keyScratch, keyLength, bytes, bytes.length)
      context.engine.checkFault()
    } catch (error) {
      return rejected(context.writeError(true, true, error))
    }
    return context.engine.endOperation(undefined) as Promise<undefined>
  }

  deleteAsync(key: K): Promise<boolean> {
    const { context } = this
    try {
      if ((context.state | this.state) !== 0) throw this.writeRefusal()
      if (!context.beginOperation()) return Promise.resolve(this.delete(key))
    } catch (error) {
      return rejected(error)
    }
    let found: boolean
    try {
      found = this.tree.delete(keyScratch, this.keyCodec.encode(key, keyScratch, 0))
      context.engine.checkFault()
    } catch (error) {
      return rejected(context.writeError(true, true, error))
    }
    return context.engine.endOperation(found) as Promise<boolean>
  }

  batchAsync(operations: Iterable<BatchOperation<K, V>>): Promise<void> {
    const { context } = this
    try {
      if ((context.state | this.state) !== 0) throw this.writeRefusal()
      checkIterable('batchAsync', 'operations', operations)
      if (!context.beginOperation()) {
        this.batch(operations)
        return DONE
      }
    } catch (error) {
      return rejected(error)
    }
    try {
      this.apply(operations)
      if ((context.state & STATE_DOOMED) !== 0) throw context.readRefusal()
    } catch (error) {
      return rejected(context.writeError(true, true, error))
    }
    return context.engine.endOperation(undefined) as Promise<undefined>
  }

  deleteRange(bounds: KeyBounds<K>): number {
    const { context } = this
    if ((context.state | this.state) !== 0) throw this.writeRefusal()
    const plan = planDeletion(bounds, this.keyCodec)
    if (plan.empty) return 0
    return this.change(() => this.tree.deleteRange(plan.range))
  }

  clear(): void {
    const { context } = this
    if ((context.state | this.state) !== 0) throw this.writeRefusal()
    this.change(() => this.tree.clear())
  }

  batch(operations: Iterable<BatchOperation<K, V>>, options?: WriteOptions): void {
    const { context } = this
    if ((context.state | this.state) !== 0) throw this.writeRefusal()
    checkIterable('batch', 'operations', operations)
    const durability = options === undefined ? undefined : context.durabilityOf(options, 'batch')
    // A savepoint inside a transaction: all of the operations or none.
    context.run(
      () => {
        this.apply(operations)
      },
      'batch',
      durability,
    )
  }

  putIfAbsent(key: K, value: V): boolean {
    if (value === undefined) throw new DaxkvError('INVALID_ARGUMENT', 'putIfAbsent: undefined is not a value')
    return this.replace(key, undefined, value)
  }

  compareAndSet(key: K, expected: V | undefined, next: V | undefined): boolean {
    return this.replace(key, expected, next)
  }

  update(key: K, change: (current: V | undefined) => V | undefined): V | undefined {
    const { context } = this
    if ((context.state | this.state) !== 0) throw this.writeRefusal()
    checkFunction('update', 'change', change)
    return context.run(() => {
      const next = change(this.get(key))
      // A Promise is no value in any encoding: `run` refuses it, but it must not be stored first.
      if (isThenable(next)) return next
      if (next === undefined) this.delete(key)
      else this.put(key, next)
      return next
    }, 'update')
  }

  range(options?: RangeOptions<K>): IterableIterator<[K, V]> {
    return new RowIterator(this, this.plan(options, 'range'), this.keyCodec, this.valueCodec)
  }

  keys(options?: RangeOptions<K>): IterableIterator<K> {
    return new KeyIterator(this, this.plan(options, 'keys'), this.keyCodec)
  }

  values(options?: RangeOptions<K>): IterableIterator<V> {
    return new ValueIterator(this, this.plan(options, 'values'), this.valueCodec)
  }

  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.range()
  }

  forEach(options: RangeOptions<K>, visit: (key: K, value: V) => unknown): number {
    checkFunction('forEach', 'visit', visit)
    const plan = this.plan(options, 'forEach')
    if (plan.empty) return 0
    const { context, keyCodec, valueCodec } = this
    let visited = 0
    const cursor = this.startCursor(plan)
    while (visited < plan.limit) {
      let key: K
      let value: V
      try {
        if (!cursor.next()) break
        key = keyCodec.decode(cursor.key, 0, cursor.keyLength)
        const { valueStart } = cursor
        value = valueCodec.decode(cursor.valueView.u8, valueStart, valueStart + cursor.valueLength)
      } catch (error) {
        throw context.readError(error)
      }
      context.engine.checkFault()
      visited++
      if (visit(key, value) === false) break
      if (((context.state | this.state) & STATES_UNREADABLE) !== 0) throw this.readRefusal()
    }
    this.giveCursor(cursor)
    context.engine.checkFault()
    return visited
  }

  scan(options: RangeOptions<K>, visit: (row: ScanRow) => unknown): number {
    checkFunction('scan', 'visit', visit)
    const plan = this.plan(options, 'scan')
    if (plan.empty) return 0
    const cursor = this.startCursor(plan)
    const row = new CursorRow(cursor)
    let left = plan.limit
    const step = (): boolean => {
      row.keyFilled = false
      return visit(row) !== false && --left > 0
    }
    const visited = this.context.guarded(scanCursor, { cursor, step })
    this.giveCursor(cursor)
    return visited
  }

  first(bounds?: KeyBounds<K>): [K, V] | undefined {
    this.refuseUnreadable()
    return this.one(planBounds(bounds, this.keyCodec, 'first', false))
  }

  last(bounds?: KeyBounds<K>): [K, V] | undefined {
    this.refuseUnreadable()
    return this.one(planBounds(bounds, this.keyCodec, 'last', true))
  }

  count(options?: RangeOptions<K>): number {
    const plan = this.plan(options, 'count')
    if (plan.empty) return 0
    let entries: number
    try {
      entries = plan.whole ? this.tree.entryCount : this.tree.count(plan.range)
    } catch (error) {
      throw this.context.readError(error)
    }
    this.context.engine.checkFault()
    return Math.min(Math.max(0, entries - plan.offset), plan.limit)
  }

  /** A cursor in front of the first row of a plan. */
  startCursor(plan: RangePlan): Cursor {
    const cursor = this.cursors.pop() ?? new Cursor(this.tree)
    try {
      cursor.seek(plan.range)
      if (plan.offset > 0) cursor.skip(plan.offset)
    } catch (error) {
      throw this.context.readError(error)
    }
    this.context.engine.checkFault()
    return cursor
  }

  giveCursor(cursor: Cursor): void {
    if (this.cursors.length < KEPT_CURSORS) this.cursors.push(cursor)
  }

  readError(error: unknown): unknown {
    return this.context.readError(error)
  }

  refuseUnreadable(): void {
    if (((this.context.state | this.state) & STATES_UNREADABLE) !== 0) throw this.readRefusal()
  }

  checkFault(): void {
    this.context.engine.checkFault()
  }

  readRefusal(): unknown {
    return this.context.readRefusal(this.state === 0 ? undefined : this.name)
  }

  writeRefusal(): unknown {
    return this.context.writeRefusal(this.state === 0 ? undefined : this.name)
  }

  /** Looks a key up; the value fields of the tree hold what was found. */
  private find(key: K): boolean {
    const { context } = this
    if (((context.state | this.state) & STATES_UNREADABLE) !== 0) throw this.readRefusal()
    let found: boolean
    try {
      found = this.tree.find(keyScratch, this.keyCodec.encode(key, keyScratch, 0))
    } catch (error) {
      throw context.readError(error)
    }
    context.engine.checkFault()
    return found
  }

  /** The bytes of a value, valid until the next call. User code (`toJSON`, getters) may run inside: it must not write. */
  private encodeValue(value: V): Uint8Array {
    const { context } = this
    context.state |= STATE_BUSY
    let bytes: Uint8Array
    try {
      bytes = this.valueCodec.encode(value)
    } finally {
      context.state &= ~STATE_BUSY
    }
    if (bytes.length > context.maxValueBytes) throw valueTooLarge(bytes.length, context.maxValueBytes)
    return bytes
  }

  /** compareAndSet, and putIfAbsent as its case "nothing expected". */
  private replace(key: K, expected: V | undefined, next: V | undefined): boolean {
    const { context, tree } = this
    if ((context.state | this.state) !== 0) throw this.writeRefusal()
    if (expected === undefined && next === undefined) return !this.find(key)
    const alone = context.beginIfNone()
    let changing = false
    let matches: boolean
    try {
      const wanted = expected === undefined ? undefined : this.encodeValue(expected)
      const found = tree.find(keyScratch, this.keyCodec.encode(key, keyScratch, 0))
      matches = wanted === undefined ? !found : found && this.valueEquals(wanted)
      if (matches && next === undefined) {
        changing = true
        tree.delete(keyScratch, this.keyCodec.encode(key, keyScratch, 0))
      } else if (matches) {
        const bytes = this.encodeValue(next as V)
        // Again, because encoding the value may have run code that used the scratch.
        const keyLength = this.keyCodec.encode(key, keyScratch, 0)
        changing = true
        tree.put(keyScratch, keyLength, bytes, bytes.length)
      }
      context.engine.checkFault()
    } catch (error) {
      throw context.writeError(alone, changing, error)
    }
    if (alone) context.commit()
    return matches
  }

  /** The operations of a batch, inside a transaction. */
  private apply(operations: Iterable<BatchOperation<K, V>>): void {
    let index = 0
    for (const operation of operations) {
      checkOperation(operation, index++)
      if (operation.type === 'put') this.put(operation.key, operation.value)
      else this.delete(operation.key)
    }
  }

  private valueEquals(bytes: Uint8Array): boolean {
    const { valueView, valueStart, valueLength } = this.tree
    if (bytes.length !== valueLength) return false
    return valueView.u8.compare(bytes, 0, valueLength, valueStart, valueStart + valueLength) === 0
  }

  /** A write that takes no key: a range deletion, a clear. */
  private change<T>(action: () => T): T {
    const { context } = this
    const alone = context.beginIfNone()
    let result: T
    try {
      result = action()
      context.engine.checkFault()
    } catch (error) {
      throw context.writeError(alone, true, error)
    }
    if (alone) context.commit()
    return result
  }

  private plan(options: unknown, what: string): RangePlan {
    if (((this.context.state | this.state) & STATES_UNREADABLE) !== 0) throw this.readRefusal()
    return planRange(options, this.keyCodec, what)
  }

  private one(plan: RangePlan): [K, V] | undefined {
    const rows = new RowIterator(this, plan, this.keyCodec, this.valueCodec)
    const row = rows.next()
    rows.return()
    return row.done === true ? undefined : row.value
  }
}

/** What an asynchronous write that was committed at once returns. */
const DONE: Promise<void> = Promise.resolve()

function rejected(error: unknown): Promise<never> {
  return new Promise((_, reject) => {
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- codecs and iterables of the caller throw anything
    reject(error)
  })
}

/** Cursors kept for the next iteration: nested loops rarely go deeper. */
const KEPT_CURSORS = 4

function scanCursor(scan: { readonly cursor: Cursor; readonly step: () => boolean }): number {
  return scan.cursor.scan(scan.step)
}

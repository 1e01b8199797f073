/**
 * The iterators of `range`, `keys` and `values`: classes rather than generators, which cost a third more a row. The
 * cursor seeks again by itself, after the last key it gave, when the tree has changed since.
 */
import type { KeyCodec } from '../codec/key-codec.js'
import type { ValueCodec } from '../codec/value-codec.js'
import type { Cursor } from '../tree/cursor.js'
import type { RangePlan } from './bounds.js'

/** What an iterator needs of its keyspace. */
export interface CursorSource {
  startCursor(plan: RangePlan): Cursor
  giveCursor(cursor: Cursor): void
  /** Throws when the store is closed, the keyspace dropped ... */
  refuseUnreadable(): void
  checkFault(): void
  /** What to throw for an error of a read. */
  readError(error: unknown): unknown
}

abstract class RangeIterator<T> implements IterableIterator<T> {
  private cursor: Cursor | undefined
  private left: number

  constructor(
    private readonly source: CursorSource,
    private readonly plan: RangePlan,
  ) {
    this.left = plan.empty ? 0 : plan.limit
  }

  next(): IteratorResult<T, undefined> {
    const { source } = this
    if (this.left === 0) return this.return()
    source.refuseUnreadable()
    // Begun late: rows are current when they are returned, not when the iterator was made.
    const cursor = (this.cursor ??= source.startCursor(this.plan))
    let value: T
    try {
      if (!cursor.next()) return this.return()
      value = this.read(cursor)
    } catch (error) {
      throw source.readError(error)
    }
    source.checkFault()
    this.left--
    return { done: false, value }
  }

  return(): IteratorResult<T, undefined> {
    this.left = 0
    const { cursor } = this
    if (cursor !== undefined) {
      this.cursor = undefined
      this.source.giveCursor(cursor)
      this.source.checkFault()
    }
    return { done: true, value: undefined }
  }

  [Symbol.iterator](): this {
    return this
  }

  protected abstract read(cursor: Cursor): T
}

export class RowIterator<K, V> extends RangeIterator<[K, V]> {
  constructor(
    source: CursorSource,
    plan: RangePlan,
    private readonly keyCodec: KeyCodec<K>,
    private readonly valueCodec: ValueCodec<V>,
  ) {
    super(source, plan)
  }

  protected read(cursor: Cursor): [K, V] {
    const { valueStart } = cursor
    return [
      this.keyCodec.decode(cursor.key, 0, cursor.keyLength),
      this.valueCodec.decode(cursor.valueView.u8, valueStart, valueStart + cursor.valueLength),
    ]
  }
}

export class KeyIterator<K> extends RangeIterator<K> {
  constructor(
    source: CursorSource,
    plan: RangePlan,
    private readonly keyCodec: KeyCodec<K>,
  ) {
    super(source, plan)
  }

  protected read(cursor: Cursor): K {
    return this.keyCodec.decode(cursor.key, 0, cursor.keyLength)
  }
}

export class ValueIterator<V> extends RangeIterator<V> {
  constructor(
    source: CursorSource,
    plan: RangePlan,
    private readonly valueCodec: ValueCodec<V>,
  ) {
    super(source, plan)
  }

  protected read(cursor: Cursor): V {
    const { valueStart } = cursor
    return this.valueCodec.decode(cursor.valueView.u8, valueStart, valueStart + cursor.valueLength)
  }
}

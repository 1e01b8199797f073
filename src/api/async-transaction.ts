/**
 * Asynchronous transactions, optimistic and logical: writes wait in the transaction, reads are remembered, and both meet the
 * store in one synchronous step at the end. Nothing is locked or pinned in between, so an abandoned one costs nothing.
 */
import { KEY_TARGET_BYTES } from '../codec/key-codec.js'
import { DaxkvError } from '../errors.js'
import { checkOptions } from '../options.js'
import { Cursor } from '../tree/cursor.js'
import { MAX_KEY_BYTES } from '../tree/key.js'
import type { Durability } from '../tx/engine.js'
import { checkFunction, checkIterable, checkOperation, valueTooLarge } from './arguments.js'
import type { AsyncTransaction, TransactionKeyspace } from './async-transaction-interface.js'
import { planRange, type RangePlan } from './bounds.js'
import { DURABILITIES, isThenable, STATES_UNREADABLE, STATE_BUSY, type StoreContext } from './context.js'
import { KeyspaceHandle } from './keyspace.js'
import type { Keyspace } from './keyspace-interface.js'
import type { RangeOptions } from './options.js'
import { type RangeRead, ReadSet } from './read-set.js'
import type { StoreHandle } from './store.js'
import type { AnyKey, BatchOperation } from './types.js'
import { WriteSet } from './write-set.js'

const DEFAULT_MAX_RERUNS = 10
const OPTION_NAMES = ['onConflict', 'maxReruns', 'durability'] as const

type Action<T> = (tx: AsyncTransaction<AnyKey, unknown>) => Promise<T> | T

/** Runs `action` until it commits, fails, or has met too many conflicts. */
export async function runAsyncTransaction<T>(store: StoreHandle, action: Action<T>, options: unknown): Promise<T> {
  checkFunction('transactionAsync', 'action', action)
  const checked = checkOptions(options, OPTION_NAMES, 'transactionAsync')
  const onConflict = checked.oneOf('onConflict', ['rerun', 'error'], 'rerun')
  const maxReruns = checked.integer('maxReruns', DEFAULT_MAX_RERUNS)
  const durability = checked.oneOf('durability', DURABILITIES, undefined)
  const { context } = store
  for (let reruns = 0; ; reruns++) {
    if (context.state !== 0) throw context.writeRefusal()
    const tx = new TransactionHandle(context, store, reruns)
    try {
      const result = await action(tx)
      await tx.commit(durability)
      return result
    } catch (error) {
      // Whatever a callback makes of a conflict it was told of: it has seen a state that is no more.
      if (!tx.conflicted) throw error
      if (onConflict === 'error' || reruns >= maxReruns) throw tx.conflict(reruns)
    } finally {
      tx.end()
    }
  }
}

/** State of one run of the callback, shared by its keyspaces. */
class Run {
  readonly keyspaces = new Map<KeyspaceHandle<unknown, unknown>, TransactionKeyspaceHandle<unknown, unknown>>()
  ended = false
  conflicted = false
  /** What was read is known to be current as of this version of the tip. */
  private version: number
  private readonly abandonments: number

  constructor(readonly context: StoreContext) {
    this.version = context.engine.tipVersion
    this.abandonments = context.engine.abandonments
  }

  /** Before every call. */
  refuseEnded(): void {
    if (!this.ended) return
    const { path } = this.context.engine
    throw new DaxkvError(
      'CLOSED',
      `${path}: the asynchronous transaction has ended; its handle cannot be used any more`,
      {
        path,
      },
    )
  }

  /** Before every read and at the end: what was read must still be what is there, or the run is over. */
  validate(): void {
    const { engine } = this.context
    // What an open transaction has staged may still be taken back, and that would not count as a change.
    if (engine.depth !== 0) throw this.context.busy('be read by an asynchronous transaction inside another one')
    // Not while somebody holds a view: a group that is closed changes pages under it. What is missed then conflicts later.
    if ((this.context.state & STATE_BUSY) === 0) {
      engine.stageDeferred()
      engine.usable()
    }
    if (!this.conflicted && this.version === engine.tipVersion) return
    // Values may refer to msgpack structures that are gone with operations which had to be forgotten.
    this.conflicted ||= this.abandonments !== engine.abandonments || !engine.atTip(() => this.isCurrent())
    if (this.conflicted) throw this.conflict(0)
    this.version = engine.tipVersion
  }

  conflict(reruns: number): DaxkvError {
    const { path } = this.context.engine
    const again = reruns === 0 ? '' : ` (also after ${reruns} reruns)`
    return new DaxkvError(
      'CONFLICT',
      `${path}: something this asynchronous transaction has read was changed before it ended${again}; nothing of it was written`,
      { path },
    )
  }

  private isCurrent(): boolean {
    for (const keyspace of this.keyspaces.values()) if (!keyspace.isCurrent()) return false
    return true
  }
}

/** One keyspace within a transaction. */
class TransactionKeyspaceHandle<K, V> implements TransactionKeyspace<K, V> {
  private readonly reads: ReadSet
  readonly writes = new WriteSet()
  private readonly key = Buffer.alloc(KEY_TARGET_BYTES)

  constructor(
    protected readonly run: Run,
    readonly handle: KeyspaceHandle<K, V>,
  ) {
    this.reads = new ReadSet(handle.tree)
    run.keyspaces.set(handle, this)
  }

  get(key: K): V | undefined {
    const encoded = this.begin(key)
    if (this.writes.has(encoded)) return this.decode(this.writes.get(encoded))
    return this.read(encoded)
  }

  has(key: K): boolean {
    const encoded = this.begin(key)
    if (this.writes.has(encoded)) return this.writes.get(encoded) !== undefined
    return this.isThere(encoded)
  }

  getMany(keys: Iterable<K>): (V | undefined)[] {
    checkIterable('getMany', 'keys', keys)
    return Array.from(keys, (key) => this.get(key))
  }

  put(key: K, value: V): void {
    const encoded = this.beginWrite(key)
    this.writes.set(encoded, this.encodeValue(value))
  }

  delete(key: K): boolean {
    const found = this.has(key)
    this.writes.set(this.beginWrite(key), undefined)
    return found
  }

  batch(operations: Iterable<BatchOperation<K, V>>): void {
    checkIterable('batch', 'operations', operations)
    let index = 0
    for (const operation of operations) {
      checkOperation(operation, index++)
      if (operation.type === 'put') this.put(operation.key, operation.value)
      else this.writes.set(this.beginWrite(operation.key), undefined)
    }
  }

  putIfAbsent(key: K, value: V): boolean {
    if (this.has(key)) return false
    this.put(key, value)
    return true
  }

  update(key: K, change: (current: V | undefined) => V | undefined): V | undefined {
    checkFunction('update', 'change', change)
    const next = change(this.get(key))
    if (isThenable(next)) {
      throw new DaxkvError(
        'INVALID_ARGUMENT',
        'update: the callback returned a Promise; await it before, and put its result',
      )
    }
    if (next === undefined) this.writes.set(this.beginWrite(key), undefined)
    else this.put(key, next)
    return next
  }

  *range(options?: RangeOptions<K>): IterableIterator<[K, V]> {
    const { keyCodec } = this.handle
    for (const [key, value] of this.rows(options, 'range')) {
      yield [keyCodec.decode(key, 0, key.length), this.decode(value) as V] // rows have values
    }
  }

  *keys(options?: RangeOptions<K>): IterableIterator<K> {
    const { keyCodec } = this.handle
    for (const [key] of this.rows(options, 'keys')) yield keyCodec.decode(key, 0, key.length)
  }

  *values(options?: RangeOptions<K>): IterableIterator<V> {
    for (const [, value] of this.rows(options, 'values')) yield this.decode(value) as V // rows have values
  }

  isCurrent(): boolean {
    // A keyspace that was dropped is not what was read or is to be written.
    return this.handle.state === 0 && this.reads.isCurrent()
  }

  /** Writes everything to the tree, inside an operation or a transaction. */
  apply(): void {
    const { tree } = this.handle
    for (const [key, value] of this.writes) {
      const keyLength = this.key.write(key, 0, 'latin1')
      if (value === undefined) tree.delete(this.key, keyLength)
      else tree.put(this.key, keyLength, value)
    }
  }

  /** Rows of the store and of the transaction, merged step by step. */
  private *rows(options: unknown, what: string): Generator<[key: Buffer, value: Buffer]> {
    this.refuse()
    const plan = planRange(options, this.handle.keyCodec, what)
    if (plan.empty) return
    const merged = new MergedRows(this.run, this.handle, plan, this.reads.addRange(plan.range), this.writes)
    let left = plan.limit
    for (let passed = 0; left > 0;) {
      this.refuse()
      const row = merged.next()
      if (row === undefined) return
      if (passed++ < plan.offset) continue
      left--
      yield row
    }
  }

  private begin(key: K): string {
    this.refuse()
    return this.encodeKey(key)
  }

  private beginWrite(key: K): string {
    const { context } = this.run
    this.run.refuseEnded()
    if ((context.state | this.handle.state) !== 0) throw this.handle.writeRefusal()
    const encoded = this.encodeKey(key)
    if (encoded.length > MAX_KEY_BYTES) {
      throw new DaxkvError('KEY_TOO_LONG', `the key takes ${encoded.length} bytes, the limit is ${MAX_KEY_BYTES}`, {
        limit: MAX_KEY_BYTES,
        actual: encoded.length,
      })
    }
    return encoded
  }

  private refuse(): void {
    this.run.refuseEnded()
    if (((this.run.context.state | this.handle.state) & STATES_UNREADABLE) !== 0) throw this.handle.readRefusal()
    this.run.validate()
  }

  private encodeKey(key: K): string {
    return this.key.toString('latin1', 0, this.handle.keyCodec.encode(key, this.key, 0))
  }

  private decode(bytes: Buffer | undefined): V | undefined {
    return bytes === undefined ? undefined : this.handle.valueCodec.decode(bytes, 0, bytes.length)
  }

  private isThere(encoded: string): boolean {
    const { engine } = this.run.context
    const found = engine.atTip(() => {
      const there = this.handle.tree.find(this.key, encoded.length)
      this.reads.addPoint(encoded, there)
      return there
    })
    engine.checkFault()
    return found
  }

  private read(encoded: string): V | undefined {
    const { engine } = this.run.context
    const { tree, valueCodec } = this.handle
    const value = engine.atTip(() => {
      const found = tree.find(this.key, encoded.length)
      this.reads.addPoint(encoded, found)
      if (!found) return undefined
      // A copy: decoding may read structures, which uses the tree of the catalog, and staged pages move.
      return Buffer.from(tree.valueView.u8.subarray(tree.valueStart, tree.valueStart + tree.valueLength))
    })
    engine.checkFault()
    return value === undefined ? undefined : valueCodec.decode(value, 0, value.length)
  }

  /**
   * The bytes of a value, now: the caller may change the object later. New msgpack structures are saved by an operation of their
   * own; if the transaction does not commit they remain as names nobody uses yet.
   */
  private encodeValue(value: V): Buffer {
    const { context } = this.run
    const { valueCodec } = this.handle
    const encode = (): Buffer => {
      context.state |= STATE_BUSY
      try {
        return Buffer.from(valueCodec.encode(value))
      } finally {
        context.state &= ~STATE_BUSY
      }
    }
    const bytes = valueCodec.name === 'msgpack' ? context.runAside(encode) : encode()
    if (bytes.length > context.maxValueBytes) throw valueTooLarge(bytes.length, context.maxValueBytes)
    return bytes
  }
}

/** Goes through the rows of a range in the store and in the transaction at the same time. */
class MergedRows {
  private readonly cursor: Cursor
  /** The next row of the store, read but not given yet. */
  private key: string | undefined
  private value: Buffer | undefined
  private last: string | undefined

  constructor(
    private readonly run: Run,
    handle: { readonly tree: Cursor['tree'] },
    private readonly plan: RangePlan,
    private readonly read: RangeRead,
    private readonly writes: WriteSet,
  ) {
    this.cursor = new Cursor(handle.tree)
    this.cursor.seek(plan.range)
  }

  next(): [key: Buffer, value: Buffer] | undefined {
    for (;;) {
      this.peek()
      const own = this.nextOwn()
      const { key, value } = this
      const reverse = this.plan.range.reverse === true
      const takeOwn = own !== undefined && (key === undefined || (reverse ? own >= key : own <= key))
      if (takeOwn) {
        this.last = own
        // The transaction's version hides the store's.
        if (own === key) this.key = undefined
        const bytes = this.writes.get(own)
        if (bytes !== undefined) return [Buffer.from(own, 'latin1'), bytes]
      } else if (key !== undefined && value !== undefined) {
        this.last = key
        this.key = undefined
        return [Buffer.from(key, 'latin1'), value]
      } else {
        return undefined
      }
    }
  }

  private peek(): void {
    if (this.key !== undefined || this.read.ended) return
    const { cursor, read } = this
    const { engine } = this.run.context
    engine.atTip(() => {
      if (!cursor.next()) {
        read.ended = true
        return
      }
      read.add(cursor)
      this.key = cursor.key.toString('latin1', 0, cursor.keyLength)
      this.value = Buffer.from(cursor.valueView.u8.subarray(cursor.valueStart, cursor.valueStart + cursor.valueLength))
    })
    engine.checkFault()
  }

  private nextOwn(): string | undefined {
    const { range } = this.plan
    const reverse = range.reverse === true
    const inclusive = reverse ? range.lte : range.gte
    const exclusive = reverse ? range.lt : range.gt
    const start = inclusive ?? exclusive
    const own =
      this.last === undefined
        ? this.writes.next(start?.toString('latin1'), inclusive !== undefined, reverse)
        : this.writes.next(this.last, false, reverse)
    if (own === undefined) return undefined
    return this.isInside(own) ? own : undefined
  }

  private isInside(key: string): boolean {
    const { gt, gte, lt, lte } = this.plan.range
    if (gt !== undefined && key <= gt.toString('latin1')) return false
    if (gte !== undefined && key < gte.toString('latin1')) return false
    if (lt !== undefined && key >= lt.toString('latin1')) return false
    return lte === undefined || key <= lte.toString('latin1')
  }
}

/** The handle the callback gets. */
class TransactionHandle
  extends TransactionKeyspaceHandle<AnyKey, unknown>
  implements AsyncTransaction<AnyKey, unknown>
{
  constructor(
    context: StoreContext,
    store: StoreHandle,
    readonly reruns: number,
  ) {
    super(new Run(context), store)
  }

  get conflicted(): boolean {
    return this.run.conflicted
  }

  conflict(reruns: number): DaxkvError {
    return this.run.conflict(reruns)
  }

  in<K2, V2>(keyspace: Keyspace<K2, V2>): TransactionKeyspace<K2, V2> {
    this.run.refuseEnded()
    const { context } = this.run
    if (!(keyspace instanceof KeyspaceHandle) || keyspace.context !== context) {
      throw new DaxkvError('INVALID_ARGUMENT', 'tx.in: the argument must be a keyspace of the same store')
    }
    const handle = keyspace as KeyspaceHandle<unknown, unknown>
    const known = this.run.keyspaces.get(handle) ?? new TransactionKeyspaceHandle(this.run, handle)
    return known as unknown as TransactionKeyspace<K2, V2>
  }

  /** Validates, and writes everything as one operation. Resolves when that is durable. */
  async commit(durability: Durability | undefined): Promise<void> {
    const { run } = this
    const { context } = run
    if (context.state !== 0) throw context.writeRefusal()
    if (context.engine.depth !== 0) throw context.busy('commit an asynchronous transaction inside another one')
    run.validate()
    run.ended = true
    const written = [...run.keyspaces.values()].filter((keyspace) => keyspace.writes.size > 0)
    if (written.length === 0) {
      // What it has read may be staged only, and what it tells its caller must not be lost either.
      if (durability !== 'relaxed') await context.engine.tipDurable()
      return
    }
    const apply = (): void => {
      for (const keyspace of written) keyspace.apply()
      context.engine.checkFault()
    }
    if (durability !== 'relaxed' && context.beginOperation()) {
      try {
        apply()
      } catch (error) {
        throw context.writeError(true, true, error)
      }
      await context.engine.endOperation(undefined)
    } else {
      context.run(apply, 'transactionAsync', durability)
    }
  }

  end(): void {
    this.run.ended = true
  }
}

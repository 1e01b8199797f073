/**
 * The API layer: what programs call. It turns keys and values into bytes (`codec`), keyspaces into trees (`tree`) and
 * calls into transactions (`tx`), and imports from those layers only.
 *
 * The context is what all keyspaces of one open store share: the engine, the state that decides which calls are legal
 * now, and what must be put right beside the pages when a transaction is aborted (msgpack structures, handles made or
 * dropped inside it).
 */
import { DaxkvError } from '../errors.js'
import { checkOptions } from '../options.js'
import { PAGE_BYTES } from '../pmem/program.js'
import type { Catalog } from '../tree/catalog.js'
import type { Tree } from '../tree/tree.js'
import type { Durability, Engine } from '../tx/engine.js'
import type { OperationResult } from '../tx/settlements.js'
import { DeferredPuts } from './deferred-puts.js'

/** The store is closed. */
export const STATE_CLOSED = 1
/** A view of the pool is in somebody's hands, or a value is being encoded: nothing may be written. */
export const STATE_BUSY = 2
/** An operation failed after it had begun to change pages: the transaction around it can only be aborted. */
export const STATE_DOOMED = 4
/** A persist failed. */
export const STATE_POISONED = 8
export const STATE_READ_ONLY = 16
/** Of one keyspace: it was dropped, or the transaction that created it was aborted. */
export const STATE_DROPPED = 32

/** In these states a read is refused; a write is refused in every state but 0. */
export const STATES_UNREADABLE = STATE_CLOSED | STATE_DOOMED | STATE_POISONED | STATE_DROPPED

export const DURABILITIES = ['sync', 'relaxed'] as const satisfies readonly Durability[]
const WRITE_OPTIONS = ['durability'] as const

/** A codec with state that an abort can make wrong. */
export interface Resettable {
  reset(): void
}

export class StoreContext {
  /** Bits of STATE_...; 0 is "everything is legal". One load and one comparison at the start of each operation. */
  state: number
  /** Longest value: an extent lies in one segment. */
  readonly maxValueBytes: number
  /** Every tree in use; their cursors must seek again when pages have moved under them. */
  readonly trees = new Set<Tree>()
  /** Present where asynchronous writes are collected. */
  private readonly deferred: DeferredPuts | undefined

  private doom: unknown
  /** What to do beside the pages when the innermost transaction is aborted, and where each level's part begins. */
  private readonly undo: (() => void)[] = []
  private readonly undoMarks: number[] = []
  /** Codecs that saved structures in the open transaction. */
  private readonly savedStructures = new Set<Resettable>()
  private structureSaves = 0

  constructor(
    readonly engine: Engine,
    readonly catalog: Catalog,
  ) {
    this.state = engine.readOnly ? STATE_READ_ONLY : 0
    this.maxValueBytes = engine.geometry.maxExtentPages * PAGE_BYTES
    this.trees.add(catalog.tree)
    // From a failed persist on every call is refused, reads too; it may come between calls (an idle checkpoint).
    engine.onPoison = () => {
      this.state |= STATE_POISONED
    }
    engine.onPagesMoved = () => {
      this.movePages()
    }
    if (engine.collects) {
      this.deferred = new DeferredPuts(this)
      engine.deferred = this.deferred
    }
    engine.onAbandoned = () => {
      for (const codec of this.savedStructures) codec.reset()
      this.savedStructures.clear()
    }
  }

  /** Runs `action` as a transaction, inside another one as a savepoint. What it throws is thrown on after the abort. */
  run<T>(action: () => T, what: string, durability?: Durability): T {
    this.begin()
    let result: T
    try {
      result = action()
      if (isThenable(result)) throw this.refusePromise(result, what)
    } catch (error) {
      this.abort()
      throw withPath(error, this.engine.path)
    }
    this.commit(durability)
    this.movePages()
    return result
  }

  /** For a write of its own when no transaction is open; answers whether the caller has to commit it. */
  beginIfNone(): boolean {
    if (this.engine.depth !== 0) return false
    this.begin()
    return true
  }

  /** Whether an asynchronous write that begins now is collected; else it is committed at once. @throws DaxkvError BUSY */
  collects(): boolean {
    if (this.engine.depth !== 0) {
      throw this.busy('take asynchronous writes inside a transaction; write synchronously there')
    }
    return this.deferred !== undefined
  }

  /**
   * Begins one operation of the group of asynchronous writes being collected; `engine.endOperation` ends it, or `writeError`.
   * Answers false where nothing is collected: then the operation is committed at once. One that stands `aside` of the
   * others does not wait for those before it to be staged.
   */
  beginOperation(aside = false): boolean {
    if (!this.collects()) return false
    const { engine } = this
    // What an operation before has noted here (its iterable may open keyspaces) is undone with the group, not with this one.
    if (this.undo.length !== 0) this.undo.length = 0
    if (aside) engine.beginAside()
    else engine.beginOperation()
    return true
  }

  /**
   * Takes an asynchronous put, whose key lies in `words`, to be staged with others: its promise, or undefined when it has to be
   * an operation of its own.
   */
  deferPut(tree: Tree, words: Int32Array, keyLength: number, value: Uint8Array): Promise<OperationResult> | undefined {
    const { deferred, engine } = this
    if (deferred === undefined || !deferred.take(tree, words, keyLength, value)) return undefined
    return engine.deferOperation()
  }

  /**
   * Runs `action`, which may save msgpack structures but does nothing else to the store, as an operation of its own: it becomes
   * durable with whatever is committed next, so nobody needs to wait for it.
   */
  runAside<T>(action: () => T): T {
    const { engine } = this
    if (!this.beginOperation(true)) {
      this.beginIfNone()
      let result: T
      try {
        result = action()
      } catch (error) {
        throw this.writeError(true, false, error)
      }
      this.commit()
      return result
    }
    const saves = this.structureSaves
    let result: T
    try {
      result = action()
    } catch (error) {
      throw this.writeError(true, false, error)
    }
    if (this.structureSaves === saves) engine.endUnchanged()
    else engine.endOperation(undefined).catch(() => undefined)
    return result
  }

  /** The durability a write asks for, which only a transaction of its own has. @throws DaxkvError INVALID_ARGUMENT */
  durabilityOf(options: unknown, what: string): Durability | undefined {
    const durability = checkOptions(options, WRITE_OPTIONS, what).oneOf('durability', DURABILITIES, undefined)
    if (durability !== undefined && this.engine.depth !== 0) {
      throw new DaxkvError(
        'INVALID_ARGUMENT',
        `${what}: the durability is that of the outermost transaction; name it there`,
      )
    }
    return durability
  }

  /** Ends the innermost transaction. When it throws, that transaction is aborted (and the store perhaps poisoned). */
  commit(durability?: Durability): void {
    if ((this.state & STATE_DOOMED) !== 0) {
      const { doom } = this
      this.abort()
      throw doom
    }
    const { engine } = this
    if (engine.depth > 1) {
      engine.commit()
      // What was done under the savepoint is from now on undone with the level around it.
      this.undoMarks.pop()
      return
    }
    try {
      engine.commit(durability)
    } catch (error) {
      if (engine.depth !== 0) engine.abort()
      this.aborted()
      throw withPath(error, engine.path)
    }
    // Setting the length of an array is slow even if it is so already: every put comes through here.
    this.undoMarks.pop()
    if (this.undo.length !== 0) this.undo.length = 0
    if (this.savedStructures.size !== 0) this.savedStructures.clear()
  }

  /**
   * Ends a write that threw, and answers what to throw. Alone it is aborted; inside a transaction nothing is lost as long as no page had been
   * touched, else that transaction is doomed: it holds half an operation.
   */
  writeError(alone: boolean, changing: boolean, error: unknown): unknown {
    this.state &= ~STATE_BUSY
    const cause = this.readError(error)
    if (alone) this.abort()
    else if (changing) this.setDoom(cause)
    return cause
  }

  /** What to throw when a read threw: a fault of the mapping explains any other error. */
  readError(error: unknown): unknown {
    try {
      this.engine.checkFault()
    } catch (fault) {
      return fault
    }
    return withPath(error, this.engine.path)
  }

  setDoom(error: unknown): void {
    if ((this.state & STATE_DOOMED) !== 0) return
    this.state |= STATE_DOOMED
    this.doom = error
  }

  /** Registers what to do beside the pages if the open transaction is aborted. */
  onAbort(action: () => void): void {
    this.undo.push(action)
  }

  /** Notes that a codec's structures were saved in the open transaction. */
  noteSavedStructures(codec: Resettable): void {
    this.savedStructures.add(codec)
    this.structureSaves++
  }

  /** Runs `use` while nothing may be written. */
  guarded<A, T>(use: (argument: A) => T, argument: A): T {
    const before = this.state
    this.state = before | STATE_BUSY
    try {
      return use(argument)
    } catch (error) {
      throw withPath(error, this.engine.path)
    } finally {
      this.state = before
      this.engine.checkFault()
    }
  }

  /** Why a read is refused; `keyspace` when it is about one. */
  readRefusal(keyspace?: string): unknown {
    const { path } = this.engine
    if ((this.state & (STATE_CLOSED | STATE_POISONED)) !== 0) this.engine.usable()
    if ((this.state & STATE_DOOMED) !== 0) return this.doom
    const what =
      keyspace === undefined ? 'the store' : `keyspace '${keyspace}' was dropped, or its creation aborted: this handle`
    return new DaxkvError('CLOSED', `${path}: ${what} is closed; call keyspace() for a new one`, { path })
  }

  /** Why a write is refused. */
  writeRefusal(keyspace?: string): unknown {
    const { path } = this.engine
    const { state } = this
    if ((state & STATES_UNREADABLE) === 0) {
      if ((state & STATE_READ_ONLY) !== 0) return new DaxkvError('READ_ONLY', `${path} was opened read-only`, { path })
      if ((state & STATE_BUSY) !== 0) {
        return this.busy('be changed inside withView or scan, or while a value is being encoded')
      }
    }
    return this.readRefusal(keyspace)
  }

  busy(what: string): DaxkvError {
    return new DaxkvError('BUSY', `${this.engine.path} cannot ${what}`, { path: this.engine.path })
  }

  private begin(): void {
    const { engine } = this
    const hidden = engine.space.hidesStaged
    engine.begin()
    // From here on reads see what asynchronous writes have staged.
    if (hidden) this.movePages()
    this.undoMarks.push(this.undo.length)
  }

  private abort(): void {
    this.engine.abort()
    this.aborted()
  }

  private aborted(): void {
    this.state &= ~STATE_DOOMED
    this.doom = undefined
    this.movePages()
    const mark = this.undoMarks.pop() ?? 0
    // Newest first; what an action registers anew belongs to the level around this one.
    for (const action of this.undo.splice(mark).reverse()) action()
    // Also those that saved before the savepoint: reading structures again costs little and aborts are rare.
    for (const codec of this.savedStructures) codec.reset()
    // Asynchronous writes that are still staged may have saved structures, too, and all of them may yet have to be forgotten.
    if (this.engine.depth === 0 && this.engine.space.frameCount === 0) this.savedStructures.clear()
  }

  /** Staged pages have become committed ones, or are gone: positions in them mean nothing any more. */
  private movePages(): void {
    for (const tree of this.trees) tree.version = (tree.version + 1) | 0
  }

  private refusePromise(result: PromiseLike<unknown>, what: string): DaxkvError {
    // Nobody will wait for it: its own failure must not end the process as an unhandled rejection.
    result.then(undefined, () => undefined)
    return new DaxkvError(
      'ASYNC_TRANSACTION',
      `${what}: the callback returned a Promise; everything it did so far is taken back. Await first, then write synchronously`,
      { path: this.engine.path },
    )
  }
}

/** Trees and codecs know pages, not files: their errors learn here which file it is. Others stay as they are. */
export function withPath(error: unknown, path: string): unknown {
  if (!(error instanceof DaxkvError) || error.code !== 'CORRUPT' || error.path !== undefined) return error
  return error.locatedIn(path)
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

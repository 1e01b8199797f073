/**
 * The transaction layer: staging, commit, recovery and growth of one open pool. It imports only `pool` and `pmem`;
 * trees are built on it and the public API on those.
 */
import { randomFillSync } from 'node:crypto'
import { DaxkvError } from '../errors.js'
import type { Granularity, PersistentMemory, Persistence } from '../pmem/persistent-memory.js'
import { PAGE_BYTES } from '../pmem/program.js'
import { Allocator } from '../pool/allocator.js'
import type { Anchor } from '../pool/anchor.js'
import { MAX_PAGES, PAGE_ROOT, ROOT_OFFSET_CATALOG_PAGE, ROOT_OFFSET_NEXT_KEYSPACE_ID } from '../pool/format.js'
import { Geometry } from '../pool/geometry.js'
import type { Identity } from '../pool/identity.js'
import { openPoolFile } from '../pool/pool-file.js'
import { UndoCommitter } from './commit.js'
import { type Committer, isPersistFailure, type Logging } from './committer.js'
import {
  DEFAULT_GROWTH_STEP_BYTES,
  DEFAULT_RELAXED_INTERVAL_MS,
  DEFAULT_STAGING_LIMIT_BYTES,
  type Durability,
  type EngineOptions,
  type EngineStats,
} from './engine-options.js'
import { Growth } from './growth.js'
import { IdleCheckpoint, type IdleHost } from './idle-checkpoint.js'
import { mappingFault } from './mapping-fault.js'
import { openForWriting, openReadOnly, type PoolToOpen, writeAnchor } from './open-pool.js'
import { PageSpace } from './page-space.js'
import { Pipeline } from './pipeline.js'
import { RedoCommitter } from './redo-commit.js'
import { SlotCommitter } from './slot-commit.js'
import { MIN_SLOT_LOG_PAGES } from './slot-recovery.js'
import type { OperationResult } from './settlements.js'
import type { Recovery } from './recovery.js'
import { VerifiedPageSpace } from './verified-page-space.js'

/** Operations that were taken and are staged later, together. */
export interface DeferredOperations {
  /** How many; 0 is looked at often. */
  readonly count: number
  /** Stages all; they are one operation, and fail together. */
  stage(): void
  forget(): void
}

/** Frames to begin with: of groups and relaxed commits as many as wait for a barrier in a busy store. */
const FRAMES = 1024
const TIP_FRAMES = 8192
/** Free pages left for branches that split while deferred puts are staged. */
const SPARE_PAGES = 24

export type { Durability, EngineOptions, EngineStats } from './engine-options.js'

export class Engine implements IdleHost {
  readonly path: string
  readonly readOnly: boolean
  readonly memory: PersistentMemory
  readonly geometry: Geometry
  readonly space: PageSpace
  readonly allocator: Allocator
  readonly uuid: string
  private readonly identity: Identity
  readonly recovery: Recovery
  readonly logging: Logging
  /** Commits so far that stored something; iterators compare it to know whether to seek again. */
  sequence = 0
  /** Changes whenever committed or collected transactions have changed what the next transaction would see. */
  tipVersion = 0
  /** How often operations that had succeeded were forgotten (see `onAbandoned`). */
  abandonments = 0

  private readonly committer: Committer
  /** Present where a commit would have to wait for an msync, which groups and relaxed commits share. */
  private readonly pipeline: Pipeline | undefined
  private readonly relaxedByDefault: boolean
  /** The open transaction stands on operations that are staged and not committed: it is a savepoint. */
  private onTip = false
  private readonly growth: Growth
  private anchor: Anchor
  private readonly opened: PoolToOpen
  private readonly random: (words: Uint32Array) => void
  private readonly faultWords: Uint32Array
  private depthNow = 0
  private closed = false
  private poison: DaxkvError | undefined
  /** Staged before anything looks at the tip. Without a pipeline there are none. */
  deferred: DeferredOperations | undefined
  /** Called when a persist has failed, which may be in the middle of nobody's call (an idle checkpoint). */
  onPoison: (() => void) | undefined
  /** Called when pages have moved under open cursors outside a transaction's end: what was staged has been applied. */
  onPagesMoved: (() => void) | undefined
  /** Called when operations that were staged, and succeeded, had to be forgotten. */
  onAbandoned: (() => void) | undefined
  private readonly idle = new IdleCheckpoint(this)

  /**
   * Creates, recovers or explains why it cannot. `:memory:` opens a pool that lives in this process only.
   */
  static open(path: string, options: EngineOptions = {}): Engine {
    return new Engine(path, options)
  }

  private constructor(path: string, options: EngineOptions) {
    this.path = path
    this.readOnly = options.readOnly === true
    this.random = options.random ?? randomFillSync
    const file = openPoolFile(path, {
      readOnly: this.readOnly,
      create: options.create !== false,
      initialSizeBytes: options.initialSizeBytes,
      logSizeBytes: options.logSizeBytes,
      segmentBytes: options.segmentBytes,
      maxSizeBytes: options.maxSizeBytes,
      requireGranularity: options.requireGranularity,
      forceGranularity: options.forceGranularity,
      executor: options.executor,
      logging: options.logging,
      memory: options.memory,
      random: this.random,
    })
    this.memory = file.memory
    this.faultWords = this.memory.faultWords
    this.identity = file.identity
    this.uuid = file.identity.uuid
    this.geometry = new Geometry(file.identity.segmentShift, file.identity.logPages)
    const stagingLimitBytes = options.stagingLimitBytes ?? DEFAULT_STAGING_LIMIT_BYTES
    const { granularity, executor } = this.memory.persistence
    // A simulated pool is small, and often one of a million.
    const frames = executor === 'simulated' ? undefined : granularity === 'page' ? TIP_FRAMES : FRAMES
    this.space =
      options.verifyReads === true
        ? new VerifiedPageSpace(this.memory, stagingLimitBytes, this.geometry, frames)
        : new PageSpace(this.memory, stagingLimitBytes, frames)
    this.space.firstEditablePage = this.geometry.firstBitmapPage
    this.allocator = new Allocator(this.space, this.geometry, (pages) => {
      this.grow(pages)
    })
    this.growth = new Growth(
      this.memory,
      this.space,
      this.geometry,
      path,
      Math.ceil((options.growthStepBytes ?? DEFAULT_GROWTH_STEP_BYTES) / PAGE_BYTES),
      Math.floor(
        Math.min(options.maxSizeBytes ?? Infinity, this.memory.maxSizeBytes ?? MAX_PAGES * PAGE_BYTES) / PAGE_BYTES,
      ),
    )
    this.opened = {
      memory: this.memory,
      geometry: this.geometry,
      path,
      random: this.random,
      checkFault: () => {
        this.checkFault()
      },
    }
    this.logging = options.logging ?? defaultLogging(this.memory.persistence.granularity)
    this.committer = this.makeCommitter(file.identity.logPages)
    this.pipeline = this.makePipeline(file.identity.logPages, options)
    this.relaxedByDefault = options.durability === 'relaxed'
    this.space.lazyExtents = this.logging === 'redo'
    try {
      const pool = this.opened
      const { anchor, recovery, capacityPages } = this.readOnly ? openReadOnly(pool) : openForWriting(pool)
      this.space.capacityPages = capacityPages
      if (!this.readOnly) this.committer.startEpoch(anchor)
      this.anchor = anchor
      this.recovery = recovery
    } catch (error) {
      this.memory.close()
      throw error
    }
  }

  get persistence(): Persistence {
    return this.memory.persistence
  }

  /** 0 outside transactions, 1 in one, more inside savepoints. */
  get depth(): number {
    return this.depthNow
  }

  /** Throws unless the store is open and no persist has failed. */
  usable(): void {
    if (this.closed) throw new DaxkvError('CLOSED', `${this.path} is closed`, { path: this.path })
    if (this.poison !== undefined) {
      throw new DaxkvError(
        'POISONED',
        `${this.path}: an earlier persist failed (${this.poison.message}); close and reopen the store to recover`,
        { path: this.path, cause: this.poison },
      )
    }
  }

  /** Starts a transaction, or sets a savepoint inside one. */
  begin(): void {
    if (this.deferred !== undefined && this.depthNow === 0) this.stageDeferred()
    this.usable()
    if (this.readOnly) {
      throw new DaxkvError('READ_ONLY', `${this.path} was opened read-only`, { path: this.path })
    }
    if (this.depthNow !== 0) this.space.setSavepoint()
    else if (this.space.frameCount !== 0) this.enterTip()
    this.depthNow++
  }

  /** Whether asynchronous writes are collected; else they are best committed at once. */
  get collects(): boolean {
    return this.pipeline !== undefined && !this.relaxedByDefault
  }

  /** How many puts may be deferred now; none while plain reads see what is staged, as they would miss them. */
  deferrable(most: number): number {
    const { pipeline, space, allocator } = this
    if (pipeline === undefined || pipeline.showsStaged) return 0
    const hides = space.hidesStaged
    space.hidesStaged = false
    try {
      // A put splits a leaf at worst.
      return Math.min(most, pipeline.room, allocator.countFree(most + SPARE_PAGES) - SPARE_PAGES)
    } finally {
      space.hidesStaged = hides
    }
  }

  /** Fewer puts than so many could be deferred: if that is for want of free pages, there will soon be more of them. */
  batchIsFull(most: number): void {
    if (this.allocator.pagesAhead < most + SPARE_PAGES) this.growth.prepare()
  }

  /** Begins one operation of the group being collected. It ends with `endOperation`, or `abort`. */
  beginOperation(): void {
    this.stageDeferred()
    this.beginAside()
  }

  /** The same for an operation whose place among the others does not matter. */
  beginAside(): void {
    this.usable()
    if (this.depthNow !== 0) throw new DaxkvError('INTERNAL', 'an asynchronous operation inside a transaction')
    if (this.space.frameCount !== 0) this.enterTip()
    this.depthNow = 1
  }

  /** The promise of the operation that `deferred` has just taken. */
  deferOperation(): Promise<OperationResult> {
    const { pipeline, deferred } = this
    if (pipeline === undefined) throw new DaxkvError('INTERNAL', 'nothing collects asynchronous operations')
    this.tipVersion++
    return pipeline.defer(deferred?.count === 1)
  }

  /** Stages what was deferred, as one operation; what it throws rejects all of that. */
  stageDeferred(): void {
    const { deferred, pipeline } = this
    if (deferred === undefined || pipeline === undefined || deferred.count === 0) return
    if (this.space.frameCount !== 0) this.enterTip()
    this.depthNow = 1
    try {
      deferred.stage()
    } catch (error) {
      this.abort()
      this.tipVersion++
      pipeline.deferredFailed(error)
      this.onPagesMoved?.()
      return
    }
    this.allocator.settled()
    this.leaveTip()
    this.depthNow = 0
    this.tipVersion++
    this.showOrHide()
    pipeline.deferredStaged()
  }

  /** The operation is part of the group: its promise, which resolves to `result` when the group is durable. */
  endOperation(result: OperationResult): Promise<OperationResult> {
    const { pipeline } = this
    if (pipeline === undefined) throw new DaxkvError('INTERNAL', 'nothing collects asynchronous operations')
    this.allocator.settled()
    this.leaveTip()
    this.depthNow = 0
    this.tipVersion++
    this.showOrHide()
    return pipeline.queue(result)
  }

  /** Ends an operation that has changed nothing after all. */
  endUnchanged(): void {
    this.leaveTip()
    this.depthNow = 0
    this.showOrHide()
  }

  /** Resolves when everything before this call is durable. */
  async flush(): Promise<void> {
    this.stageDeferred()
    this.usable()
    if (this.pipeline?.busy === true) await this.pipeline.queue(undefined)
  }

  /** Resolves when all that transactions see is durable; at once where commits are relaxed by default. */
  async tipDurable(): Promise<void> {
    if (this.collects && this.pipeline?.hasVolatile === true) await this.pipeline.queue(undefined)
  }

  /** Makes everything before this call durable before it returns; not inside a transaction. */
  flushNow(): void {
    this.usable()
    if (this.depthNow > 0) throw new DaxkvError('INTERNAL', 'a flush inside a transaction')
    this.stageDeferred()
    this.usable() // staging may have closed the group
    if (this.pipeline?.busy !== true) return
    try {
      this.pipeline.finish()
      this.pipeline.tidy()
    } catch (error) {
      this.failCommit(error)
    }
    this.showOrHide()
  }

  /** Ends the innermost transaction; the outermost one is durable when this returns, unless it is relaxed. */
  commit(durability?: Durability): void {
    if (this.depthNow > 1) {
      this.space.release()
      this.depthNow--
      return
    }
    // A nested level may have swallowed the failure that poisoned the store: nothing is acknowledged after it.
    if (this.poison !== undefined) {
      this.abort()
      this.usable()
    }
    // A fault while the transaction read pages may have put made-up zeros into what is staged.
    if (this.faultWords[0] !== 0) {
      const fault = mappingFault(this.memory, this.path)
      this.abort()
      throw fault
    }
    const { pipeline } = this
    if (pipeline !== undefined) {
      this.commitToPipeline(pipeline, durability)
      return
    }
    let stored: boolean
    try {
      stored = this.committer.commit()
    } catch (error) {
      this.failCommit(error)
    }
    this.space.committed()
    this.allocator.committed()
    this.depthNow = 0
    if (!stored) return
    this.sequence++
    this.tipVersion++
    if (this.allocator.pagesAhead < this.growth.lowPages) this.growth.prepare()
    if (this.committer.checkpointDue) this.checkpointQuietly()
    else if (this.committer.hasUnfreedLog) this.idle.watch()
  }

  private commitToPipeline(pipeline: Pipeline, durability: Durability | undefined): void {
    const relaxed = durability === undefined ? this.relaxedByDefault : durability === 'relaxed'
    let stored: boolean
    try {
      this.leaveTip()
      stored = relaxed ? pipeline.commitRelaxed() : pipeline.commitNow()
      this.depthNow = 0
      if (relaxed) {
        pipeline.bound()
      } else {
        pipeline.tidy()
        if (this.committer.checkpointDue) pipeline.requestCheckpoint()
      }
    } catch (error) {
      this.failCommit(error)
    }
    this.showOrHide()
    if (!stored) return
    this.sequence++
    this.tipVersion++
    if (this.allocator.pagesAhead < this.growth.lowPages) this.growth.prepare()
    if (this.committer.hasUnfreedLog) this.idle.watch()
  }

  /** Between groups: grows before they meet the end of the pool, where that takes no longer than one of them. */
  private growAhead(): void {
    const { growth } = this
    if (growth.isPrepared && this.depthNow === 0) {
      try {
        this.grow(1)
      } catch (error) {
        // Nobody has asked for it yet: who needs the pages will be told why there are none.
        if (isPersistFailure(error)) throw error
      }
    }
    if (this.allocator.pagesAhead < growth.lowPages) growth.prepare()
  }

  /** The tip holds more than the pool: the transaction that begins is a savepoint on it. */
  private enterTip(): void {
    this.space.hidesStaged = false
    this.space.setSavepoint()
    this.onTip = true
  }

  /** The open transaction becomes part of the tip, and can no longer be taken back alone. */
  private leaveTip(): void {
    if (!this.onTip) return
    this.onTip = false
    this.space.release()
  }

  /** Outside transactions readers see what is durable, or acknowledged as relaxed. */
  private showOrHide(): void {
    const { space } = this
    space.hidesStaged = space.frameCount !== 0 && this.pipeline?.showsStaged !== true
  }

  /**
   * Makes everything durable in its place and frees the redo log; nothing happens where there is nothing to free.
   * Commits are durable without it: it bounds the work of the next recovery.
   */
  checkpoint(): void {
    this.usable()
    if (this.depthNow > 0) throw new DaxkvError('INTERNAL', 'a checkpoint inside a transaction')
    if (this.readOnly) return
    this.flushNow()
    try {
      this.committer.checkpoint()
    } catch (error) {
      if (isPersistFailure(error)) this.setPoison(error)
      throw error
    } finally {
      this.space.clear()
      this.showOrHide()
    }
  }

  /** A checkpoint nobody asked for: what was committed is durable, so a failure poisons the store and is told by the next call. */
  private checkpointQuietly(): void {
    try {
      this.checkpoint()
    } catch (error) {
      // No memory for it now: nothing was written, and the next commit or idle second tries again.
      const laterOn = error instanceof DaxkvError && error.code === 'IO_ERROR'
      if (this.poison === undefined && !laterOn) throw error
    }
  }

  private setPoison(error: DaxkvError): void {
    if (this.poison !== undefined) return
    this.poison = error
    this.deferred?.forget()
    this.onPoison?.()
    this.pipeline?.rejectAll(error)
  }

  /** Forgets the innermost transaction's edits. */
  abort(): void {
    const { depthNow } = this
    if (depthNow > 1 || this.onTip) {
      this.space.rollback()
      this.allocator.aborted()
      if (depthNow === 1) this.onTip = false
    } else {
      this.space.clear()
      this.allocator.reset()
    }
    this.depthNow = depthNow - 1
    if (depthNow === 1) this.showOrHide()
  }

  /** One load; throws when the mapping faulted since the last call, so that made-up bytes are never taken for data. */
  checkFault(): void {
    if (this.faultWords[0] !== 0) throw mappingFault(this.memory, this.path)
  }

  /** Runs `read` so that it sees what is staged, whether or not that is durable; not what is deferred. */
  atTip<T>(read: () => T): T {
    const { space } = this
    const hides = space.hidesStaged
    space.hidesStaged = false
    try {
      return read()
    } finally {
      space.hidesStaged = hides
    }
  }

  /** Before pages of the pool are looked at as they are, outside transactions: they show what is durable. */
  showDurable(): void {
    this.pipeline?.showDurable()
  }

  /** Root page of the catalog tree. */
  catalogPage(): number {
    this.space.locate(PAGE_ROOT)
    return this.space.view.u32[(this.space.base + ROOT_OFFSET_CATALOG_PAGE) >>> 2]
  }

  /** Takes the next keyspace id; inside a transaction. */
  nextKeyspaceId(): number {
    this.space.stage(PAGE_ROOT)
    const word = (this.space.base + ROOT_OFFSET_NEXT_KEYSPACE_ID) >>> 2
    const id = this.space.view.u32[word]
    this.space.view.u32[word] = id + 1
    this.space.markDirty(this.space.frame, ROOT_OFFSET_NEXT_KEYSPACE_ID, ROOT_OFFSET_NEXT_KEYSPACE_ID + 4)
    return id
  }

  stats(): EngineStats {
    this.usable()
    this.showDurable()
    return {
      uuid: this.identity.uuid,
      formatVersion: this.identity.formatVersion,
      createdAt: new Date(this.identity.createdMs),
      segmentBytes: this.geometry.segmentPages * PAGE_BYTES,
      capacityPages: this.space.capacityPages,
      allocatedPages: this.allocator.countAllocated(),
      logPages: this.geometry.logPages,
      txid: this.readOnly ? this.anchor.txid : this.committer.txid,
      commits: this.sequence,
      growths: this.growth.count,
      logging: this.logging,
      checkpoints: this.committer.checkpoints,
      counters: { ...this.memory.counters },
      unsafeShutdowns: this.anchor.unsafeShutdowns,
      recovery: this.recovery,
    }
  }

  /** Aborts an open transaction, marks the pool clean and releases everything. Safe to call twice. */
  close(): void {
    if (this.closed) return
    while (this.depthNow > 0) this.abort()
    this.idle.stop()
    try {
      if (this.poison === undefined) this.flushNow()
    } catch (error) {
      this.closed = true
      this.pipeline?.stop()
      this.memory.close()
      throw error
    }
    this.closed = true
    this.pipeline?.stop()
    try {
      // A poisoned pool is left as it is: only recovery may judge it.
      if (!this.readOnly && this.poison === undefined) {
        writeAnchor(this.opened, this.committer.anchor, this.committer.txid, true)
      }
    } finally {
      this.memory.close()
    }
  }

  private makeCommitter(logPages: number): Committer {
    const { memory, space, allocator } = this
    // Growth on behalf of a record that overflows is committed by the policy whose record it makes room for.
    const undo: UndoCommitter = new UndoCommitter(memory, space, allocator, logPages, (pages) => {
      this.grow(pages, undo)
    })
    if (this.logging === 'undo') return undo
    // Where a barrier is a wait for a disk, the ring: one wait for fresh pages and record alike, and for many transactions.
    // A log of one page cannot be divided; no version has made such a pool.
    const { granularity } = this.persistence
    if (granularity === 'page' || logPages < MIN_SLOT_LOG_PAGES) return new RedoCommitter(memory, space, logPages, undo)
    const slots: SlotCommitter = new SlotCommitter(memory, space, allocator, logPages, (pages) => {
      this.grow(pages, slots)
    })
    return slots
  }

  private makePipeline(logPages: number, options: EngineOptions): Pipeline | undefined {
    const { memory, space, allocator, committer } = this
    if (this.readOnly || this.persistence.granularity !== 'page' || !(committer instanceof RedoCommitter))
      return undefined
    const host = {
      poison: (error: DaxkvError): void => {
        this.setPoison(error)
      },
      abandon: (error: unknown): void => {
        if (isPersistFailure(error)) this.setPoison(error)
        this.abandon(error)
      },
      recorded: (): void => {
        this.sequence++
        this.idle.watch()
      },
      moved: (): void => {
        if (this.depthNow === 0) this.showOrHide()
        this.onPagesMoved?.()
      },
      inTransaction: (): boolean => this.depthNow !== 0,
      stageDeferred: (): void => {
        this.stageDeferred()
      },
      growAhead: (): void => {
        this.growAhead()
      },
    }
    return new Pipeline(memory, space, allocator, committer, host, {
      ringPages: logPages,
      stagingFrames: (options.stagingLimitBytes ?? DEFAULT_STAGING_LIMIT_BYTES) / PAGE_BYTES,
      relaxedIntervalMs: options.relaxedIntervalMs ?? DEFAULT_RELAXED_INTERVAL_MS,
    })
  }

  /** What is staged could not be committed. It has been released into the tip, so all of it goes. */
  private abandon(error: unknown): void {
    this.depthNow = 0
    this.onTip = false
    // What is in records already cannot be taken back by forgetting it.
    try {
      this.pipeline?.showDurable()
    } catch {
      // It has poisoned the store.
    }
    if (this.pipeline?.hasUndurable === true) this.setPoison(asPersistFailure(error, this.path))
    this.space.clear()
    this.allocator.reset()
    this.pipeline?.rejectGroup(error)
    this.showOrHide()
    this.tipVersion++
    this.abandonments++
    this.onAbandoned?.()
    this.onPagesMoved?.()
  }

  /** See `IdleHost`. */
  wantsCheckpoint(): boolean {
    // Plain memory gains nothing from it.
    const { executor } = this.persistence
    return !this.closed && this.poison === undefined && executor !== 'simulated' && this.committer.hasUnfreedLog
  }

  inTransaction(): boolean {
    return this.depthNow !== 0
  }

  checkpointWhenIdle(): void {
    if (this.pipeline === undefined) this.checkpointQuietly()
    else this.pipeline.requestCheckpoint()
  }

  private grow(pages: number, committer = this.committer): void {
    this.usable()
    try {
      // A system transaction of its own: it comes after every record so far, and is applied at once.
      this.pipeline?.drain()
      this.growth.grow(pages, committer)
    } catch (error) {
      if (isPersistFailure(error)) this.setPoison(error)
      throw error
    }
  }

  private failCommit(error: unknown): never {
    if (isPersistFailure(error)) this.setPoison(error)
    if (this.pipeline === undefined) this.abort()
    else this.abandon(error)
    throw error
  }
}

function asPersistFailure(error: unknown, path: string): DaxkvError {
  if (error instanceof DaxkvError) return error
  return new DaxkvError('PERSIST_FAILED', `${path}: a commit failed: ${String(error)}`, { path, cause: error })
}

function defaultLogging(granularity: Granularity): Logging {
  return granularity === 'page' ? 'redo' : 'undo'
}

/**
 * The transaction layer: staging, commit, recovery and growth of one open pool. It imports only `pool` and `pmem`;
 * trees are built on it and the public API on those.
 */
import { randomFillSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { DaxkvError } from '../errors.js'
import type {
  Granularity,
  MappingFault,
  PersistCounters,
  PersistentMemory,
  Persistence,
} from '../pmem/persistent-memory.js'
import { OP_SYNC_ALL, PAGE_BYTES } from '../pmem/program.js'
import { Allocator } from '../pool/allocator.js'
import type { Anchor } from '../pool/anchor.js'
import {
  HEADER_OFFSET_TYPE,
  MAX_PAGES,
  PAGE_ROOT,
  PAGE_TYPE_ROOT,
  ROOT_OFFSET_CAPACITY_PAGES,
  ROOT_OFFSET_CATALOG_PAGE,
  ROOT_OFFSET_NEXT_KEYSPACE_ID,
} from '../pool/format.js'
import { Geometry } from '../pool/geometry.js'
import type { Identity } from '../pool/identity.js'
import { type ExecutorName, openPoolFile } from '../pool/pool-file.js'
import { readUnsafeShutdowns } from '../pool/platform.js'
import { UndoCommitter } from './commit.js'
import { type Committer, isPersistFailure, type Logging } from './committer.js'
import { Growth } from './growth.js'
import { pageBytes } from './log-record.js'
import { PageSpace } from './page-space.js'
import { Pipeline } from './pipeline.js'
import { RedoCommitter } from './redo-commit.js'
import { SlotCommitter } from './slot-commit.js'
import { MIN_SLOT_LOG_PAGES } from './slot-recovery.js'
import type { OperationResult } from './settlements.js'
import { newestAnchor, readAnchors, recover, type Recovery, refuseRottenAnchor, writeNextAnchor } from './recovery.js'
import { VerifiedPageSpace } from './verified-page-space.js'

const MIB = 1024 * 1024

/**
 * `sync`: a commit is durable when it returns. `relaxed`: under granularity page (redo) it survives the end of the process when
 * it returns, and a power failure at most `relaxedIntervalMs` and one msync later; elsewhere the same as `sync`.
 */
export type Durability = 'sync' | 'relaxed'

/** Sizes and demands of an open; every default is documented at the public options. */
export interface EngineOptions {
  readonly readOnly?: boolean
  /** Create the pool when the file does not exist; default true. */
  readonly create?: boolean
  readonly initialSizeBytes?: number
  readonly growthStepBytes?: number
  readonly maxSizeBytes?: number
  readonly logSizeBytes?: number
  readonly stagingLimitBytes?: number
  readonly segmentBytes?: number
  /** Verify the checksum of every page a read visits; see the public option. */
  readonly verifyReads?: boolean
  readonly requireGranularity?: Granularity
  readonly forceGranularity?: Granularity
  readonly executor?: ExecutorName
  /** How commits are made atomic. Default: `redo` under granularity page (one wait), `undo` elsewhere. */
  readonly logging?: Logging
  /** What a commit waits for, where it is not said otherwise; see `Durability`. Default `sync`. */
  readonly durability?: Durability
  /** Longest time a relaxed commit stays volatile. Default 100. */
  readonly relaxedIntervalMs?: number
  /** Tests: run on this memory (a recorded simulation, a crash image) instead of opening a file. */
  readonly memory?: PersistentMemory
  /** Tests: source of salts, so that a run can be repeated. */
  readonly random?: (words: Uint32Array) => void
}

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
const TIP_FRAMES = 4096

export const DEFAULT_GROWTH_STEP_BYTES = 16 * MIB
/** A store that was not written to for this long is checkpointed. */
export const IDLE_CHECKPOINT_MS = 1000
export const DEFAULT_RELAXED_INTERVAL_MS = 100
export const DEFAULT_STAGING_LIMIT_BYTES = 512 * MIB

export interface EngineStats {
  /** Identity of the pool: given at creation, never changed. */
  readonly uuid: string
  readonly formatVersion: number
  readonly createdAt: Date
  /** Bytes of an allocation segment; no value is longer. */
  readonly segmentBytes: number
  readonly capacityPages: number
  readonly allocatedPages: number
  readonly logPages: number
  /** Id of the last transaction; ids grow by one, and start again from the last known one after a kill (with a new epoch). */
  readonly txid: number
  /** Commits by this process. */
  readonly commits: number
  readonly growths: number
  readonly logging: Logging
  /** Checkpoints of the redo log by this process, not counting the one at close. */
  readonly checkpoints: number
  readonly counters: Readonly<PersistCounters>
  readonly unsafeShutdowns: number
  readonly recovery: Recovery
}

export class Engine {
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
  private idleTimer: NodeJS.Timeout | undefined
  private sequenceAtTimer = 0

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
    this.logging = options.logging ?? defaultLogging(this.memory.persistence.granularity)
    this.committer = this.makeCommitter(file.identity.logPages)
    this.pipeline = this.makePipeline(file.identity.logPages, options)
    this.relaxedByDefault = options.durability === 'relaxed'
    this.space.lazyExtents = this.logging === 'redo'
    try {
      const opened = this.readOnly ? this.openReadOnly() : this.openForWriting()
      this.anchor = opened.anchor
      this.recovery = opened.recovery
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
      const fault = this.faultError()
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
    if (this.committer.checkpointDue) this.checkpointQuietly()
    else if (this.idleTimer === undefined && this.committer.hasUnfreedLog) this.watchIdleness()
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
    if (this.committer.hasUnfreedLog && this.idleTimer === undefined) this.watchIdleness()
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
    if (this.faultWords[0] !== 0) throw this.faultError()
  }

  /** Runs `read` so that it sees what is staged, whether or not that is durable. */
  atTip<T>(read: () => T): T {
    const { space } = this
    if (this.depthNow === 0) this.stageDeferred()
    const hides = space.hidesStaged
    space.hidesStaged = false
    try {
      return read()
    } finally {
      space.hidesStaged = hides
    }
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
    clearTimeout(this.idleTimer)
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
      if (!this.readOnly && this.poison === undefined) this.writeAnchor(this.committer.anchor, true)
    } finally {
      this.memory.close()
    }
  }

  private openForWriting(): { anchor: Anchor; recovery: Recovery } {
    const { anchor, recovery } = recover(this.memory, this.geometry, this.path, () => {
      this.checkFault()
    })
    this.loadCapacity()
    const next = this.writeAnchor({ ...anchor, txid: Math.max(anchor.txid, recovery.txid) }, false)
    this.committer.startEpoch(next)
    return { anchor: next, recovery }
  }

  private openReadOnly(): { anchor: Anchor; recovery: Recovery } {
    const anchors = readAnchors(this.memory)
    const anchor = newestAnchor(anchors)
    this.checkFault()
    if (anchor !== undefined && anchors.includes(undefined)) {
      refuseRottenAnchor(this.memory, this.geometry, anchor, anchor.txid, this.path)
    }
    if (anchor?.clean !== true) {
      throw new DaxkvError(
        'NEEDS_RECOVERY',
        `${this.path} was not closed cleanly; open it for writing once so that it can be recovered`,
        { path: this.path },
      )
    }
    this.loadCapacity()
    return { anchor, recovery: { outcome: 'clean', txid: anchor.txid, lines: 0 } }
  }

  /** Takes the capacity from the root page, which recovery has made whole. */
  private loadCapacity(): void {
    const filePages = this.memory.sizeBytes / PAGE_BYTES
    const { view, base } = pageBytes(this.memory, PAGE_ROOT)
    const typeOk = view.u8[base + HEADER_OFFSET_TYPE] === PAGE_TYPE_ROOT
    if (!typeOk || !this.memory.verifyPage(PAGE_ROOT)) {
      throw new DaxkvError('CORRUPT', `${this.path}: the root page fails its checksum`, {
        path: this.path,
        offset: PAGE_ROOT * PAGE_BYTES,
        length: PAGE_BYTES,
      })
    }
    const capacity = view.u32[(base + ROOT_OFFSET_CAPACITY_PAGES) >>> 2]
    if (capacity > filePages) {
      throw new DaxkvError(
        'TRUNCATED',
        `${this.path} has ${filePages * PAGE_BYTES} bytes, its capacity is ${capacity * PAGE_BYTES}: ` +
          'the file was truncated; restore it from a backup',
        { path: this.path, limit: capacity * PAGE_BYTES, actual: filePages * PAGE_BYTES },
      )
    }
    if (!this.geometry.isCapacity(capacity)) {
      throw new DaxkvError(
        'CORRUPT',
        `${this.path}: the root page records a capacity of ${capacity} pages, which a pool with ${this.geometry.logPages} log pages ` +
          `and segments of ${this.geometry.segmentPages} pages cannot have`,
        { path: this.path, offset: PAGE_ROOT * PAGE_BYTES, length: PAGE_BYTES, actual: capacity },
      )
    }
    if (!this.readOnly) this.memory.limitTo(capacity * PAGE_BYTES)
    this.space.capacityPages = capacity
  }

  private writeAnchor(current: Anchor, clean: boolean): Anchor {
    if (clean) {
      // Step 5 again: all data durable before the anchor says so, and the record must not undo it later.
      this.memory.reserveProgram(1)
      this.memory.program[0] = OP_SYNC_ALL
      this.memory.run(1)
    }
    return writeNextAnchor(
      this.memory,
      current,
      {
        txid: clean ? this.committer.txid : current.txid,
        clean,
        unsafeShutdowns: this.persistence.executor === 'native' ? readUnsafeShutdowns() : 0,
        bootId: bootId(),
        ringLine: 0,
      },
      this.random,
    )
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
        if (this.idleTimer === undefined) this.watchIdleness()
      },
      applied: (): void => {
        if (this.depthNow === 0) this.showOrHide()
        this.onPagesMoved?.()
      },
      inTransaction: (): boolean => this.depthNow !== 0,
      stageDeferred: (): void => {
        this.stageDeferred()
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
    if (this.pipeline?.hasUnapplied === true) this.setPoison(asPersistFailure(error, this.path))
    this.space.clear()
    this.allocator.reset()
    this.pipeline?.rejectGroup(error)
    this.showOrHide()
    this.tipVersion++
    this.abandonments++
    this.onAbandoned?.()
    this.onPagesMoved?.()
  }

  /** A store that nobody writes to for a while is checkpointed, so that what is in the log does not wait for the next open. */
  private watchIdleness(): void {
    // Plain memory gains nothing from it.
    if (this.persistence.executor === 'simulated') return
    if (this.poison !== undefined || !this.committer.hasUnfreedLog) return
    this.sequenceAtTimer = this.sequence
    this.idleTimer = setTimeout(() => {
      this.idleTimer = undefined
      if (this.closed || this.poison !== undefined || !this.committer.hasUnfreedLog) return
      if (this.depthNow > 0 || this.sequence !== this.sequenceAtTimer) {
        this.watchIdleness()
        return
      }
      if (this.pipeline === undefined) this.checkpointQuietly()
      else this.pipeline.requestCheckpoint()
      this.watchIdleness() // again, if that one found no memory
    }, IDLE_CHECKPOINT_MS)
    this.idleTimer.unref()
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

  private faultError(): DaxkvError {
    let fault: MappingFault | undefined
    try {
      fault = this.memory.takeFault()
      // One operation may have touched many bad pages; what is left in the queue must not fail the innocent next one.
      while (this.memory.takeFault() !== undefined);
    } catch (cause) {
      // The page could not be mapped again and still shows zeros: the fault waits on, for every operation until it can.
      const message = `${this.path}: the mapping faulted and cannot be repaired: ${String(cause)}`
      return new DaxkvError('MEDIA_ERROR', message, { path: this.path, cause })
    }
    if (fault === undefined)
      return new DaxkvError('MEDIA_ERROR', `${this.path}: the mapping faulted`, { path: this.path })
    const message =
      fault.kind === 'write'
        ? `${this.path}: a view of the pool was written to; the write was discarded`
        : `${this.path}: the mapping faulted at offset ${fault.offset} (${fault.length} bytes): ` +
          'the file was truncated by somebody else or its memory is damaged; run check()'
    return new DaxkvError('MEDIA_ERROR', message, { path: this.path, offset: fault.offset, length: fault.length })
  }
}

function asPersistFailure(error: unknown, path: string): DaxkvError {
  if (error instanceof DaxkvError) return error
  return new DaxkvError('PERSIST_FAILED', `${path}: a commit failed: ${String(error)}`, { path, cause: error })
}

function defaultLogging(granularity: Granularity): Logging {
  return granularity === 'page' ? 'redo' : 'undo'
}

let cachedBootId: string | undefined
function bootId(): string {
  if (cachedBootId === undefined) {
    try {
      cachedBootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim().replaceAll('-', '')
    } catch {
      cachedBootId = '' // not Linux, or /proc is not mounted: the field stays zero
    }
  }
  return cachedBootId
}

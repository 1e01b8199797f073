/**
 * Commits that are not waited for one by one, under granularity page and redo: groups of asynchronous writes, and relaxed
 * commits. Everything lies in one staging space, the tip, and in records of the log:
 *
 *     collecting   operations staged since the last record; each was a savepoint, a failed one is gone already
 *     written      records in the ring that no barrier covers: a kill keeps them, a power failure may not
 *     in flight    records that the barrier under way covers (one msync on a worker thread)
 *     behind       durable and acknowledged, but still to be copied from the log to their places
 *     applied      copied; the ring keeps them until a checkpoint
 *
 * The pool may stay behind as long as nobody reads it: groups that touch the same pages again and again then write each of
 * them once. A plain read has them applied first (`PageSpace.behind`), and so has whoever needs the pool as it should be: a
 * checkpoint, growth, a synchronous commit, an idle event loop. Transactions read the tip, which is ahead in any case.
 *
 * Order, and what a crash in between leaves:
 * - A record is written whole before its barrier starts: a crash leaves a prefix of the records, none of which was applied.
 * - Applied only when the barrier has ended: the kernel may write a data page back before the log page it came from.
 * - Promises resolve when it has ended, so an acknowledged operation is durable, and plain reads see it. A crash finds its record.
 * - What a record frees is allocated only when it has been applied: a value written to a page at once must not be
 *   overwritten by the lines that older records have for it.
 * - One barrier at a time, because the kernel tells a failed write-back to only one of two msyncs: a synchronous commit
 *   waits for the one under way, takes over what is collected, and makes all of it durable with one msync of its own.
 * - A checkpoint makes the data of what has been applied durable, beside barriers where the executor can do that and else with
 *   one of its own; then an anchor says so, durable with the barrier after that; only then is the ring free. What is stored
 *   while its data is being written may or may not be part of it: the records it comes from lie behind that anchor, and are
 *   replayed. While the anchor is being written at most one record is not durable: with more, a torn anchor could not be told
 *   from a rotten one (`refuseRottenAnchor`).
 */
import type { DaxkvError } from '../errors.js'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import { OP_FENCE } from '../pmem/program.js'
import type { Allocator } from '../pool/allocator.js'
import { isPersistFailure } from './committer.js'
import type { PageSpace } from './page-space.js'
import type { RedoCommitter } from './redo-commit.js'
import { type OperationResult, Settlements } from './settlements.js'

/** What the barrier under way makes durable. */
type Barrier = 'none' | 'log' | 'data'

/** Of a checkpoint whose data is durable: the anchor is still to be stored, or waits for the next (or this) log barrier. */
type AnchorState = 'none' | 'wanted' | 'stored'

/** What the pipeline tells the engine. */
export interface PipelineHost {
  /** A persist has failed: the store is poisoned, and everything pending rejected by `rejectAll`. */
  poison(error: DaxkvError): void
  /** What is staged and in no record could not be committed, and nothing was stored: it must be forgotten. */
  abandon(error: unknown): void
  /** A group has become a record by itself. */
  recorded(): void
  /** What plain reads see has changed: positions in pages mean nothing any more. */
  moved(): void
  /** True while a transaction is open. */
  inTransaction(): boolean
  /** Operations that were taken, and promised by `defer`, are staged now. */
  stageDeferred(): void
  /** No barrier is under way and nothing staged: time to grow, if that has been prepared. */
  growAhead(): void
}

/** So many times the pages of the largest group may wait to be applied: 24 MiB with a log of 16 MiB. */
const BEHIND_GROUPS = 3

export class Pipeline {
  private group: Settlements | undefined
  /** Groups (and flushes) that wait for a record to be durable, in its order. */
  private waiting: { readonly record: number; readonly settlements: Settlements }[] = []
  private barrier: Barrier = 'none'
  /** The data of a checkpoint is being made durable beside barriers. */
  private dataSync = false
  /** Last record the log barrier under way covers. */
  private barrierRecord = 0
  private anchor: AnchorState = 'none'
  private anchorPutOff = false
  private checkpointWanted = false
  private scheduled = false
  private stopped = false
  private timer: NodeJS.Timeout | undefined
  /** When the oldest record was written that no barrier covers yet; 0 when there is none. */
  private oldestWrittenMs = 0
  /** Frames of the tip that were there when the last group became a record. */
  private recordedFrames = 0
  /** Last record of a relaxed commit. Until it is applied plain reads see the tip. */
  private relaxedRecord = 0
  /** More staged pages than this close a group, or start the background barrier early. */
  private readonly frameLimit: number
  /** With more than this the pool does not stay behind. */
  private readonly behindLimit: number
  private readonly relaxedIntervalMs: number

  constructor(
    private readonly memory: PersistentMemory,
    private readonly space: PageSpace,
    private readonly allocator: Allocator,
    private readonly committer: RedoCommitter,
    private readonly host: PipelineHost,
    options: { readonly ringPages: number; readonly stagingFrames: number; readonly relaxedIntervalMs: number },
  ) {
    // A record of that many pages fits half of the ring, so that the next one can be written while it is in flight.
    this.frameLimit = Math.max(8, Math.min(options.ringPages >>> 1, options.stagingFrames >>> 2))
    // A transaction still finds most of what it may stage.
    this.behindLimit = Math.min(BEHIND_GROUPS * this.frameLimit, options.stagingFrames >>> 2)
    this.relaxedIntervalMs = options.relaxedIntervalMs
    space.catchUp = () => {
      this.catchUp()
    }
  }

  /** Whether anything is staged, written or under way. */
  get busy(): boolean {
    return (
      this.group !== undefined ||
      this.barrier !== 'none' ||
      this.dataSync ||
      this.anchor !== 'none' ||
      this.committer.hasUnapplied ||
      this.waiting.length !== 0
    )
  }

  /** Whether transactions see anything that is not durable. */
  get hasVolatile(): boolean {
    return this.group !== undefined || this.hasUndurable
  }

  /** Whether any record is not durable. */
  get hasUndurable(): boolean {
    return this.committer.records !== this.committer.durableRecord
  }

  /** Whether durable records are still to be applied. */
  private get isBehind(): boolean {
    return this.committer.appliedRecord !== this.committer.durableRecord
  }

  /** Whether plain reads must see what is staged: a relaxed commit is acknowledged before it is in its place. */
  get showsStaged(): boolean {
    return this.relaxedRecord > this.committer.appliedRecord
  }

  /** Staged pages that the group being collected may still take before it is closed. */
  get room(): number {
    return this.frameLimit - (this.space.frameCount - this.recordedFrames)
  }

  /** The promise of an operation that has just been staged, or (without one) of everything before this call. */
  queue(result: OperationResult): Promise<OperationResult> {
    const promise = (this.group ??= new Settlements()).add(result)
    if (!this.scheduled && this.barrier === 'none') this.schedule()
    this.boundGroup()
    return promise
  }

  /** Bounds memory, and the length of the record. */
  private boundGroup(): void {
    if (this.room < 0) this.closeGroup()
  }

  /** The promise of an operation that will be staged with others, the `first` of them or not, before the group becomes a record. */
  defer(first: boolean): Promise<OperationResult> {
    const group = (this.group ??= new Settlements())
    // They may fail together, those before them have not.
    if (first) group.separate()
    if (!this.scheduled && this.barrier === 'none') this.schedule()
    return group.add(undefined)
  }

  /** What was deferred is staged. */
  deferredStaged(): void {
    this.group?.separate()
    this.boundGroup()
  }

  /** What was deferred could not be staged, and is forgotten. */
  deferredFailed(error: unknown): void {
    this.group?.rejectSeparated(error)
  }

  /** Commits everything staged, durably; answers whether there was anything. */
  commitNow(): boolean {
    const { committer } = this
    this.settle()
    // Who only commits synchronously gives the event loop no time to tell.
    if (this.dataSync) this.takeDataSync(false)
    if (committer.hasUnapplied) {
      const outcome = committer.writeRecord()
      if (outcome !== 'must wait') {
        this.handOver()
        this.drain()
        this.allocator.committed()
        return outcome === 'written'
      }
      this.finishCheckpoint()
    }
    this.storeWantedAnchor()
    // A record too long for the ring goes on in free pages: those that only what is staged has allocated are not free.
    this.space.hidesStaged = false
    const stored = committer.commit()
    // The fence of that commit covers the anchor, too; an intermediate checkpoint may have replaced it.
    if (stored) this.anchorIsDurable()
    this.space.committed()
    this.recordedFrames = 0
    this.allocator.committed()
    if (this.group !== undefined) this.host.moved()
    this.handOver()
    this.acknowledge()
    if (this.anchor !== 'none') this.schedule()
    return stored
  }

  /**
   * Commits everything staged so that it survives the end of the process, and becomes durable within the interval. Call
   * `bound` when the transaction is over.
   */
  commitRelaxed(): boolean {
    const { committer } = this
    if (this.dataSync) this.takeDataSync(false)
    // At most one record may be under way together with an anchor.
    if (this.anchor === 'stored' || (this.anchor === 'wanted' && this.barrier === 'none')) this.finishCheckpoint()
    const outcome = committer.writeRecord()
    if (outcome === 'must wait') return this.commitNow()
    // Also when it changed nothing: what is acknowledged with it (a key is gone) may rest on what is not applied yet.
    this.relaxedRecord = committer.records
    if (outcome === 'nothing' && this.group === undefined) return false
    this.allocator.settled()
    if (this.group !== undefined) {
      this.handOver()
      if (this.barrier === 'none') this.schedule()
    }
    return outcome === 'written'
  }

  /** Waits for the barrier under way and does what follows it; nothing new is started. */
  settle(): void {
    const { barrier } = this
    if (barrier === 'none') return
    // One that has failed is over, too: nobody may take it for one that has ended.
    this.barrier = 'none'
    this.memory.finishBarrier()
    this.barrierHasEnded(barrier)
    // Its end would have seen to what has been collected meanwhile; who waited for it may be an operation that fails yet.
    if (this.group !== undefined || this.waiting.length !== 0 || this.anchor !== 'none' || this.isBehind)
      this.schedule()
  }

  /** Makes every record durable and applies it, and finishes a checkpoint under way; what is collected stays staged. */
  drain(): void {
    const { committer } = this
    this.settle()
    this.storeWantedAnchor()
    // A checkpoint in the middle of a commit may have put another anchor in its place, which is durable.
    if (this.anchor === 'stored' && !committer.checkpointUnderWay) this.anchor = 'none'
    if (!committer.hasUnapplied && this.anchor !== 'stored') return
    if (this.hasUndurable || this.anchor === 'stored') {
      this.fence()
      this.oldestWrittenMs = 0
      this.anchorIsDurable()
    }
    this.allAreDurable()
    // What these records have freed may be allocated, unless something staged on top could still be rolled back.
    if (this.space.stagedCount === 0) this.allocator.committed()
  }

  /** Waits until every record is durable. */
  private fence(): void {
    const { memory } = this
    this.committer.seal()
    memory.program[0] = OP_FENCE
    memory.run(1)
    this.committer.durableRecord = this.committer.records
  }

  private allAreDurable(): void {
    this.applyDurable()
    this.host.moved()
    this.acknowledge()
  }

  /** Stores what is durable to its places. */
  private applyDurable(): void {
    if (!this.isBehind) return
    this.committer.applyDurable()
    this.space.behind = false
    this.allocator.applied()
  }

  /**
   * Before a plain read of the pool: nobody can have read it since it fell behind, so no position in a page is lost by this.
   * @throws DaxkvError PERSIST_FAILED
   */
  private catchUp(): void {
    try {
      this.applyDurable()
    } catch (error) {
      this.host.poison(error as DaxkvError)
      throw error
    }
  }

  /** For those who look at the pool itself. */
  showDurable(): void {
    if (this.isBehind) this.catchUp()
  }

  /** Finishes the checkpoint whose data is durable: a wait for what is written, and one for the anchor. */
  private finishCheckpoint(): void {
    this.takeDataSync(true)
    this.drain()
    if (this.anchor !== 'none') this.drain()
  }

  /** Everything is durable and in its place afterwards. */
  finish(): void {
    this.commitNow()
    this.finishCheckpoint()
  }

  /** Begins a checkpoint in the background, or notes that one is wanted as soon as the barrier under way has ended. */
  requestCheckpoint(): void {
    this.checkpointWanted = true
    if (this.barrier === 'none') this.advance()
  }

  /** Drops what is staged no more, at the end of a transaction. */
  tidy(): void {
    // While the pool is behind the frames are what a savepoint stands on, and what is freed under it is pinned.
    if (this.host.inTransaction() || this.space.frameCount === 0 || this.isBehind) return
    this.space.sweep()
    this.recordedFrames = 0
    this.host.moved()
  }

  rejectAll(error: unknown): void {
    this.stop()
    const { group, waiting } = this
    this.group = undefined
    this.waiting = []
    for (const { settlements } of waiting) settlements.reject(error)
    group?.reject(error)
  }

  /** The operations of the group being collected have been forgotten. */
  rejectGroup(error: unknown): void {
    const { group } = this
    this.group = undefined
    this.recordedFrames = 0
    group?.reject(error)
  }

  stop(): void {
    this.stopped = true
    clearTimeout(this.timer)
  }

  /** The next step, in the next turn of the event loop: what the callers of this turn still put belongs to the same group. */
  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      this.advance()
    })
  }

  /** Starts the barrier that is due, if none is under way. */
  private advance(): void {
    if (this.stopped || this.barrier !== 'none' || this.host.inTransaction()) return
    try {
      // With nothing else to do, or too much to remember; before more is staged, so that the frames will do.
      const mustApply = this.group === undefined || this.space.frameCount > this.behindLimit || this.checkpointDue
      if (this.isBehind && mustApply) {
        this.applyDurable()
        this.tidy()
      }
      this.host.stageDeferred()
      // What was deferred may have filled the group, and closing it may have failed.
      if (this.isBusyOrStopped()) return
      this.storeWantedAnchor()
      if (this.anchor === 'none' && this.checkpointDue) this.startCheckpoint()
      if (this.isBusyOrStopped()) return
      if (this.group !== undefined && !this.writeGroup()) return
      if (this.hasUndurable || this.anchor === 'stored') this.startBarrier('log')
      else {
        this.acknowledge()
        // A flush was all there was.
        if (this.isBehind) this.schedule()
      }
    } catch (error) {
      this.host.poison(error as DaxkvError)
    }
  }

  /** A method, because the compiler takes a field it has looked at for unchanged. */
  private isBusyOrStopped(): boolean {
    return this.stopped || this.barrier !== 'none'
  }

  /** Whether a checkpoint could free what is durable when that has been applied. */
  private get canCheckpointMore(): boolean {
    return this.isBehind && !this.committer.checkpointUnderWay
  }

  private get checkpointDue(): boolean {
    const { committer } = this
    if (this.dataSync) return false
    return (this.checkpointWanted || committer.checkpointDue) && (committer.canCheckpoint || this.canCheckpointMore)
  }

  /** False when the group could not become a record, and has been committed or given up instead. */
  private writeGroup(): boolean {
    const outcome = this.committer.writeRecord()
    if (outcome !== 'must wait') {
      if (outcome === 'written') this.host.recorded()
      this.recordedFrames = this.space.frameCount
      this.handOver()
      return true
    }
    try {
      this.commitNow()
    } catch (error) {
      this.host.abandon(error)
    }
    return false
  }

  /** The group is in a record (or changed nothing, and waits for what was before it). */
  private handOver(): void {
    const { group } = this
    if (group === undefined) return
    this.group = undefined
    this.waiting.push({ record: this.committer.records, settlements: group })
  }

  /** A group that has grown large: at most one msync is waited for. */
  private closeGroup(): void {
    this.settleOrPoison()
    if (this.stopped) return
    this.tidy()
    this.advance()
  }

  /** After a relaxed commit: starts the background barrier when it is due, waits for it where room runs out. */
  bound(): void {
    const { committer, space, frameLimit } = this
    // Timers do not fire while a program writes in a loop.
    const now = performance.now()
    if (this.oldestWrittenMs === 0) this.oldestWrittenMs = now
    if (this.barrier !== 'none') {
      if (space.frameCount <= 2 * frameLimit && !committer.ringIsAlmostFull) return
      this.settle()
      this.tidy()
    }
    const late = now - this.oldestWrittenMs > this.relaxedIntervalMs
    if (late || space.frameCount > frameLimit || committer.checkpointDue) this.advance()
    else if (this.timer === undefined && !this.scheduled) this.startTimer()
  }

  private startTimer(delayMs = this.relaxedIntervalMs): void {
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.advance()
    }, delayMs)
    // An unref'd timer keeps no process alive; closing the store flushes.
    this.timer.unref()
  }

  /** Begins a checkpoint of what is durable; no barrier is under way. */
  private startCheckpoint(): void {
    this.checkpointWanted = false
    this.applyDurable()
    this.tidy()
    this.committer.beginCheckpoint()
    this.dataSync = this.memory.startDataSync?.(this.onDataSyncEnd) === true
    if (!this.dataSync) this.startBarrier('data')
  }

  private readonly onDataSyncEnd = (error: DaxkvError | undefined): void => {
    if (this.stopped) return
    this.dataSync = false
    if (error !== undefined) {
      this.host.poison(error)
      return
    }
    this.anchor = 'wanted'
    if (this.barrier === 'none') this.schedule()
  }

  /** Whether or not it has ended: goes on with the checkpoint whose data is durable. */
  private takeDataSync(wait: boolean): void {
    if (!this.dataSync) return
    // One that has failed is over, too.
    this.dataSync = false
    const ended = this.memory.finishDataSync?.(wait) === true
    if (ended) this.anchor = 'wanted'
    else this.dataSync = true
  }

  private startBarrier(barrier: 'log' | 'data'): void {
    this.barrier = barrier
    this.barrierRecord = this.committer.records
    if (barrier === 'log') {
      this.oldestWrittenMs = 0
      this.committer.seal()
      this.allocator.sealed()
    }
    this.memory.startBarrier(barrier === 'data', this.onBarrierEnd)
  }

  private readonly onBarrierEnd = (error: DaxkvError | undefined): void => {
    if (this.stopped) return
    if (error !== undefined) {
      this.barrier = 'none'
      this.host.poison(error)
      return
    }
    const { barrier } = this
    this.barrier = 'none'
    try {
      this.barrierHasEnded(barrier)
      this.tidy()
      // Now, when nothing is staged.
      if (this.group === undefined) this.host.growAhead()
    } catch (failure) {
      this.host.poison(failure as DaxkvError)
      return
    }
    // Not at once: what is put by those whose promises have just been resolved belongs to the next group.
    if (this.group !== undefined || this.waiting.length !== 0 || this.anchor !== 'none' || this.checkpointDue)
      this.schedule()
    else if (this.hasUndurable) this.waitForInterval()
    // Unless those whose promises have been resolved go on, there is time to apply it.
    else if (this.isBehind) this.schedule()
  }

  /** Relaxed commits were written while that barrier was under way: their interval has begun already. */
  private waitForInterval(): void {
    const left = this.oldestWrittenMs + this.relaxedIntervalMs - performance.now()
    if (left <= 0) this.schedule()
    else if (this.timer === undefined) this.startTimer(left)
  }

  private barrierHasEnded(barrier: Barrier): void {
    if (barrier === 'data') {
      this.anchor = 'wanted'
      return
    }
    this.anchorIsDurable()
    this.committer.durableRecord = this.barrierRecord
    this.allocator.durable()
    // Plain reads see relaxed commits at the tip until they are in their places: no good if that took long.
    if (this.showsStaged) this.applyDurable()
    else if (this.isBehind) this.space.behind = true
    else this.allocator.applied()
    this.host.moved()
    this.acknowledge()
  }

  /** Resolves what waits for records that are durable. */
  private acknowledge(): void {
    const { waiting } = this
    const { durableRecord } = this.committer
    let count = 0
    while (count < waiting.length && waiting[count].record <= durableRecord) waiting[count++].settlements.resolve()
    if (count > 0) waiting.splice(0, count)
  }

  /** Stores the anchor of a checkpoint whose data is durable, as soon as no record is on its way. */
  private storeWantedAnchor(): void {
    if (this.anchor !== 'wanted') return
    if (!this.committer.checkpointUnderWay) {
      // Growth has found the ring full since, and finished a checkpoint of its own.
      this.anchor = 'none'
      this.anchorPutOff = false
      return
    }
    if (this.hasUndurable) {
      if (!this.anchorPutOff) {
        // Their barrier comes first.
        this.anchorPutOff = true
        return
      }
      // Relaxed commits have written more of them in the meantime: one short wait.
      this.fence()
      this.allAreDurable()
    }
    this.anchorPutOff = false
    try {
      this.committer.storeAnchor()
    } catch (error) {
      if (isPersistFailure(error)) throw error
      // No memory for it: nothing was stored, and nobody who only commits needs to know. It is tried again.
      return
    }
    this.anchor = 'stored'
  }

  private anchorIsDurable(): void {
    if (this.anchor !== 'stored') return
    this.anchor = 'none'
    if (this.committer.checkpointUnderWay) this.committer.anchorDurable()
  }

  private settleOrPoison(): void {
    try {
      this.settle()
    } catch (error) {
      this.host.poison(error as DaxkvError)
    }
  }
}

import type { Protocol } from './protocols.js'
import type { MutantReport } from './report-data.js'
import type { Patch } from './source-mutants.js'
import type { StepKind } from './step-kinds.js'
import * as trace from './trace-mutants.js'
import type { TraceFilter } from './trace-mutants.js'

/**
 * One rule of the commit protocol turned off. The crash tests must notice every one of them, or they prove nothing; what
 * they cannot notice is listed with the reason why it does no harm.
 */
export interface Mutant {
  readonly name: string
  /** The rule that it breaks, in the words of docs/internals.md. */
  readonly rule: string
  readonly commitFilter?: TraceFilter
  readonly recoveryFilter?: TraceFilter
  readonly patches?: readonly Patch[]
  /** Protocol that has the rule. Default: A, undo. */
  readonly protocol?: MutantReport['protocol']
  /** What the hunt is under. Default: undo. */
  readonly hunted?: Protocol
  /** Kinds of the first steps of the hunt. Default: `SCRIPT`. */
  readonly script?: readonly StepKind[]
  /** The attempt that is likely to notice it (see `hunt.ts`). */
  readonly first?: string
  /** Why the result cannot differ. */
  readonly equivalent?: string
}

const RECOVERY = 'tx/recovery.ts'
const ALLOCATOR = 'pool/allocator.ts'
const COMMIT = 'tx/commit.ts'

const TAKEN = 'let taken = this.committedWords[this.committedBase + word] | this.stagedWords[this.stagedBase + word]'
const FIND_EXTENTS = 'let runs = allocator.findRuns(pagesNeeded, MAX_RECORD_EXTENTS)'

const SLOT_COMMIT = 'tx/slot-commit.ts'
const SLOT_RECOVERY = 'tx/slot-recovery.ts'

/** Records that go on in extents, and at once transactions that take all the space they find. */
const OVERFLOWING: readonly StepKind[] = [
  'createKeyspace',
  'ascendingRun',
  'ascendingRun',
  'ascendingRun',
  'touchEverything',
  'manyPages',
  'overwriteSame',
  'touchEverything',
  'checkpoint',
  'manyPages',
  'clear',
  'ascendingRun',
  'ascendingRun',
  'ascendingRun',
  'touchEverything',
  'checkpoint',
  'largeValue',
  'touchEverything',
  'largeValue',
]

/** Leaves free pages enough, so that what follows need not grow the pool. */
const ROOMY: readonly StepKind[] = ['createKeyspace', 'manyPages', 'clear']
/** A record, one that overflows its slot and has other content for the same lines, and values in the space that is free then. */
const OVERWRITTEN: readonly StepKind[] = ['overwriteSame', 'touchEverything', 'checkpoint', 'largeValue', 'largeValue']

/** `findRuns` for the record's extents sees only one of the two bitmaps; ordinary allocation is left alone. */
function extentsFrom(words: string): Patch[] {
  const flag = '(globalThis as { extents?: boolean }).extents'
  return [
    { file: 'tx/record-extents.ts', find: FIND_EXTENTS, replace: `;${flag} = true; ${FIND_EXTENTS}; ${flag} = false` },
    { file: ALLOCATOR, find: TAKEN, replace: TAKEN.replace('= ', `= ${flag} === true ? ${words} : `) },
  ]
}

const STORE_LINES = 'storeLines(builder, record, finished ? memory : undefined)'
const MEMORY = '(globalThis as unknown as { memory: PersistentMemory }).memory'

const SAME_EPOCH: Patch = { file: RECOVERY, find: 'epoch: current.epoch + 1', replace: 'epoch: current.epoch' }
const SAME_SALT: Patch = {
  file: RECOVERY,
  find: 'saltLo: salt[0], saltHi: salt[1]',
  replace: 'saltLo: current.saltLo, saltHi: current.saltHi',
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'commit without fence 1',
    rule: 'the record and all fresh lines are durable before the first dirty line is stored',
    commitFilter: trace.withoutFence(1),
  },
  {
    name: 'commit without fence 2',
    rule: 'the dirty lines are durable before the acknowledgement',
    commitFilter: trace.withoutFence(2),
  },
  {
    name: 'dirty lines not flushed',
    rule: 'the dirty lines are durable before the acknowledgement',
    commitFilter: trace.withoutDirtyFlushes,
  },
  {
    name: 'fresh lines not flushed',
    rule: 'fresh lines are durable by fence 1',
    commitFilter: trace.withoutFreshFlushes,
  },
  {
    name: 'record not flushed',
    rule: 'the record is durable by fence 1',
    commitFilter: trace.withoutRecordFlushes,
  },
  {
    name: 'record hash not checked',
    protocol: 'all',
    rule: 'a record counts only when its whole hash matches',
    patches: [
      {
        file: 'tx/log-record.ts',
        find: 'if (hash[0] !== hashLo || hash[1] !== hashHi) return undefined',
        replace: '',
      },
    ],
  },
  {
    name: 'record hash over the header only',
    rule: 'the hash covers header, body and extents',
    patches: [
      { file: 'tx/log-record.ts', find: 'xxh64(stream, anchor', replace: 'xxh64(stream.subarray(0, 64), anchor' },
      {
        file: 'pmem/program-runner.ts',
        find: 'record.u8.subarray(0, totalLines * LINE_BYTES)',
        replace: 'record.u8.subarray(0, 64)',
      },
    ],
  },
  {
    name: 'every record taken as finished',
    rule: 'the post-image hash tells a finished transaction from a torn one',
    patches: [
      {
        file: RECOVERY,
        find: 'const finished = postImageMatches(memory, record, anchor)',
        replace: 'const finished = postImageMatches !== undefined',
      },
    ],
  },
  {
    name: 'every record rolled back',
    rule: 'the post-image hash tells a finished transaction from a torn one',
    patches: [
      {
        file: RECOVERY,
        find: 'const finished = postImageMatches(memory, record, anchor)',
        replace: 'const finished = postImageMatches === undefined',
      },
    ],
  },
  {
    name: 'recovery does not flush',
    first: 'kill, then power failure during or after recovery',
    rule: 'recovery flushes the covered lines of a finished record: the cache may know more than the medium',
    recoveryFilter: trace.withoutRecoveryFlushes,
  },
  {
    name: 'finished lines left alone',
    first: 'kill, then power failure during or after recovery',
    rule: 'recovery flushes the covered lines of a finished record: the cache may know more than the medium',
    patches: [
      {
        file: RECOVERY,
        find: STORE_LINES,
        replace: `if (!finished) ${STORE_LINES}`,
      },
    ],
  },
  {
    name: 'rollback stores differing lines only',
    first: 'kill, kill of the recovery, then power failure',
    rule: 'rollback stores every pre-image: a line may be equal in the cache only',
    patches: [
      { file: RECOVERY, find: STORE_LINES, replace: `;${MEMORY} = memory; ${STORE_LINES}` },
      {
        file: RECOVERY,
        find: 'eachLine(record, (pageId, line, index) => {',
        replace: `eachLine(record, (pageId, line, index) => {
          const now = pageBytes(${MEMORY}, pageId)
          const from = now.base + line * LINE_BYTES
          if (now.view.u8.compare(record.bodies, index * 64, index * 64 + 64, from, from + 64) === 0) return`,
      },
    ],
  },
  {
    name: 'no sync before the epoch bump',
    first: 'power failure during recovery',
    rule: 'the rollback is durable before the record is dead',
    patches: [{ file: RECOVERY, find: 'builder.syncAll().run()', replace: 'builder.run()' }],
  },
  {
    name: 'no epoch, salt and txid step',
    protocol: 'all',
    rule: 'a clean close makes the record dead, so that later bit rot cannot undo an old transaction',
    patches: [
      SAME_EPOCH,
      SAME_SALT,
      {
        file: 'tx/engine.ts',
        find: 'this.committer.anchor, this.committer.txid',
        replace: 'this.committer.anchor, this.committer.anchor.txid',
      },
      { file: 'tx/open-pool.ts', find: 'Math.max(anchor.txid, recovery.txid)', replace: 'anchor.txid' },
    ],
  },
  {
    name: 'no epoch step',
    protocol: 'all',
    rule: 'a new epoch at every open',
    patches: [SAME_EPOCH],
    equivalent: 'the salt changes as well, so the hash of an older record does not match (but for a chance of 2^-64)',
  },
  {
    name: 'no salt step',
    protocol: 'all',
    rule: 'a new salt at every open',
    patches: [SAME_SALT],
    equivalent:
      'an older record is told by its epoch; the salt is for bytes that look like a record, and under the undo protocol ' +
      'nothing but a record header is ever written to the first line of the slot',
  },
  {
    name: 'txid of the last transaction used again',
    rule: 'a record is of a later transaction than the anchor',
    patches: [
      {
        file: 'tx/committer.ts',
        find: 'const nextLo = (this.txidLo + 1) >>> 0',
        replace: 'const nextLo = this.txidLo',
      },
    ],
  },
  {
    name: 'anchor written over the only valid copy',
    protocol: 'all',
    rule: 'two anchor copies, of which the older is overwritten',
    patches: [{ file: RECOVERY, find: '? PAGE_ANCHOR_B : PAGE_ANCHOR_A', replace: '? PAGE_ANCHOR_A : PAGE_ANCHOR_B' }],
  },
  {
    name: 'anchor checksum not checked',
    protocol: 'all',
    rule: 'two anchor copies with a checksum',
    patches: [
      {
        file: 'pool/anchor.ts',
        find: 'if (bytes.readUInt32LE(ANCHOR_OFFSET_HASH) !== hash[0]) return undefined',
        replace: '',
      },
      {
        file: 'pool/anchor.ts',
        find: 'if (bytes.readUInt32LE(ANCHOR_OFFSET_HASH + 4) !== hash[1]) return undefined',
        replace: 'if (hash.length === 0) return undefined',
      },
    ],
  },
  {
    name: 'chosen anchor not made durable',
    protocol: 'all',
    first: 'kill, then power failure during or after recovery',
    rule: 'the chosen anchor is made durable before the other one is written',
    patches: [
      { file: RECOVERY, find: 'builder.store(page, frame, 3, 0)\n  })\n  builder.fence().run()', replace: '})' },
    ],
  },
  {
    name: 'no fence after the anchors',
    protocol: 'all',
    rule: 'the chosen anchor is made durable before the other one is written',
    recoveryFilter: trace.withoutFirstFence,
    equivalent: 'the sync before the epoch bump comes in between and is a fence as well',
  },
  {
    name: 'new anchor not fenced',
    protocol: 'all',
    rule: 'the new epoch is durable before work begins',
    recoveryFilter: trace.withoutAnchorFence,
    equivalent:
      'fence 1 of the first commit makes the anchor durable before anything is stored in place; until then the old ' +
      'anchor leads to the same pool, because what its record asks for has been done and made durable',
  },
  {
    name: 'new anchor not flushed',
    protocol: 'all',
    first: 'power failure, recovery and work, then power failure',
    rule: 'the new epoch is durable before work begins',
    recoveryFilter: trace.withoutAnchorFlush,
  },
  {
    name: 'page reused by the transaction that freed it',
    rule: 'no reuse of a page freed in the same transaction',
    patches: [{ file: ALLOCATOR, find: TAKEN, replace: 'let taken = this.stagedWords[this.stagedBase + word]' }],
  },
  {
    name: 'record continues in pages it freed',
    rule: 'extents of a record only from pages this transaction neither freed nor allocated',
    patches: extentsFrom('this.stagedWords[this.stagedBase + word]'),
  },
  {
    name: 'record continues in pages it allocated',
    rule: 'extents of a record only from pages this transaction neither freed nor allocated',
    patches: extentsFrom('this.committedWords[this.committedBase + word]'),
  },
  {
    name: 'lines of freed pages recorded',
    rule: 'lines of freed pages are dropped from the record',
    patches: [{ file: COMMIT, find: 'FRAME_BACKUP | FRAME_FREED', replace: 'FRAME_BACKUP', count: 4 }],
  },
  {
    name: 'lines of freed pages stored',
    rule: 'lines of freed pages are not stored either',
    patches: [
      {
        file: COMMIT,
        find: `words[at++] = OP_FENCE
    for (let frame = 0; frame < frameCount; frame++) {
      if ((flags[frame] & (FRAME_BACKUP | FRAME_FREED | FRAME_FRESH)) !== 0) continue`,
        replace: `words[at++] = OP_FENCE
    for (let frame = 0; frame < frameCount; frame++) {
      if ((flags[frame] & (FRAME_BACKUP | FRAME_FRESH)) !== 0) continue`,
      },
    ],
  },
  {
    name: 'extent freed under a savepoint reused',
    first: 'a long life without crashes',
    rule: 'a value that a rollback to a savepoint brings back is not overwritten',
    patches: [
      {
        file: ALLOCATOR,
        find: 'if (this.pages.savepointDepth > 0) this.pin(pageId, pageCount)',
        replace: '',
      },
    ],
  },
  {
    name: 'capacity published before the file is extended',
    protocol: 'E',
    rule: 'growth: extend, write zeros, sync, and only then publish',
    patches: [
      {
        file: 'tx/growth.ts',
        find: `this.extend(this.wishedCapacity(old, required), required)
    this.publish(old, this.memory.sizeBytes / PAGE_BYTES, committer)`,
        replace: `const wished = this.wishedCapacity(old, required)
    this.publish(old, wished, committer)
    this.extend(wished, required)`,
      },
    ],
  },
  {
    name: 'growth over old bytes without zeroing',
    protocol: 'E',
    rule: 'growing again over what an unpublished growth has left writes the zeros again',
    patches: [
      {
        file: 'pmem/simulated-memory.ts',
        find: 'this.#clear(oldSizeBytes, Math.min(newSizeBytes, this.#writtenBytes))',
        replace: '',
      },
    ],
    equivalent:
      'the content of free pages is undefined by design: a page is zeroed when it is allocated and the bitmap of a new ' +
      'segment is written whole. The zeros are for the file system (no holes, no unwritten extents), which this model ' +
      'does not know; tests of the native executor look at the extents of the file',
  },
  {
    name: 'redo record hash not checked',
    protocol: 'C',
    hunted: 'ring',
    rule: 'a record counts only when its whole hash matches',
    patches: [
      {
        file: 'tx/log-record.ts',
        find: 'if (hash[0] !== hashLo || hash[1] !== hashHi) return undefined',
        replace: '',
      },
    ],
  },
  {
    name: 'redo record of any transaction taken for the next',
    protocol: 'C',
    hunted: 'ring',
    rule: 'recovery expects txid + 1 and stops at the first mismatch',
    patches: [
      {
        file: 'tx/redo-recovery.ts',
        find: 'if (header?.kind !== RECORD_REDO || header.txid !== anchor.txid + records.length + 1) return undefined',
        replace: 'if (header?.kind !== RECORD_REDO) return undefined',
      },
    ],
  },
  {
    name: 'checkpoint that does not step the txid',
    protocol: 'C',
    hunted: 'ring',
    rule: 'a checkpoint writes the txid that recovery goes on from',
    patches: [
      { file: 'tx/redo-commit.ts', find: 'txid: this.epoch.txid,', replace: 'txid: anchor.txid,' },
      { file: 'tx/redo-commit.ts', find: 'txid: appliedTxid,', replace: 'txid: anchor.txid,' },
    ],
  },
  {
    name: 'checkpoint that does not step the sequence of anchors',
    protocol: 'C',
    hunted: 'ring',
    rule: 'the highest valid sequence number wins',
    patches: [{ file: 'tx/redo-commit.ts', find: 'seq: anchor.seq + 1,', replace: 'seq: anchor.seq,', count: 2 }],
  },
  {
    name: 'checkpoint that does not move the start of the ring',
    protocol: 'C',
    hunted: 'ring',
    rule: 'recovery starts at the ring offset of the anchor',
    patches: [
      { file: 'tx/redo-commit.ts', find: 'ringLine: line,', replace: 'ringLine: anchor.ringLine,' },
      { file: 'tx/redo-commit.ts', find: 'ringLine: appliedLine,', replace: 'ringLine: anchor.ringLine,' },
    ],
  },
  {
    name: 'slots: fresh hash not checked',
    protocol: 'B',
    hunted: 'slots',
    rule: 'the newest slot record counts only when its fresh lines stand in their places',
    patches: [
      {
        file: SLOT_RECOVERY,
        find: 'if (found.length > 0 && !freshLinesMatch(memory, found[found.length - 1], anchor)) found.pop()',
        replace: 'if (found.length > 2 && !freshLinesMatch(memory, found[found.length - 1], anchor)) found.pop()',
      },
    ],
  },
  {
    name: 'slots: fresh hash of the older record checked as well',
    protocol: 'B',
    hunted: 'slots',
    rule: 'the fresh lines of an older record may have been rewritten by the newer transaction',
    patches: [
      {
        file: SLOT_RECOVERY,
        find: 'if (found.length > 0 && !freshLinesMatch(memory, found[found.length - 1], anchor)) found.pop()',
        replace: `const bad = found.findIndex((record) => !freshLinesMatch(memory, record, anchor))
          if (bad >= 0) found.length = bad`,
      },
    ],
  },
  {
    name: 'slots: the newest record overwritten instead of the older one',
    protocol: 'B',
    hunted: 'slots',
    rule: 'a record goes to the slot that does not hold the newest one',
    patches: [{ file: SLOT_RECOVERY, find: '(txid % 2) * pages', replace: '(txid % 1) * pages' }],
  },
  {
    name: 'slots: only the newest record replayed',
    protocol: 'B',
    hunted: 'slots',
    rule: 'the lines of a transaction are durable only since the fence of the next, so both records are replayed',
    patches: [
      {
        file: SLOT_RECOVERY,
        find: 'if (found.length === 2 && found[1].txid !== found[0].txid + 1) found.shift()',
        replace: 'if (found.length === 2 && freshLinesMatch(memory, found[1], anchor)) found.shift()',
      },
    ],
  },
  {
    name: 'slots: records that do not follow each other replayed',
    protocol: 'B',
    hunted: 'slots',
    rule: 'the older record counts only when it is the one before the newest',
    patches: [
      {
        file: SLOT_RECOVERY,
        find: 'if (found.length === 2 && found[1].txid !== found[0].txid + 1) found.shift()',
        replace: '',
      },
    ],
    equivalent:
      'the slots are written by turns, and a record is begun when the one before is durable: two whole records follow each ' +
      'other unless the medium has lost an acknowledged one',
  },
  {
    name: 'slots: record not made durable before it is replayed',
    protocol: 'B',
    hunted: 'slots',
    first: 'kill, then power failure during or after recovery',
    rule: 'recovery makes the record durable before replaying',
    patches: [
      {
        file: RECOVERY,
        find: 'restoreRecords(builder, redo)',
        replace: 'if (redo.length > 2) restoreRecords(builder, redo)',
      },
    ],
  },
  {
    name: 'slots: fresh lines not made durable before the record is replayed',
    protocol: 'B',
    hunted: 'slots',
    first: 'kill, then power failure during or after recovery',
    rule: 'recovery makes the fresh lines durable before replaying',
    patches: [
      {
        file: RECOVERY,
        find: 'restoreFreshLines(builder, memory, redo[redo.length - 1])',
        replace: 'if (redo.length > 2) restoreFreshLines(builder, memory, redo[redo.length - 1])',
      },
    ],
  },
  {
    name: 'slots: commit without a fence',
    protocol: 'B',
    hunted: 'slots',
    rule: 'record, fresh lines and the lines of the transaction before are durable before the first line is stored',
    commitFilter: trace.withoutFence(1),
  },
  {
    name: 'slots: record not flushed',
    protocol: 'B',
    hunted: 'slots',
    rule: 'the record is durable by the fence',
    commitFilter: trace.withoutRecordFlushes,
  },
  {
    name: 'slots: fresh lines not flushed',
    protocol: 'B',
    hunted: 'slots',
    rule: 'fresh lines are durable by the fence',
    commitFilter: trace.withoutFreshFlushes,
  },
  {
    name: 'slots: values not flushed',
    protocol: 'B',
    hunted: 'slots',
    rule: 'values are durable by the fence',
    patches: [{ file: SLOT_COMMIT, find: 'at = putValues(words, at, values, false)', replace: '' }],
  },
  {
    name: 'slots: dirty lines not flushed',
    protocol: 'B',
    hunted: 'slots',
    rule: 'the fence of the next transaction makes the lines of this one durable',
    commitFilter: trace.withoutLastFlushes,
  },
  {
    name: 'slots: extents of a record used again by the next transaction',
    protocol: 'B',
    hunted: 'slots',
    script: OVERFLOWING,
    rule: 'extents stay reserved until the next record is durable',
    patches: [
      { file: SLOT_COMMIT, find: 'this.allocator.reserve(extents)', replace: 'this.allocator.reserve(NO_EXTENTS)' },
    ],
  },
  {
    name: 'slots: extents of a record used again after a checkpoint',
    protocol: 'B',
    hunted: 'slots',
    script: [...ROOMY, 'ascendingRun', 'ascendingRun', 'ascendingRun', ...OVERWRITTEN, ...OVERWRITTEN],
    rule: 'a fence does not free the extents: without the newest record the older one would be taken for it',
    patches: [
      {
        file: SLOT_COMMIT,
        find: 'memory.program[0] = OP_FENCE',
        replace: 'memory.program[0] = OP_FENCE; this.allocator.reserve(NO_EXTENTS)',
      },
    ],
  },
  {
    name: 'slots: a fresh page over one that the record before covers',
    protocol: 'B',
    hunted: 'slots',
    rule: 'lines of freed pages are not recorded, so that the next transaction may fill those pages in place',
    patches: [{ file: SLOT_COMMIT, find: 'FRAME_BACKUP | FRAME_FREED', replace: 'FRAME_BACKUP', count: 5 }],
  },
  {
    name: 'slots: page reused by the transaction that freed it',
    protocol: 'B',
    hunted: 'slots',
    rule: 'no reuse of a page freed in the same transaction',
    patches: [{ file: ALLOCATOR, find: TAKEN, replace: 'let taken = this.stagedWords[this.stagedBase + word]' }],
  },
  {
    name: 'slots: record continues in pages it freed',
    protocol: 'B',
    hunted: 'slots',
    rule: 'extents of a record only from pages this transaction neither freed nor allocated',
    patches: extentsFrom('this.stagedWords[this.stagedBase + word]'),
  },
  {
    name: 'slots: record continues in pages it allocated',
    protocol: 'B',
    hunted: 'slots',
    rule: 'extents of a record only from pages this transaction neither freed nor allocated',
    patches: extentsFrom('this.committedWords[this.committedBase + word]'),
  },
  {
    name: 'slots: record hash not checked',
    protocol: 'B',
    hunted: 'slots',
    rule: 'a record counts only when its whole hash matches',
    patches: [
      {
        file: 'tx/log-record.ts',
        find: 'if (hash[0] !== hashLo || hash[1] !== hashHi) return undefined',
        replace: '',
      },
    ],
  },
  {
    name: 'open that does not step the sequence of anchors',
    protocol: 'all',
    rule: 'the highest valid sequence number wins',
    patches: [{ file: RECOVERY, find: 'seq: current.seq + 1,', replace: 'seq: current.seq,' }],
  },
]

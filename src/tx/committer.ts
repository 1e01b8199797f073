/**
 * What the engine asks of a logging policy: `commit.ts` (undo), `redo-commit.ts` (redo in a ring) and `slot-commit.ts` (redo in two
 * slots). How a barrier is made only the executor knows; which of the redo logs is used depends on what a barrier costs.
 */
import { DaxkvError } from '../errors.js'
import { OP_RECORD } from '../pmem/program.js'
import type { Anchor } from '../pool/anchor.js'
import type { Run } from '../pool/allocator.js'

/** How a commit is made atomic; see `docs/internals.md`. */
export type Logging = 'undo' | 'redo'

export interface Committer {
  /** Id of the last transaction that is durable. */
  readonly txid: number
  /** The anchor that counts now. */
  readonly anchor: Anchor
  /** Checkpoints so far; always 0 under undo. */
  readonly checkpoints: number
  /** Takes over epoch, salt and last transaction id from the anchor that was just written. */
  startEpoch(anchor: Anchor): void
  /**
   * Makes everything staged durable. Returns false, having stored nothing, when nothing was staged. Throws before the
   * first store to what is committed when the record finds no room; any later failure comes from the executor and must
   * poison the store.
   */
  commit(): boolean
  /**
   * Commits lines of one page as a system transaction (growth), in the middle of a user transaction if need be. `words`
   * is run before: checksums, and (`storesFresh`) stores of pages that lie beyond the capacity.
   */
  commitSystem(words: readonly number[], lines: StagedLines, storesFresh: boolean): void
  /** Makes all data durable and frees the log, where there is anything to free. */
  checkpoint(): void
  /** True when a checkpoint would free something. */
  readonly hasUnfreedLog: boolean
  /** True when a checkpoint should not wait for the log to be full. */
  readonly checkpointDue: boolean
}

/** Lines of a page as they stand in a frame. */
export interface StagedLines {
  readonly pageId: number
  readonly frame: number
  readonly maskLo: number
  readonly maskHi: number
}

/** Only failures of the executor poison the store: what was refused before the first store changed nothing. */
export function isPersistFailure(error: unknown): error is DaxkvError {
  return error instanceof DaxkvError && (error.code === 'PERSIST_FAILED' || error.code === 'MEDIA_ERROR')
}

/** Fixed words of OP_RECORD. */
export const RECORD_WORDS = 12
/** Words of an entry of OP_RECORD. */
export const RECORD_ENTRY_WORDS = 4

/** Epoch, salt and transaction ids as halves of 32 bits: no BigInt on the hot path. */
export class LogEpoch {
  private txidLo = 0
  private txidHi = 0
  private epochLo = 0
  private epochHi = 0
  private saltLo = 0
  private saltHi = 0

  start(anchor: Anchor): void {
    this.txidLo = anchor.txid >>> 0
    this.txidHi = Math.floor(anchor.txid / 2 ** 32)
    this.epochLo = anchor.epoch >>> 0
    this.epochHi = Math.floor(anchor.epoch / 2 ** 32)
    this.saltLo = anchor.saltLo
    this.saltHi = anchor.saltHi
  }

  /** Id of the last transaction whose program has run. */
  get txid(): number {
    return this.txidLo + this.txidHi * 2 ** 32
  }

  /**
   * The last header written has run. Not before: ids must have no gaps, because redo recovery stops at the first one, and
   * a program that is refused has written nothing.
   */
  advance(): void {
    this.txidLo = (this.txidLo + 1) >>> 0
    if (this.txidLo === 0) this.txidHi++
  }

  /** Writes the fixed words of the next transaction's OP_RECORD and its extent table; returns where the entries go. */
  header(words: Uint32Array, start: number, kind: number, log: Run, pages: number, extents: readonly Run[]): number {
    const nextLo = (this.txidLo + 1) >>> 0
    let at = start
    words[at] = OP_RECORD
    words[at + 1] = kind
    words[at + 2] = log.page
    words[at + 3] = log.pages
    words[at + 4] = this.epochLo
    words[at + 5] = this.epochHi
    words[at + 6] = nextLo
    words[at + 7] = nextLo === 0 ? this.txidHi + 1 : this.txidHi
    words[at + 8] = this.saltLo
    words[at + 9] = this.saltHi
    words[at + 10] = extents.length
    words[at + 11] = pages
    at += RECORD_WORDS
    for (let i = 0; i < extents.length; i++) {
      const extent = extents[i]
      words[at++] = extent.page
      words[at++] = extent.pages
    }
    return at
  }
}

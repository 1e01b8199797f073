import type { AnyKey, Store, StoreOptions } from 'daxkv'

/**
 * What a crash takes (docs/crash-testing.md explains them):
 * - `cache-line`: power failure; the caches of the processor are lost, line by line.
 * - `byte`: power failure of a machine that saves its caches (eADR).
 * - `page`: power failure over a page cache; pages are lost one by one.
 * - `kill`: the process dies, the machine goes on.
 */
export type CrashModel = 'cache-line' | 'byte' | 'page' | 'kill'

/** How the store under test makes its commits atomic; see the option `logging` of `open`. */
export type CrashLogging = 'undo' | 'redo'

/**
 * Options of the store under test. Sizes default to small ones, since every image is a whole pool. Relaxed `durability` is
 * refused: not explored yet.
 */
export type CrashStoreOptions = Omit<
  StoreOptions,
  'readOnly' | 'create' | 'requireGranularity' | 'forceGranularity' | 'executor' | 'logging'
>

export interface CrashTestOptions<K extends AnyKey = AnyKey, V = unknown> {
  /**
   * Fills the store before the crashes begin. What it has stored is taken as durable. Called once for each logging, as
   * `workload` is: both must do the same each time. Default: the store starts empty.
   */
  readonly setup?: (store: Store<K, V>) => unknown
  /** The transactions under test. A crash is tried at every store, flush and fence they cause. */
  readonly workload: (store: Store<K, V>) => unknown
  /**
   * Says whether a store recovered from a crash is all right: it throws, or returns (a promise of) false, if not. Called
   * once for each different content that was found. It may write to the store; that is forgotten.
   */
  readonly check: (store: Store<K, V>) => unknown
  /** Default: all four. */
  readonly models?: readonly CrashModel[]
  /** Default: both. */
  readonly logging?: readonly CrashLogging[]
  /** Options of the store. Default: 256 KiB at first, growing by 64 KiB, with a log of 32 KiB and segments of 16 MiB. */
  readonly store?: CrashStoreOptions
  /** Of the sampled images. Default 1. */
  readonly seed?: number
  /** Up to this many images are made of one crash point completely; where there are more, they are sampled. Default 64. */
  readonly exhaustiveLimit?: number
  /** How many images are sampled where there are more. Default 24. */
  readonly samples?: number
  /** Stop after this many images (`complete` is false then). Default 1,000,000. */
  readonly maxImages?: number
  /** The token of a failure, to try that crash only. */
  readonly replay?: string
  /** Throw `CrashTestError` at a failure. False: only report it in the result. Default true. */
  readonly throws?: boolean
  /** Called now and then. */
  readonly progress?: (counts: CrashTestCounts) => void
}

export interface CrashTestCounts {
  /** Events (stores, flushes, fences) at which crashes were tried. */
  readonly points: number
  /** Images that a crash may leave, as they came up. */
  readonly images: number
  /** Images that were different from all others; each was recovered and judged. */
  readonly distinct: number
  /** Different contents among them; `check` was called for each. */
  readonly contents: number
}

export interface CrashTestRun extends Omit<CrashTestCounts, 'contents'> {
  readonly logging: CrashLogging
  readonly model: CrashModel
}

export interface CrashTestResult extends CrashTestCounts {
  readonly ok: boolean
  /** False when `maxImages` or a failure ended the test early. */
  readonly complete: boolean
  readonly seed: number
  /** Transactions of the workload that changed anything. */
  readonly transactions: number
  /** By logging and model, in the order in which they were explored. `distinct` leaves out images of earlier runs. */
  readonly runs: readonly CrashTestRun[]
  readonly failure: CrashFailure | undefined
}

/**
 * - `check`: the caller's `check` refused what was recovered.
 * - `check-without-crash`: it refuses what `setup`, or the whole workload, leaves without any crash.
 * - `history`: what was recovered is no state the transactions went through, or lacks an acknowledged one: a defect of daxkv.
 * - `recovery`: the image could not be opened, or `store.check()` found damage: a defect of daxkv.
 */
export type CrashFailureKind = 'check' | 'check-without-crash' | 'history' | 'recovery'

/** A place in the caller's code. */
export interface CallSite {
  readonly file: string
  readonly line: number
  readonly column: number
  /** Empty at the top level of a module. */
  readonly functionName: string
}

/** A call that changed the store. */
export interface CrashOperation {
  /** Such as `put`, `delete`, `transaction`. */
  readonly method: string
  /** Empty for the default keyspace. */
  readonly keyspace: string
  /** The key, shortened, where there is one. */
  readonly key: string | undefined
  /** Where it was called, innermost place first; empty where that is not known. */
  readonly sites: readonly CallSite[]
}

export interface CrashTransaction {
  /** From 1 on. */
  readonly number: number
  /** The call that committed: a transaction, or a single write. */
  readonly call: CrashOperation
  /** Calls inside it. */
  readonly operations: readonly CrashOperation[]
  /**
   * When the crash came: `acknowledged` (its call had returned), `committing`, or `not begun`.
   */
  readonly state: 'acknowledged' | 'committing' | 'not begun'
}

/** A piece of the pool that did not hold its newest content after the crash. */
export interface StaleLine {
  readonly pageId: number
  /** From 0 to 63: the line of 64 bytes in its page. */
  readonly line: number
  /** The last call that had changed it before, if it belongs to one. */
  readonly operation: CrashOperation | undefined
}

export interface CrashFailure {
  readonly kind: CrashFailureKind
  /** All of it in words, with call sites, seed and replay token. */
  readonly message: string
  readonly logging: CrashLogging
  readonly model: CrashModel | undefined
  readonly seed: number
  /** Transactions that the recovered store holds, counted from the first of the workload; undefined if it is no such state. */
  readonly found: number | undefined
  /** Transactions that had been acknowledged when the crash came. */
  readonly acknowledged: number
  readonly transactions: readonly CrashTransaction[]
  readonly staleLines: readonly StaleLine[]
  /** The value of the option `replay` that tries this crash only; undefined when no crash was needed. */
  readonly replay: string | undefined
  /** What `check` or the recovery threw. */
  readonly cause: unknown
}

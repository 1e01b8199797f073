/**
 * `daxkv/crash-kit`: crash tests of your own transactions. It stands on top of the API layer and is no part of what
 * `import 'daxkv'` loads; docs/crash-testing.md explains it.
 */
import type { AnyKey } from 'daxkv'
import { runCrashTest } from './run.js'
import type { CrashFailure, CrashTestOptions, CrashTestResult } from './types.js'

export type {
  CallSite,
  CrashFailure,
  CrashFailureKind,
  CrashLogging,
  CrashModel,
  CrashOperation,
  CrashStoreOptions,
  CrashTestCounts,
  CrashTestOptions,
  CrashTestResult,
  CrashTestRun,
  CrashTransaction,
  StaleLine,
} from './types.js'

/** A store recovered from a crash was not what it must be. The message says which crash, what was found, and where to look. */
export class CrashTestError extends Error {
  override readonly name = 'CrashTestError'
  readonly failure: CrashFailure
  readonly result: CrashTestResult

  /** @internal */
  constructor(failure: CrashFailure, result: CrashTestResult) {
    super(failure.message, { cause: failure.cause })
    this.failure = failure
    this.result = result
  }
}

/**
 * Runs `workload` on a store in memory, makes the images of the pool that a crash may leave, at every store, flush and fence, recovers
 * each and asks `check` about it. Also holds daxkv to its own promise: what is recovered is a state the transactions went
 * through, with everything that had been acknowledged, and without damage.
 *
 *     await crashTest({
 *       setup: (store) => { store.put('alice', 100); store.put('bob', 0) },
 *       workload: (store) => store.transaction(() => { store.put('alice', 60); store.put('bob', 40) }),
 *       check: (store) => store.get('alice') + store.get('bob') === 100,
 *     })
 *
 * `setup`, `workload` and `check` may be asynchronous; `workload` must write by synchronous calls, since writes that join a group are not
 * explored yet.
 *
 * @throws CrashTestError at the first crash that fails, unless `throws` is false
 * @throws DaxkvError INVALID_ARGUMENT for wrong options, or a `replay` whose workload does something else than it did
 */
export async function crashTest<K extends AnyKey = AnyKey, V = unknown>(
  options: CrashTestOptions<K, V>,
): Promise<CrashTestResult> {
  const result = await runCrashTest(options as unknown as CrashTestOptions)
  if (result.failure !== undefined && options.throws !== false) throw new CrashTestError(result.failure, result)
  return result
}

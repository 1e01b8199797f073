import type { CrashOptions } from './crash-states.js'
import type { Recording } from './recording.js'

/**
 * How much a suite does: the cut of the test run, `npm run crash-tests`, or one round of the many that `--long` does with
 * further and further seeds (finite, so that the other suites get their turn).
 */
export type Amount = 'quick' | 'full' | 'long'

/** Enough for a hunt: every crash point, a few images at each. */
export const FEW: CrashOptions = { exhaustiveLimit: 12, samples: 6 }
export const FEWER: CrashOptions = { exhaustiveLimit: 4, samples: 2 }
export const SOME: CrashOptions = { exhaustiveLimit: 24, samples: 12 }

/** Every crash point is tried, but fewer images at each where a transaction has thousands of points. */
export function amountFor(recording: Recording, usual: CrashOptions = FEW): CrashOptions {
  return recording.trace.events.count > 1000 ? FEWER : usual
}

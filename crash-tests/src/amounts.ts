import type { CrashOptions } from './crash-states.js'
import type { Recording } from './recording.js'

/** How much a suite does: the cut of the test run, `npm run crash-tests`, or as long as somebody lets it run. */
export type Amount = 'quick' | 'full' | 'long'

/** Enough for a hunt: every crash point, a few images at each. */
export const FEW: CrashOptions = { exhaustiveLimit: 12, samples: 6 }
export const FEWER: CrashOptions = { exhaustiveLimit: 4, samples: 2 }
export const MANY: CrashOptions = { exhaustiveLimit: 64, samples: 24 }

/** Every crash point is tried, but fewer images at each where a transaction has thousands of points. */
export function amountFor(recording: Recording, usual: CrashOptions = FEW): CrashOptions {
  return recording.trace.events.count > 1000 ? FEWER : usual
}

/** Medians, quantiles, and what a ratio of two series of rounds is worth. */

/** Paired ratios that differ by more than this factor between their p10 and p90 say nothing. */
export const MEANINGLESS_SPREAD = 2

export interface Summary {
  readonly median: number
  readonly p10: number
  readonly p90: number
  readonly rounds: readonly number[]
}

/** Quantile by linear interpolation between the two nearest samples. */
export function quantile(samples: readonly number[], fraction: number): number {
  if (samples.length === 0) throw new RangeError('no samples')
  const sorted = [...samples].sort((a, b) => a - b)
  const position = fraction * (sorted.length - 1)
  const below = Math.floor(position)
  const low = sorted[below]
  const high = sorted[Math.min(below + 1, sorted.length - 1)]
  return low + (high - low) * (position - below)
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5)
}

export function summarise(rounds: readonly number[]): Summary {
  return { median: median(rounds), p10: quantile(rounds, 0.1), p90: quantile(rounds, 0.9), rounds }
}

export interface Ratio extends Summary {
  /** True when the rounds differ so much that the median is chance. */
  readonly meaningless: boolean
}

/**
 * How many times less `ours` costs than `theirs`. The two figures of one round were measured next to each other, so
 * each round gives a ratio in which a slow machine cancels; their median is the answer.
 */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): Ratio {
  if (ours.length !== theirs.length) throw new RangeError('series of different lengths')
  const summary = summarise(ours.map((cost, round) => theirs[round] / cost))
  return { ...summary, meaningless: summary.p90 > summary.p10 * MEANINGLESS_SPREAD }
}

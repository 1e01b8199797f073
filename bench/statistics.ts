/** Medians, quantiles, and what a ratio of two series of rounds is worth. */

/**
 * The rule for printing ratios. Each round gives one ratio. With fewer rounds than LEAST_ROUNDS nothing is known about
 * how much they differ; where the interval of their median (see `medianInterval`) spans more than this factor, the
 * median is chance. In both cases the table shows the interval, and no ratio.
 */
export const MEANINGLESS_SPREAD = 1.5
export const LEAST_ROUNDS = 3

/** The interval of a median is made at least this sure, where there are enough rounds. */
const CONFIDENCE = 0.9

export interface Summary {
  readonly median: number
  /** The median lies between `low` and `high`; see `medianInterval`. */
  readonly low: number
  readonly high: number
  readonly rounds: readonly number[]
}

/** Quantile by linear interpolation between the two nearest samples. */
export function quantile(samples: readonly number[], fraction: number): number {
  if (samples.length === 0) throw new RangeError('no samples')
  return sortedQuantile(
    [...samples].sort((a, b) => a - b),
    fraction,
  )
}

/** The same of samples that are sorted already. */
export function sortedQuantile(sorted: readonly number[], fraction: number): number {
  const position = fraction * (sorted.length - 1)
  const below = Math.floor(position)
  const low = sorted[below]
  const high = sorted[Math.min(below + 1, sorted.length - 1)]
  return low + (high - low) * (position - below)
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5)
}

/**
 * Between which samples the true median lies, whatever their distribution: with n rounds, lowest and highest enclose
 * it with probability 1 - 2^(1-n) (94 % for five); with more rounds the interval is drawn in as far as 90 % allows.
 * Below five rounds it is lowest and highest, and less sure (75 % for three).
 */
export function medianInterval(samples: readonly number[]): { readonly low: number; readonly high: number } {
  if (samples.length === 0) throw new RangeError('no samples')
  const sorted = [...samples].sort((a, b) => a - b)
  const { length } = sorted
  let skipped = 0
  let tail = 0
  let term = 0.5 ** length
  // Each tail holds the chance that at most `skipped` rounds fall on one side of the true median.
  for (let i = 0; i < length / 2; i++) {
    tail += term
    if (1 - 2 * tail < CONFIDENCE) break
    skipped = i
    term = (term * (length - i)) / (i + 1)
  }
  return { low: sorted[skipped], high: sorted[length - 1 - skipped] }
}

export function summarise(rounds: readonly number[]): Summary {
  return { median: median(rounds), ...medianInterval(rounds), rounds }
}

/** What a ratio may be used for; only a `good` one is printed. */
export type RatioQuality = 'good' | 'noisy' | 'few rounds'

export interface Ratio extends Summary {
  readonly quality: RatioQuality
}

/**
 * How many times less `ours` costs than `theirs`. The two figures of one round were measured next to each other, so
 * each round gives a ratio in which a slow machine cancels; their median is the answer.
 */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): Ratio {
  if (ours.length !== theirs.length) throw new RangeError('series of different lengths')
  const summary = summarise(ours.map((cost, round) => theirs[round] / cost))
  return { ...summary, quality: qualityOf(summary) }
}

function qualityOf({ low, high, rounds }: Summary): RatioQuality {
  if (rounds.length < LEAST_ROUNDS) return 'few rounds'
  return high > low * MEANINGLESS_SPREAD ? 'noisy' : 'good'
}

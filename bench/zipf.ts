import { mix } from './data.js'

/** The skew of the Yahoo! Cloud Serving Benchmark. */
const THETA = 0.99
const RANK_SEED = 0x21bf
const UNIT = 2 ** 32

/**
 * Picks indices 0..count-1 so that the k-th most popular comes up with a chance proportional to 1/k^0.99 (Gray et al.,
 * "Quickly generating billion-record synthetic databases"). Popular indices are scattered over the whole range.
 */
export class ZipfPicker {
  private readonly zetaN: number
  private readonly eta: number
  private readonly alpha = 1 / (1 - THETA)
  private serial = 0

  constructor(
    readonly count: number,
    private readonly seed: number,
  ) {
    if (!Number.isInteger(count) || count < 2)
      throw new RangeError(`at least 2 indices to pick from, got ${String(count)}`)
    let zeta = 0
    for (let rank = 1; rank <= count; rank++) zeta += rank ** -THETA
    this.zetaN = zeta
    const zetaTwo = 1 + 2 ** -THETA
    this.eta = (1 - (2 / count) ** (1 - THETA)) / (1 - zetaTwo / zeta)
  }

  /** 0 is the most popular rank. */
  nextRank(): number {
    const random = mix(this.serial++, this.seed) / UNIT
    const scaled = random * this.zetaN
    if (scaled < 1) return 0
    if (scaled < 1 + 2 ** -THETA) return 1
    return Math.min(this.count - 1, Math.floor(this.count * (this.eta * random - this.eta + 1) ** this.alpha))
  }

  /** An index; always the same one for a rank. */
  next(): number {
    return mix(this.nextRank(), RANK_SEED) % this.count
  }
}

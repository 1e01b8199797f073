/**
 * What an asynchronous transaction has written to one keyspace: encoded keys in order, each with its last value. Keys are held
 * as latin1 strings, whose order is that of the bytes.
 */
export class WriteSet {
  private readonly values = new Map<string, Buffer | undefined>()
  private readonly ordered: string[] = []

  get size(): number {
    return this.ordered.length
  }

  has(key: string): boolean {
    return this.values.has(key)
  }

  /** The value to be, undefined for a deletion. */
  get(key: string): Buffer | undefined {
    return this.values.get(key)
  }

  set(key: string, value: Buffer | undefined): void {
    if (!this.values.has(key)) this.ordered.splice(this.place(key), 0, key)
    this.values.set(key, value)
  }

  /** The first key behind another one (or from it on) in the direction, undefined at the end. */
  next(from: string | undefined, inclusive: boolean, reverse: boolean): string | undefined {
    const { ordered } = this
    if (from === undefined) return reverse ? ordered.at(-1) : ordered[0]
    let place = this.place(from)
    const hit = ordered[place] === from
    if (reverse) return hit && inclusive ? ordered[place] : ordered[place - 1]
    if (hit && !inclusive) place++
    return ordered[place]
  }

  [Symbol.iterator](): IterableIterator<[key: string, value: Buffer | undefined]> {
    return this.values.entries()
  }

  /** Index of a key, or where it belongs. */
  private place(key: string): number {
    let low = 0
    let high = this.ordered.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.ordered[middle] < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

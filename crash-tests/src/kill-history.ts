/** What writers have said, put in the order of time: what the pool may hold now. */
export class KillHistory {
  /** Content after the last acknowledged transaction. */
  acknowledged: string
  /** Content after each transaction since that has begun to commit, in order. */
  pending: string[] = []
  /** Transactions acknowledged in all. */
  acknowledgements = 0

  constructor(empty: string) {
    this.acknowledged = empty
  }

  get allowed(): readonly string[] {
    return [this.acknowledged, ...this.pending]
  }

  /** Takes the lines of all writers of one cycle. Throws when one of them has opened something else. */
  take(lines: readonly string[]): void {
    const sorted = lines
      .map((line) => ({ time: BigInt(line.slice(0, line.indexOf(' '))), text: line.slice(line.indexOf(' ') + 1) }))
      .sort((left, right) => (left.time < right.time ? -1 : left.time > right.time ? 1 : 0))
    for (const { text } of sorted) {
      const [word, digest] = text.split(' ')
      if (word === 'open') this.opened(digest)
      else if (word === 'try') this.pending.push(digest)
      else if (word === 'ack') this.#acknowledge(digest)
      else if (word === 'refused') this.pending.pop()
    }
  }

  /** Somebody has opened the pool and found this; what was pending is decided. */
  opened(digest: string): void {
    if (!this.allowed.includes(digest)) {
      throw new Error(`the pool holds ${digest} and may hold ${this.allowed.join(' or ')}`)
    }
    this.acknowledged = digest
    this.pending = []
  }

  #acknowledge(digest: string): void {
    this.acknowledgements++
    const index = this.pending.indexOf(digest)
    // One that a later, synchronous commit has made durable with its own is told late.
    if (index < 0) return
    this.acknowledged = digest
    this.pending.splice(0, index + 1)
  }
}

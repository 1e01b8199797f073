/**
 * What an asynchronous transaction has read of one keyspace, remembered well enough to tell whether it would read the same
 * now: a digest for each key, and for each range a digest of the rows gone through. Logical, not by page: two transactions that
 * touch the same page, or the entry count in the root, do not conflict.
 */
import { randomFillSync } from 'node:crypto'
import { xxh64 } from '../pmem/xxh64.js'
import { Cursor, type KeyRange } from '../tree/cursor.js'
import type { Tree } from '../tree/tree.js'

/** Of this process: nobody can choose values whose digests are equal. */
const seed = randomFillSync(new Uint32Array(2))
const hash = new Uint32Array(2)
const ABSENT = ''

/** The rows of a range that were read so far, and a digest of them all. */
class RangeRead {
  rows = 0
  /** The range had no more rows. */
  ended = false
  readonly digest = Uint32Array.from(seed)

  constructor(readonly range: KeyRange) {}

  add(cursor: Cursor): void {
    chain(this.digest, cursor.key.subarray(0, cursor.keyLength))
    chain(this.digest, cursor.valueView.u8.subarray(cursor.valueStart, cursor.valueStart + cursor.valueLength))
    this.rows++
  }
}

export class ReadSet {
  private readonly points = new Map<string, string>()
  private readonly ranges: RangeRead[] = []

  constructor(private readonly tree: Tree) {}

  /** Remembers what a key was found to be: the value fields of the tree, or nothing. */
  addPoint(key: string, found: boolean): void {
    if (!this.points.has(key)) this.points.set(key, this.digestOf(found))
  }

  /** Remembers a range, of which nothing has been read yet. */
  addRange(range: KeyRange): RangeRead {
    const read = new RangeRead(range)
    this.ranges.push(read)
    return read
  }

  /** Whether reading all of it again gives the same. */
  isCurrent(): boolean {
    for (const [key, digest] of this.points) {
      const bytes = Buffer.from(key, 'latin1')
      if (this.digestOf(this.tree.find(bytes, bytes.length)) !== digest) return false
    }
    return this.ranges.every((read) => this.isRangeCurrent(read))
  }

  private isRangeCurrent(read: RangeRead): boolean {
    const again = new RangeRead(read.range)
    const cursor = new Cursor(this.tree)
    cursor.seek(read.range)
    while (again.rows < read.rows && cursor.next()) again.add(cursor)
    if (again.rows < read.rows || (read.ended && cursor.next())) return false
    return again.digest[0] === read.digest[0] && again.digest[1] === read.digest[1]
  }

  private digestOf(found: boolean): string {
    if (!found) return ABSENT
    const { valueView, valueStart, valueLength } = this.tree
    xxh64(valueView.u8.subarray(valueStart, valueStart + valueLength), seed[0], seed[1], hash)
    return `${hash[0]} ${hash[1]} ${valueLength}`
  }
}

export type { RangeRead }

/** Each piece is hashed with the digest so far as its seed, and its length before it: pieces cannot run into one another. */
function chain(digest: Uint32Array, bytes: Uint8Array): void {
  xxh64(bytes, (digest[0] ^ bytes.length) >>> 0, digest[1], digest)
}

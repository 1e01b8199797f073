import type { AnyKey, KeyEncoding } from '../../src/index.js'
import type { Bounds, Span } from './operations.js'
import { compareKeys, hasPrefix, keyPool, prefixOf } from './pools.js'

/** The specification of a keyspace: keys and values by their numbers in the pools. */
export type Content = Map<number, number>

/** Knows the order of all keys of the pool; answers what any range of any content must be. */
export class Model {
  readonly keys: readonly AnyKey[]
  /** By key number: its place in the order. */
  private readonly rank: number[] = []
  private readonly order: number[]

  constructor(readonly encoding: KeyEncoding) {
    this.keys = keyPool(encoding)
    this.order = this.keys.map((_, index) => index)
    this.order.sort((a, b) => compareKeys(this.keys[a], this.keys[b]))
    this.order.forEach((index, place) => {
      const before = place === 0 ? undefined : this.order[place - 1]
      if (before !== undefined && compareKeys(this.keys[before], this.keys[index]) >= 0) {
        throw new Error(`keys ${before} and ${index} of the pool are equal`)
      }
      this.rank[index] = place
    })
  }

  /** Key numbers within the bounds, ascending. */
  within(content: Content, bounds: Bounds): number[] {
    const lower = bounds.lower === undefined ? -1 : this.rank[bounds.lower] + (bounds.lowerOpen ? 1 : 0)
    const upper = bounds.upper === undefined ? this.order.length : this.rank[bounds.upper] - (bounds.upperOpen ? 1 : 0)
    const prefix = this.prefix(bounds)
    return this.order.filter(
      (index, place) =>
        content.has(index) &&
        place >= lower &&
        place <= upper &&
        (prefix === undefined || hasPrefix(this.keys[index], prefix)),
    )
  }

  /** Key numbers a span gives. */
  rows(content: Content, span: Span): number[] {
    const rows = this.within(content, span)
    if (span.reverse) rows.reverse()
    const offset = span.offset ?? 0
    return rows.slice(offset, offset + (span.limit ?? Infinity))
  }

  /** The row that comes after one that was given, whether that one is still there or not. */
  after(content: Content, span: Span, last: number): number | undefined {
    const rows = this.within(content, span)
    if (span.reverse) rows.reverse()
    const place = this.rank[last]
    return rows.find((index) => (span.reverse ? this.rank[index] < place : this.rank[index] > place))
  }

  /** The bounds as the store takes them; undefined when nothing bounds. */
  options(bounds: Bounds): Record<string, AnyKey> {
    const options: Record<string, AnyKey> = {}
    if (bounds.lower !== undefined) options[bounds.lowerOpen ? 'gt' : 'gte'] = this.keys[bounds.lower]
    if (bounds.upper !== undefined) options[bounds.upperOpen ? 'lt' : 'lte'] = this.keys[bounds.upper]
    const prefix = this.prefix(bounds)
    if (prefix !== undefined) options['prefix'] = prefix
    return options
  }

  private prefix(bounds: Bounds): AnyKey | undefined {
    if (bounds.prefix === undefined) return undefined
    const [key, length] = bounds.prefix
    return prefixOf(this.encoding, this.keys[key], length)
  }
}

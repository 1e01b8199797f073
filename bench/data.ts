/**
 * Keys and values, the same for every engine. Key number i of n lies at a random place inside the i-th of n equal
 * stretches of the key space: keys are sparse, unique and ascending with i without being sorted first. Numbers of
 * present keys are even, those of missing keys odd. `bench/native/data.h` makes the same keys and values in C.
 */

/** Keys are strings, or the same bytes as Buffers. */
export type KeyKind = 'string' | 'binary'
export type Key = string | Buffer

/** What kind of value a data set holds: bytes, a string of as many characters, or an object (see `Person`). */
export type ValueKind = 'binary' | 'string' | 'object'

/** What keys and values look like. */
export interface Shape {
  readonly keyKind: KeyKind
  readonly values: ValueKind
  /** Bytes of a binary value, characters of a string; objects have a size of their own. */
  readonly valueBytes: number
}

/** Of the goal rows. */
export const VALUE_BYTES = 100
export const KEY_BYTES = 13

const DIGITS = KEY_BYTES - 1
const KEY_SPACE = 10 ** DIGITS
const HALF = 10 ** (DIGITS / 2)
/** Distinct binary values; a power of two. Enough that no engine compresses or caches them into one. */
const VALUE_COUNT = 4096
/** Large values are fewer, so that they fit into this much memory. */
const VALUES_TOTAL_BYTES = 64 * 2 ** 20
const LEAST_VALUES = 16
const SEED = 0x5eed_da78
const MISSING_SEED = 0x0bad_c0de

/** One well-mixed 32-bit number for an index (the finaliser of murmur3). */
export function mix(index: number, seed: number): number {
  let word = (index ^ seed) >>> 0
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35)
  return (word ^ (word >>> 16)) >>> 0
}

/** A seeded random order of 0 .. count-1. */
export function shuffledOrder(count: number, seed: number): Uint32Array {
  const order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[i] = i
  for (let i = count - 1; i > 0; i--) {
    const j = mix(i, seed) % (i + 1)
    const swapped = order[i]
    order[i] = order[j]
    order[j] = swapped
  }
  return order
}

/** The keys of a data set of `count` entries. */
export class KeyMaker {
  private readonly halfGap: number
  private readonly scratch = Buffer.alloc(KEY_BYTES, 'k')

  constructor(
    readonly count: number,
    readonly kind: KeyKind = 'string',
  ) {
    this.halfGap = Math.floor(KEY_SPACE / count / 2)
    if (this.halfGap < 1) throw new RangeError(`at most ${String(KEY_SPACE / 2)} keys, got ${String(count)}`)
  }

  /** Present key number `index`. */
  present(index: number): Key {
    return this.format(2 * (index * this.halfGap + (mix(index, SEED) % this.halfGap)))
  }

  /** A key that is not in the data set, near present key number `index`. */
  missing(index: number): Key {
    return this.format(2 * (index * this.halfGap + (mix(index, MISSING_SEED) % this.halfGap)) + 1)
  }

  /** Written through a buffer: concatenation would give ropes, which the first engine to use them pays for. */
  private format(value: number): Key {
    const { scratch } = this
    let low = value % HALF
    let high = (value - low) / HALF
    for (let i = 0; i < DIGITS / 2; i++) {
      scratch[DIGITS - i] = 48 + (low % 10)
      low = Math.floor(low / 10)
      scratch[DIGITS / 2 - i] = 48 + (high % 10)
      high = Math.floor(high / 10)
    }
    return this.kind === 'string' ? scratch.toString('latin1') : Buffer.from(scratch)
  }
}

/** The object of the msgpack workloads. */
export interface Person {
  readonly id: number
  readonly name: string
  readonly email: string
  readonly age: number
  readonly tags: readonly string[]
}

const NAMES = ['Ada', 'Barbara', 'Claude', 'Donald', 'Edsger', 'Frances', 'Grace', 'Hedy']
const TAGS = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta']

/** The values of a data set. */
export class ValueMaker {
  private readonly binaries: Buffer[] = []
  private readonly strings: string[] = []

  constructor(
    readonly kind: ValueKind,
    valueBytes: number = VALUE_BYTES,
  ) {
    if (kind === 'object') return
    let count = VALUE_COUNT
    while (count > LEAST_VALUES && count * valueBytes > VALUES_TOTAL_BYTES) count /= 2
    const words = valueBytes >>> 2
    for (let i = 0; i < count; i++) {
      const value = Buffer.alloc(valueBytes)
      for (let j = 0; j < words; j++) value.writeUInt32LE(mix(i * words + j, SEED), j * 4)
      this.binaries.push(value)
      if (kind === 'string') this.strings.push(Buffer.from(value.map((byte) => 32 + (byte & 63))).toString('latin1'))
    }
  }

  /** Value of key number `index`; another `version` is another value of the same size. */
  value(index: number, version = 0): Buffer | string | Person {
    if (this.kind === 'object') return this.person(index, version)
    const { binaries } = this
    const which = (index + version) & (binaries.length - 1)
    return this.kind === 'binary' ? binaries[which] : this.strings[which]
  }

  private person(index: number, version: number): Person {
    const random = mix(index, SEED)
    const name = `${NAMES[random & 7]} ${(random >>> 8).toString(36)}`
    return {
      id: index,
      name,
      email: `user${String(index)}@example.org`,
      age: 18 + ((random + version) % 70),
      tags: [TAGS[(random >>> 3) & 7], TAGS[(random >>> 6) & 7]],
    }
  }
}

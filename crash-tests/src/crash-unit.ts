import { Fingerprint } from './fingerprint.js'
import { Random } from './random.js'

/** One content a unit may have on the medium after the crash. */
export interface Candidate {
  readonly bytes: Uint8Array
  /** Number of the latest version any of these bytes comes from; 0 is what is surely durable. */
  readonly version: number
  /** A mixture of this version and an older one. */
  readonly torn: boolean
  /** At the place of its unit. */
  readonly fingerprint: Fingerprint
}

/** How torn contents are made. */
export interface TearOptions {
  /** Bytes that reach the medium together: 8 in a cache line, 512 in a page. */
  readonly atomBytes: number
  /** Up to this many differing atoms every subset is made; above it they are sampled. */
  readonly exhaustiveAtoms: number
  /** A write may also replace an older version than the one before it (a page is written back now and then). */
  readonly anyOlder: boolean
  /** Random subsets made beyond the structured ones. */
  readonly randomSubsets: number
  readonly seed: number
}

/**
 * A piece of the medium that reaches it independently of all others (a cache line, a page), with every version it had
 * since it was last surely durable. After a crash it holds any of them, or a mixture of one and the one it was replacing.
 */
export class CrashUnit {
  readonly offset: number
  readonly tear: TearOptions | undefined
  /** Versions in the order of the stores; 0 is durable. */
  #versions: Uint8Array[]
  /** Candidates of the first `#made` versions, and where each content stands among them. */
  #candidates: Candidate[] = []
  #places = new Map<number, number>()
  #made = 0
  #newest = 0

  constructor(offset: number, durable: Uint8Array, tear: TearOptions | undefined) {
    this.offset = offset
    this.tear = tear
    this.#versions = [durable]
  }

  get versionCount(): number {
    return this.#versions.length
  }

  get durable(): Uint8Array {
    return this.#versions[0]
  }

  get newest(): Uint8Array {
    return this.#versions[this.#versions.length - 1]
  }

  push(bytes: Uint8Array): void {
    this.#versions.push(bytes)
  }

  /** Version `version` is now surely on the medium: older ones can no longer be found there. */
  makeDurable(version: number): void {
    if (version <= 0) return
    this.#versions.splice(0, version)
    this.#candidates = []
    this.#places = new Map()
    this.#made = 0
  }

  /** All distinct contents, the durable one first; equal contents keep the lowest version. */
  candidates(): readonly Candidate[] {
    for (; this.#made < this.#versions.length; this.#made++) {
      this.#newest = this.#add(this.#versions[this.#made], this.#made, false)
      if (this.tear !== undefined && this.#made > 0) this.#addTorn(this.#made, this.tear)
    }
    return this.#candidates
  }

  /** Index of the newest version among the candidates. */
  newestCandidate(): number {
    this.candidates()
    return this.#newest
  }

  /** Returns where the content stands among the candidates. */
  #add(bytes: Uint8Array, version: number, torn: boolean): number {
    const fingerprint = Fingerprint.of(this.offset, bytes)
    const key = fingerprint.key(0)
    const place = this.#places.get(key)
    if (place !== undefined) {
      // Seen as a mixture before, now known to be a version of its own.
      if (!torn) this.#candidates[place] = { ...this.#candidates[place], torn }
      return place
    }
    this.#places.set(key, this.#candidates.length)
    return this.#candidates.push({ bytes, version, torn, fingerprint }) - 1
  }

  #addTorn(version: number, tear: TearOptions): void {
    const random = new Random(tear.seed ^ Math.imul(this.offset + version, 0x9e3779b1))
    for (const older of this.#replacedVersions(version, tear.anyOlder)) {
      for (const bytes of tornContents(this.#versions[older], this.#versions[version], tear, random)) {
        this.#add(bytes, version, true)
      }
    }
  }

  /** Versions that may be on the medium when `version` is written over them; the durable and the last one at least. */
  #replacedVersions(version: number, anyOlder: boolean): number[] {
    if (!anyOlder || version === 1) return [version - 1]
    return version > 4 ? [0, version - 1] : Array.from({ length: version }, (_, older) => older)
  }
}

/**
 * Mixtures of two contents: every subset of the differing atoms when they are few, else each atom alone new, each
 * alone old, and some random subsets.
 */
export function tornContents(older: Uint8Array, newer: Uint8Array, tear: TearOptions, random: Random): Uint8Array[] {
  const { atomBytes } = tear
  const atoms: number[] = []
  for (let atom = 0; atom < older.length; atom += atomBytes) {
    for (let byte = atom; byte < atom + atomBytes; byte++) {
      if (older[byte] === newer[byte]) continue
      atoms.push(atom)
      break
    }
  }
  const mixture = (takeNew: (index: number) => boolean): Uint8Array => {
    const bytes = Uint8Array.from(older)
    atoms.forEach((atom, index) => {
      if (takeNew(index)) bytes.set(newer.subarray(atom, atom + atomBytes), atom)
    })
    return bytes
  }
  if (atoms.length < 2) return []
  const found: Uint8Array[] = []
  if (atoms.length <= tear.exhaustiveAtoms) {
    for (let subset = 1; subset < (1 << atoms.length) - 1; subset++)
      found.push(mixture((i) => ((subset >>> i) & 1) === 1))
    return found
  }
  for (let alone = 0; alone < atoms.length; alone++) {
    found.push(mixture((index) => index === alone))
    found.push(mixture((index) => index !== alone))
  }
  for (let count = 0; count < tear.randomSubsets; count++) found.push(mixture(() => random.below(2) === 1))
  return found
}

export function equal(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0
}

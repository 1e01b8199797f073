import { FingerprintMap } from './fingerprint-map.js'

/**
 * Counts the distinct images of a whole run: explorers add every image that was new to them, processes hand what is new to
 * them on to their parent, and the parent's census is the union.
 */
export class Census {
  readonly #known = new FingerprintMap()
  #fresh: number[] = []

  get distinct(): number {
    return this.#known.size
  }

  add(fingerprint: number): void {
    if (this.#known.set(fingerprint, 0)) this.#fresh.push(fingerprint)
  }

  addAll(fingerprints: Float64Array): void {
    for (const fingerprint of fingerprints) this.#known.set(fingerprint, 0)
  }

  /** The fingerprints added since the last call. */
  takeFresh(): Float64Array {
    const fresh = Float64Array.from(this.#fresh)
    this.#fresh = []
    return fresh
  }
}

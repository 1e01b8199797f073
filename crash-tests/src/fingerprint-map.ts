const INITIAL_SLOTS = 1 << 12

/**
 * A map from fingerprints (integers below 2^53) to small numbers, in two typed arrays: a run keeps millions of them, for which
 * a `Map` takes several times the memory and much of the time of a run in garbage collection.
 */
export class FingerprintMap {
  /** Fingerprint + 1; 0 marks a free slot. */
  #keys = new Float64Array(INITIAL_SLOTS)
  #values = new Uint32Array(INITIAL_SLOTS)
  #size = 0

  get size(): number {
    return this.#size
  }

  get(fingerprint: number): number | undefined {
    const slot = this.#slot(fingerprint)
    return this.#keys[slot] === 0 ? undefined : this.#values[slot]
  }

  has(fingerprint: number): boolean {
    return this.#keys[this.#slot(fingerprint)] !== 0
  }

  /** Returns true when the fingerprint was not there before. */
  set(fingerprint: number, value: number): boolean {
    let slot = this.#slot(fingerprint)
    const isNew = this.#keys[slot] === 0
    if (isNew && this.#size * 2 >= this.#keys.length) {
      this.#grow()
      slot = this.#slot(fingerprint)
    }
    this.#keys[slot] = fingerprint + 1
    this.#values[slot] = value
    if (isNew) this.#size++
    return isNew
  }

  #slot(fingerprint: number): number {
    const mask = this.#keys.length - 1
    const key = fingerprint + 1
    // The low words of fingerprints are hashes already.
    let slot = (fingerprint % 0x1_0000_0000) & mask
    while (this.#keys[slot] !== 0 && this.#keys[slot] !== key) slot = (slot + 1) & mask
    return slot
  }

  #grow(): void {
    const [keys, values] = [this.#keys, this.#values]
    this.#keys = new Float64Array(keys.length * 2)
    this.#values = new Uint32Array(keys.length * 2)
    for (let at = 0; at < keys.length; at++) {
      if (keys[at] === 0) continue
      const slot = this.#slot(keys[at] - 1)
      this.#keys[slot] = keys[at]
      this.#values[slot] = values[at]
    }
  }
}

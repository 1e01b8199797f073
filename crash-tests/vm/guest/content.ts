/**
 * What a store holds, as one number pair: the XOR of a hash of each entry. A model keeps it up to date step by step, so
 * that thousands of steps can be compared with one reading of the store.
 */
import type { Operation, Space, Step } from './modes.js'

type Hash = readonly [number, number]

/** 64 bits in two halves of one mixing function; the same bytes elsewhere (space, key) hash differently. */
function entryHash(space: number, key: string, value: Uint8Array): Hash {
  let low = 0x811c9dc5 ^ space
  let high = 0x9e3779b9 + space
  for (let at = 0; at < key.length; at++) {
    low = Math.imul(low ^ key.charCodeAt(at), 0x01000193)
    high = Math.imul(high ^ key.charCodeAt(at), 0x85ebca6b) + 1
  }
  for (const byte of value) {
    low = Math.imul(low ^ byte, 0x01000193)
    high = (Math.imul(high ^ byte, 0x85ebca6b) + (high >>> 15)) | 0
  }
  return [low ^ value.length, high]
}

export class Content {
  readonly #entries = [new Map<string, Hash>(), new Map<string, Hash>()]
  #low = 0
  #high = 0
  #count = 0

  /** Of a store as it is. */
  static of(spaces: readonly Space[]): string {
    const content = new Content()
    spaces.forEach((space, index) => {
      for (const [key, value] of space.range()) content.#put(index, key, entryHash(index, key, value))
    })
    return content.digest
  }

  get digest(): string {
    return `${this.#count}:${this.#low >>> 0}:${this.#high >>> 0}`
  }

  apply(step: Step): void {
    for (const operation of step.operations) this.#apply(operation)
  }

  #apply(operation: Operation): void {
    const { space, key } = operation
    if (operation.type === 'put') this.#put(space, key, entryHash(space, key, operation.value))
    else if (operation.type === 'delete') this.#delete(space, key)
    else for (const found of this.#entries[space].keys()) if (found.startsWith(key)) this.#delete(space, found)
  }

  #put(space: number, key: string, hash: Hash): void {
    this.#delete(space, key)
    this.#entries[space].set(key, hash)
    this.#mix(hash)
    this.#count++
  }

  #delete(space: number, key: string): void {
    const hash = this.#entries[space].get(key)
    if (hash === undefined) return
    this.#entries[space].delete(key)
    this.#mix(hash)
    this.#count--
  }

  #mix([low, high]: Hash): void {
    this.#low ^= low
    this.#high ^= high
  }
}

import type { StoreHandle } from '../api/store.js'
import { PAGE_BYTES } from '../pmem/program.js'
import type { Engine } from '../tx/engine.js'
import { readContent, type PoolContent } from '../../crash-tests/src/content.js'
import { ReplayMemory } from '../../crash-tests/src/replay-memory.js'
import { openKitEngine, openKitStore, type KitRecording } from './record.js'
import type { CrashStoreOptions } from './types.js'

interface KnownContent {
  readonly content: PoolContent
  readonly image: Buffer
}

/** Consecutive images mostly recover to one of the last few contents. */
const MOST_KNOWN = 6

/** Recovers images, one at a time, in memory that is used again for the next. */
export class RecoveredPool {
  readonly #memory: ReplayMemory
  readonly #recording: KitRecording
  readonly #options: CrashStoreOptions
  readonly #known: KnownContent[] = []
  #engine: Engine | undefined

  constructor(recording: KitRecording, options: CrashStoreOptions) {
    const granularity = recording.logging === 'redo' ? 'page' : 'cache-line'
    this.#memory = new ReplayMemory(recording.geometry.segmentShift, granularity)
    this.#recording = recording
    this.#options = options
  }

  /** Opens the image and returns the digest of its content; throws whatever is wrong with it. */
  recover(image: Uint8Array, seed: number): string {
    this.#memory.load(image)
    return this.#openAgain(seed)
  }

  /** Opens what the last recovery has left once more: it must find the same, and nothing to do. */
  recoverAgain(seed: number, digest: string): void {
    this.#memory.reopen()
    const again = this.#openAgain(seed)
    const outcome = this.#engine?.recovery.outcome
    if (outcome !== 'nothing') throw new Error(`recovering a second time does something: ${outcome ?? ''}`)
    if (again !== digest) throw new Error('recovering a second time changes the content')
  }

  /** The store that was recovered last, as a program would open it. */
  store(): StoreHandle {
    if (this.#engine === undefined) throw new Error('nothing was recovered yet')
    return openKitStore(this.#engine, this.#options)
  }

  #openAgain(seed: number): string {
    this.#engine = openKitEngine(this.#memory, this.#recording.logging, this.#options, seed)
    return this.#content().digest
  }

  /** Content of the memory: known from an earlier image if all pages that matter are equal, else read and checked. */
  #content(): PoolContent {
    for (let index = this.#known.length - 1; index >= 0; index--) {
      const known = this.#known[index]
      if (!this.#equals(known)) continue
      this.#known.push(...this.#known.splice(index, 1))
      return known.content
    }
    const content = readContent(this.#memory, this.#recording.geometry)
    this.#known.push({ content, image: this.#memory.image() })
    if (this.#known.length > MOST_KNOWN) this.#known.shift()
    return content
  }

  #equals({ content: { usedRuns, capacityPages }, image }: KnownContent): boolean {
    if (this.#memory.sizeBytes !== capacityPages * PAGE_BYTES) return false
    const segmentBytes = PAGE_BYTES << this.#memory.segmentShift
    for (let index = 0; index < usedRuns.length; index += 2) {
      const [start, end] = [usedRuns[index] * PAGE_BYTES, usedRuns[index + 1] * PAGE_BYTES]
      const { u8 } = this.#memory.segments[Math.floor(start / segmentBytes)]
      const within = start % segmentBytes
      if (image.compare(u8, within, within + end - start, start, end) !== 0) return false
    }
    return true
  }
}

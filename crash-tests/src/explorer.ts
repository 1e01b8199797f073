import type { Granularity } from '../../src/pmem/persistent-memory.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import { Geometry } from '../../src/pool/geometry.js'
import type { Engine, EngineOptions } from '../../src/tx/engine.js'
import { readContent } from './content.js'
import type { PoolContent } from './content.js'
import { crashImages } from './crash-states.js'
import type { CrashOptions } from './crash-states.js'
import { Random } from './random.js'
import { acknowledgedAt } from './recording.js'
import type { Recording } from './recording.js'
import { ReplayMemory } from './replay-memory.js'
import { LOG_PAGES, openEngine, SEGMENT_SHIFT, Workload } from './workload.js'

/** A crash image after which the store is wrong. The message says which image and what is wrong. */
export class CrashViolation extends Error {
  constructor(
    readonly where: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(`${message}\n    ${where}`, options)
  }
}

export interface ExplorerCounts {
  /** Images looked at, and how many of them were new. */
  images: number
  distinct: number
  /** By outcome of the recovery of distinct images. */
  clean: number
  nothing: number
  finished: number
  rolledBack: number
  replayed: number
  /** Recovered pools that were read and checked completely; the others were equal to one of them in all used pages. */
  parsed: number
  /** Recoveries repeated, and stores that went on working after recovery. */
  repeated: number
  continued: number
}

export interface ExplorerOptions {
  readonly granularity?: Granularity
  /** Pages of the log. Default LOG_PAGES. */
  readonly logPages?: number
  /** More options for the engines that recover, by the number of the image. */
  readonly engineOptions?: (image: number) => EngineOptions
  /** Recover every n-th distinct image a second time. Default 8. */
  readonly repeatEvery?: number
  /** Go on working on every n-th distinct image. Default 64. */
  readonly continueEvery?: number
  /** Called now and then. */
  readonly progress?: (counts: ExplorerCounts) => void
}

interface KnownState {
  readonly content: PoolContent
  readonly image: Buffer
}

const KNOWN_STATES = 6
const SEGMENT_BYTES = PAGE_BYTES << SEGMENT_SHIFT

/**
 * Recovers crash images and judges what comes out. Images seen before, whatever trace or model they come from, are not
 * recovered again: recovery depends on the image alone.
 */
export class Explorer {
  readonly counts: ExplorerCounts = {
    images: 0,
    distinct: 0,
    clean: 0,
    nothing: 0,
    finished: 0,
    rolledBack: 0,
    replayed: 0,
    parsed: 0,
    repeated: 0,
    continued: 0,
  }
  readonly #memory: ReplayMemory
  readonly #geometry: Geometry
  readonly #engineOptions: (image: number) => EngineOptions
  /** Fingerprint of an image -> digest of the content it recovers to. */
  readonly #visited = new Map<number, string>()
  readonly #known: KnownState[] = []
  readonly #repeatEvery: number
  readonly #continueEvery: number
  readonly #progress: ((counts: ExplorerCounts) => void) | undefined

  constructor(options: ExplorerOptions = {}) {
    this.#memory = new ReplayMemory(SEGMENT_SHIFT, options.granularity ?? 'cache-line')
    this.#geometry = new Geometry(SEGMENT_SHIFT, options.logPages ?? LOG_PAGES)
    this.#engineOptions = options.engineOptions ?? (() => ({}))
    this.#repeatEvery = options.repeatEvery ?? 8
    this.#continueEvery = options.continueEvery ?? 64
    this.#progress = options.progress
  }

  /** All crash images of a recording. Throws `CrashViolation` at the first that recovers to anything else than it must. */
  explore(recording: Recording, options: CrashOptions): void {
    const acknowledged = acknowledgedAt(recording)
    const { history } = recording
    for (const state of crashImages(recording.trace, options)) {
      const count = acknowledged[state.point]
      const where = (): string => `[${options.model ?? 'cache-line'}] ${state.describe()}`
      this.check(state.image, state.fingerprint, history, count, where)
    }
  }

  /**
   * One image: it must recover to the content after `acknowledged` transactions, or after one more (which had begun).
   * Returns true when the image was new.
   */
  check(
    image: Uint8Array,
    fingerprint: number,
    history: readonly string[],
    acknowledged: number,
    where: () => string,
  ): boolean {
    this.counts.images++
    if ((this.counts.images & 4095) === 0) this.#progress?.(this.counts)
    const seen = this.#visited.get(fingerprint)
    const digest = seen ?? this.#recover(image, where)
    if (digest !== history[acknowledged] && digest !== history[acknowledged + 1]) {
      throw new CrashViolation(where(), wrongState(digest, history, acknowledged))
    }
    if (seen !== undefined) return false
    this.#visited.set(fingerprint, digest)
    const number = ++this.counts.distinct
    try {
      if (number % this.#repeatEvery === 0) this.#repeat(digest)
      if (number % this.#continueEvery === 0) this.#goOn(number)
    } catch (error) {
      throw violation(where(), 'after recovery', error)
    }
    return true
  }

  /** Opens the image and returns the digest of its content. */
  #recover(image: Uint8Array, where: () => string): string {
    this.#memory.load(image)
    try {
      this.#count(this.#open())
      return this.#content().digest
    } catch (error) {
      throw violation(where(), 'recovery failed', error)
    }
  }

  #open(): Engine {
    return openEngine(this.#memory, new Random(this.counts.images), 8, this.#engineOptions(this.counts.images))
  }

  #count(engine: Engine): void {
    const { outcome } = engine.recovery
    if (outcome === 'rolled-back') this.counts.rolledBack++
    else this.counts[outcome]++
  }

  /** Content of the memory: known from an earlier image if all pages that matter are equal, else read and checked. */
  #content(): PoolContent {
    for (let index = this.#known.length - 1; index >= 0; index--) {
      const known = this.#known[index]
      if (!this.#equals(known)) continue
      if (index < this.#known.length - 1) this.#known.push(...this.#known.splice(index, 1))
      return known.content
    }
    this.counts.parsed++
    const content = readContent(this.#memory, this.#geometry)
    this.#known.push({ content, image: this.#memory.image() })
    if (this.#known.length > KNOWN_STATES) this.#known.shift()
    return content
  }

  #equals({ content, image }: KnownState): boolean {
    const { usedRuns } = content
    if (this.#memory.sizeBytes !== content.capacityPages * PAGE_BYTES) return false
    for (let index = 0; index < usedRuns.length; index += 2) {
      const [start, end] = [usedRuns[index] * PAGE_BYTES, usedRuns[index + 1] * PAGE_BYTES]
      const { u8 } = this.#memory.segments[Math.floor(start / SEGMENT_BYTES)]
      const within = start % SEGMENT_BYTES
      if (image.compare(u8, within, within + end - start, start, end) !== 0) return false
    }
    return true
  }

  /** A process that dies right after recovery: its successor finds nothing to do. */
  #repeat(digest: string): void {
    this.counts.repeated++
    this.#memory.reopen()
    const { outcome } = this.#open().recovery
    if (outcome !== 'nothing') throw new Error(`recovering again does something: ${outcome}`)
    if (this.#content().digest !== digest) throw new Error('recovering again changes the content')
  }

  /** The recovered store goes on working, with a record that overflows the log and a clean close. */
  #goOn(seed: number): void {
    this.counts.continued++
    this.#memory.reopen()
    const workload = new Workload(
      { memory: this.#memory },
      { random: new Random(seed), engineOptions: () => this.#engineOptions(seed) },
    )
    workload.step()
    workload.step('touchEverything')
    workload.step()
    workload.reopen()
    workload.step()
    const { digest } = this.#content()
    if (digest !== workload.model.digest) throw new Error('work after recovery gives a wrong content')
  }
}

function wrongState(digest: string, history: readonly string[], acknowledged: number): string {
  const last = history.lastIndexOf(digest)
  if (last < 0) return `the recovered content is no state of the history (acknowledged: ${acknowledged})`
  return `recovered to transaction ${last}, but ${acknowledged} were acknowledged`
}

function violation(where: string, what: string, error: unknown): CrashViolation {
  if (error instanceof CrashViolation) return error
  return new CrashViolation(where, `${what}: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  })
}

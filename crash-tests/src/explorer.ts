import type { Granularity } from '../../src/pmem/persistent-memory.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import { Geometry } from '../../src/pool/geometry.js'
import type { Engine, EngineOptions } from '../../src/tx/engine.js'
import { readContent } from './content.js'
import type { PoolContent } from './content.js'
import { crashImages } from './crash-states.js'
import type { CrashOptions } from './crash-states.js'
import type { Census } from './census.js'
import { FingerprintMap } from './fingerprint-map.js'
import { Random } from './random.js'
import { acknowledgedAt } from './recording.js'
import type { Recording } from './recording.js'
import { packImage } from './replay.js'
import type { ReplayData } from './replay.js'
import { ReplayMemory } from './replay-memory.js'
import { LOG_PAGES, openEngine, SEGMENT_SHIFT, Workload } from './workload.js'

/** A crash image after which the store is wrong. The message says which image and what is wrong. */
export class CrashViolation extends Error {
  /** What shows it again, where it is the image that is wrong. */
  replay: ReplayData | undefined

  constructor(
    readonly where: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(`${message}\n    ${where}`, options)
  }
}

export interface ExplorerCounts {
  /** Points at which there were images. */
  points: number
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
  /** Told of every distinct image. */
  readonly census?: Census
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
    points: 0,
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
  /** Fingerprint of an image -> place in `#digests` of the content it recovers to. */
  readonly #visited = new FingerprintMap()
  readonly #digests: string[] = []
  readonly #placeOfDigest = new Map<string, number>()
  readonly #granularity: Granularity
  readonly #logPages: number
  readonly #census: Census | undefined
  readonly #known: KnownState[] = []
  readonly #repeatEvery: number
  readonly #continueEvery: number
  readonly #progress: ((counts: ExplorerCounts) => void) | undefined

  constructor(options: ExplorerOptions = {}) {
    this.#granularity = options.granularity ?? 'cache-line'
    this.#logPages = options.logPages ?? LOG_PAGES
    this.#census = options.census
    this.#memory = new ReplayMemory(SEGMENT_SHIFT, this.#granularity)
    this.#geometry = new Geometry(SEGMENT_SHIFT, this.#logPages)
    this.#engineOptions = options.engineOptions ?? (() => ({}))
    this.#repeatEvery = options.repeatEvery ?? 8
    this.#continueEvery = options.continueEvery ?? 64
    this.#progress = options.progress
  }

  /** All crash images of a recording. Throws `CrashViolation` at the first that recovers to anything else than it must. */
  explore(recording: Recording, options: CrashOptions): void {
    const acknowledged = acknowledgedAt(recording)
    const { history } = recording
    let lastPoint = -1
    for (const state of crashImages(recording.trace, { probe: this.#memory.tracker, ...options })) {
      if (state.point !== lastPoint) this.counts.points++
      lastPoint = state.point
      const count = acknowledged[state.point]
      const where = (): string => `[${options.model ?? 'cache-line'}] ${state.describe()}`
      this.check(state.image, state.fingerprint, history, count, where, state.tracked)
    }
  }

  /** Recovers an image of a replay file; throws `CrashViolation` when it is still wrong. */
  replay(image: Uint8Array, allowed: readonly string[], where: string): void {
    const digest = this.#recover(image, () => where)
    if (!allowed.includes(digest)) throw new CrashViolation(where, wrongState(digest, allowed, 0))
    try {
      this.#repeat(digest)
      this.#goOn(1)
    } catch (error) {
      throw violation(where, 'after recovery', error)
    }
  }

  /**
   * One image: it must recover to the content after `acknowledged` transactions, or after up to `begun` of them.
   * Returns true when the image was new. `tracked`: recover it in any case, noting what is read.
   */
  check(
    image: Uint8Array,
    fingerprint: number,
    history: readonly string[],
    acknowledged: number,
    where: () => string,
    tracked = false,
    begun = acknowledged + 1,
  ): boolean {
    this.counts.images++
    if ((this.counts.images & 4095) === 0) this.#progress?.(this.counts)
    const seen = this.#visited.get(fingerprint)
    try {
      const digest = seen === undefined || tracked ? this.#recover(image, where, tracked) : this.#digests[seen]
      if (digest !== history[acknowledged] && !history.slice(acknowledged, begun + 1).includes(digest)) {
        throw new CrashViolation(where(), wrongState(digest, history, acknowledged))
      }
      if (seen !== undefined) return false
      this.#visited.set(fingerprint, this.#placeOf(digest))
      this.#census?.add(fingerprint)
      const number = ++this.counts.distinct
      try {
        if (number % this.#repeatEvery === 0) this.#repeat(digest)
        if (number % this.#continueEvery === 0) this.#goOn(number)
      } catch (error) {
        throw violation(where(), 'after recovery', error)
      }
    } catch (error) {
      if (error instanceof CrashViolation)
        error.replay ??= this.#replayData(image, history.slice(acknowledged, begun + 1), error)
      throw error
    }
    return true
  }

  #placeOf(digest: string): number {
    let place = this.#placeOfDigest.get(digest)
    if (place === undefined) {
      place = this.#digests.push(digest) - 1
      this.#placeOfDigest.set(digest, place)
    }
    return place
  }

  #replayData(image: Uint8Array, allowed: readonly string[], error: CrashViolation): ReplayData {
    const { logging } = this.#engineOptions(this.counts.images)
    return {
      version: 1,
      where: error.where,
      message: error.message,
      granularity: this.#granularity,
      logPages: this.#logPages,
      ...(logging === undefined ? {} : { logging }),
      allowed,
      image: packImage(image),
    }
  }

  /** Opens the image and returns the digest of its content. */
  #recover(image: Uint8Array, where: () => string, tracked = false): string {
    this.#memory.load(image, tracked)
    try {
      this.#count(this.#open())
      const { digest, usedRuns } = this.#content()
      // What the oracle judges by counts as read, too.
      if (tracked) {
        for (let run = 0; run < usedRuns.length; run += 2) {
          this.#memory.tracker.noteRead(usedRuns[run] * PAGE_BYTES, usedRuns[run + 1] * PAGE_BYTES)
        }
      }
      return digest
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
      const { u8 } = this.#memory.rawSegment(Math.floor(start / SEGMENT_BYTES))
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

import {
  EVENT_BARRIER_END,
  EVENT_BARRIER_START,
  EVENT_FENCE,
  EVENT_GROW,
  EVENT_MARK,
  EVENT_STORE,
  EVENT_STORE_NON_TEMPORAL,
  EVENT_SYNC_ALL,
} from '../../src/pmem/event-log.js'
import type { EventKind, EventLog, Trace } from '../../src/pmem/event-log.js'
import { LINE_BYTES, PAGE_BYTES, RECORD_MAGIC, RECORD_OFFSET_MAGIC } from '../../src/pmem/program.js'
import { allCombinations, combinationCount, lazyCombinations, sampledCombinations } from './combinations.js'
import type { Combination, Slot, SlotRole } from './combinations.js'
import type { Candidate, CrashUnit } from './crash-unit.js'
import { Fingerprint } from './fingerprint.js'
import { createMedium } from './medium.js'
import type { CrashModel } from './medium.js'
import { Random } from './random.js'
import type { ReadProbe } from './read-tracker.js'
import { regionsOf } from './regions.js'
import type { Region } from './regions.js'

/**
 * Where crashes are tried.
 * - `new` (default): after every event, but only with images that were not possible one event earlier; and with all
 *   images after every fence, sync and mark, where what may be demanded of them changes.
 * - `every`: all images after every event.
 * - `frontier`: all images, only before fences, syncs, growth and marks and at the end. Between fences images are only
 *   ever added under power failure, so with exhaustive enumeration this misses none. Not for the `kill` and `byte` models.
 */
export type CrashPoints = 'new' | 'every' | 'frontier'

export interface CrashOptions {
  /** Default `cache-line`. */
  readonly model?: CrashModel
  /** Default `new`. */
  readonly points?: CrashPoints
  /**
   * With points `new`: of the stores outside programs, which write values into free space, only every n-th. Default 1.
   */
  readonly storeStride?: number
  /** Try crashes after `fromPoint` to `toPoint` events only. Default: all. */
  readonly fromPoint?: number
  readonly toPoint?: number
  /** Up to this many combinations at one point are enumerated completely. Default 4096. */
  readonly exhaustiveLimit?: number
  /** How many are sampled where there are more. Default 512. */
  readonly samples?: number
  /**
   * Where there are more, first branch only on what recovery reads, up to so many images. Needs `probe`. Default 0.
   */
  readonly lazyLimit?: number
  /** What the recovery of the last image has read; recover every image that says `tracked` before asking for the next. */
  readonly probe?: ReadProbe
  /** Tear lines into words and pages into sectors. Default true. */
  readonly torn?: boolean
  /** Default 1. */
  readonly seed?: number
}

/** One image a crash may leave. The same object and buffer are used again for the next one: copy what must stay. */
export interface CrashState {
  /** Events that had happened. */
  readonly point: number
  readonly label: string
  readonly image: Uint8Array
  /** Identifies the image (content and size), whatever trace and model it comes from. */
  readonly fingerprint: number
  /** True when all combinations of this point are enumerated (torn contents possibly sampled). */
  readonly exhaustive: boolean
  /** The next image depends on what the recovery of this one reads. */
  readonly tracked: boolean
  /** Which lines or pages are not in the newest version, for the message of a failed check. */
  describe(): string
}

/**
 * All images (or a sample, see `CrashOptions`) that a crash during the trace may leave, in the order of the trace.
 * The same options give the same images.
 *
 * @example
 * for (const { image, label } of crashImages(memory.trace(), { model: 'cache-line' })) check(image, label)
 */
export function* crashImages(trace: Trace, options: CrashOptions = {}): Generator<CrashState> {
  const { events } = trace
  const { model = 'cache-line', points = 'new', torn = true, seed = 1 } = options
  const { fromPoint = 0, toPoint = events.count, storeStride = 1 } = options
  if (points === 'frontier' && (model === 'kill' || model === 'byte')) {
    throw new RangeError(`under the ${model} model images also disappear between fences: use points 'new' or 'every'`)
  }
  const image = new Uint8Array(largestSize(trace))
  image.set(trace.image)
  let sizeBytes = trace.image.length
  const fingerprint = Fingerprint.of(0, image)
  const medium = createMedium(image, { fingerprint, model, torn, seed })
  const state = new WorkingState(image, fingerprint, options, regionsOf(trace.image))

  for (let point = 0; point <= Math.min(toPoint, events.count); point++) {
    let changed: CrashUnit | undefined
    if (point > 0) {
      const event = point - 1
      if (events.kind(event) === EVENT_GROW) {
        // A file that was longer than its capacity stays as long.
        const newSizeBytes = Math.max(sizeBytes, events.pageCount(event) * PAGE_BYTES)
        if (event >= fromPoint) yield* growingImages(state, medium.units(), event, sizeBytes, newSizeBytes)
        sizeBytes = newSizeBytes
      }
      changed = medium.apply(events, event)
    }
    if (point < fromPoint) continue
    const wanted = imagesAt(events, point, points, point === fromPoint)
    if (wanted === 'none' || (wanted === 'new' && events.program(point - 1) === 0 && point % storeStride !== 0))
      continue
    const label = point === 0 ? 'before the first event' : `after event ${point - 1}, ${events.describe(point - 1)}`
    state.begin(point, label, sizeBytes)
    yield* state.images(medium.units(), wanted === 'new' ? changed : undefined)
  }
}

/** Which images are tried at a point. */
function imagesAt(events: EventLog, point: number, points: CrashPoints, first: boolean): 'all' | 'new' | 'none' {
  if (points === 'every' || first) return 'all'
  const next = point < events.count ? events.kind(point) : undefined
  if (points === 'frontier') return next === undefined || isTurningPoint(next) ? 'all' : 'none'
  const last = events.kind(point - 1)
  if (isTurningPoint(last)) return 'all'
  return last === EVENT_STORE || last === EVENT_STORE_NON_TEMPORAL ? 'new' : 'none'
}

function isTurningPoint(kind: EventKind): boolean {
  const isBarrier = kind === EVENT_BARRIER_START || kind === EVENT_BARRIER_END
  return isBarrier || kind === EVENT_FENCE || kind === EVENT_SYNC_ALL || kind === EVENT_GROW || kind === EVENT_MARK
}

/** A crash while the file is extended leaves any size between the two. */
function* growingImages(
  state: WorkingState,
  units: Iterable<CrashUnit>,
  point: number,
  oldBytes: number,
  newBytes: number,
): Generator<CrashState> {
  const pending = [...units]
  const middle = oldBytes + Math.floor((newBytes - oldBytes) / PAGE_BYTES / 2) * PAGE_BYTES
  for (const size of new Set([oldBytes + PAGE_BYTES, middle, newBytes - PAGE_BYTES])) {
    if (size <= oldBytes || size >= newBytes) continue
    state.begin(point, `growing from ${oldBytes} to ${newBytes} bytes, at ${size}`, size)
    yield* state.images(pending, undefined)
  }
}

function largestSize(trace: Trace): number {
  let size = trace.image.length
  for (let event = 0; event < trace.events.count; event++) {
    if (trace.events.kind(event) === EVENT_GROW) size = Math.max(size, trace.events.pageCount(event) * PAGE_BYTES)
  }
  return size
}

/** The one image all combinations are written into: only units whose choice changes are touched. */
class WorkingState implements CrashState {
  point = 0
  label = ''
  image: Uint8Array
  exhaustive = true
  tracked = false
  readonly #whole: Uint8Array
  /** Of the durable content, which the medium keeps up to date; the chosen candidates are added and taken out. */
  readonly #fingerprint: Fingerprint
  readonly #exhaustiveLimit: number
  readonly #samples: number
  readonly #lazyLimit: number
  readonly #probe: ReadProbe | undefined
  readonly #regionOf: (offset: number) => Region
  readonly #seed: number
  #pointLabel = ''
  #units: CrashUnit[] = []
  #candidates: (readonly Candidate[])[] = []
  #current: number[] = []

  constructor(
    image: Uint8Array,
    fingerprint: Fingerprint,
    options: CrashOptions,
    regionOf: (offset: number) => Region,
  ) {
    this.image = image
    this.#whole = image
    this.#fingerprint = fingerprint
    this.#exhaustiveLimit = options.exhaustiveLimit ?? 4096
    this.#samples = options.samples ?? 512
    this.#lazyLimit = options.lazyLimit ?? 0
    this.#probe = options.probe
    this.#regionOf = regionOf
    this.#seed = options.seed ?? 1
  }

  begin(point: number, label: string, sizeBytes: number): void {
    this.point = point
    this.#pointLabel = label
    this.image = this.#whole.subarray(0, sizeBytes)
  }

  /** Yields the images of this point; with `changed` only those where that unit is (partly) in its newest version. */
  *images(units: Iterable<CrashUnit>, changed: CrashUnit | undefined): Generator<CrashState> {
    this.#units = [...units]
    this.#candidates = this.#units.map((unit) => unit.candidates())
    this.#current = this.#units.map(() => 0)
    try {
      for (const combination of this.#combinations(changed)) {
        for (let index = 0; index < this.#units.length; index++) this.#choose(index, combination.chosen[index])
        this.label = `${this.#pointLabel}: ${combination.kind}`
        yield this
      }
    } finally {
      // The medium takes what is durable from this image.
      for (let index = 0; index < this.#units.length; index++) this.#choose(index, 0)
    }
  }

  get fingerprint(): number {
    return this.#fingerprint.key(this.image.length)
  }

  describe(): string {
    const lines: string[] = []
    this.#units.forEach((unit, index) => {
      const candidate = this.#candidates[index][this.#current[index]]
      if (!candidate.torn && this.#current[index] === unit.newestCandidate()) return
      const page = Math.floor(unit.offset / PAGE_BYTES)
      const line = (unit.offset % PAGE_BYTES) / LINE_BYTES
      const place = candidate.bytes.length === PAGE_BYTES ? `page ${page}` : `line ${page}:${line}`
      lines.push(
        `${place} holds ${candidate.torn ? 'torn ' : ''}version ${candidate.version} of ${unit.versionCount - 1}`,
      )
    })
    return `crash ${this.label} (point ${this.point}, seed ${this.#seed}); ${lines.join(', ') || 'every line is new'}`
  }

  *#combinations(changed: CrashUnit | undefined): Generator<Combination> {
    const complete = this.#slots(changed, true)
    this.exhaustive = true
    if (combinationCount(complete) <= this.#exhaustiveLimit) {
      yield* allCombinations(complete)
      return
    }
    const random = new Random(this.#seed ^ Math.imul(this.point + 1, 0x85ebca6b))
    const whole = this.#slots(changed, false)
    const exhaustive = combinationCount(whole) <= this.#exhaustiveLimit
    this.exhaustive = exhaustive
    if (exhaustive) yield* allCombinations(whole)
    const probe = this.#probe
    if (probe !== undefined && this.#lazyLimit > 0) {
      this.tracked = true
      try {
        yield* lazyCombinations(complete, this.#lazyLimit, (slot) => {
          const unit = this.#units[slot]
          return probe.wasRead(unit.offset, unit.durable.length)
        })
      } finally {
        this.tracked = false
      }
    }
    yield* sampledCombinations(complete, this.#samples, random)
  }

  /** What each unit may hold, with or without torn contents. */
  #slots(changed: CrashUnit | undefined, torn: boolean): Slot[] {
    return this.#units.map((unit, index) => {
      const newest = unit.newestCandidate()
      const onlyNew = unit === changed
      const choices: number[] = []
      this.#candidates[index].forEach((candidate, choice) => {
        if (candidate.torn && !torn) return
        if (!onlyNew || candidate.version === unit.versionCount - 1) choices.push(choice)
      })
      return {
        choices,
        newest: choices.includes(newest) || choices.length === 0 ? newest : choices[choices.length - 1],
        role: this.#roleOf(unit),
      }
    })
  }

  #roleOf({ offset, newest }: CrashUnit): SlotRole {
    const region = this.#regionOf(offset)
    if (region !== 'log') return region
    const magic = newest[RECORD_OFFSET_MAGIC] | (newest[RECORD_OFFSET_MAGIC + 1] << 8)
    return magic === (RECORD_MAGIC & 0xffff) && offset % PAGE_BYTES === 0 ? 'header' : 'body'
  }

  #choose(index: number, choice: number): void {
    if (this.#current[index] === choice) return
    const unit = this.#units[index]
    const candidate = this.#candidates[index][choice]
    this.#fingerprint.xor(this.#candidates[index][this.#current[index]].fingerprint)
    this.#fingerprint.xor(candidate.fingerprint)
    this.#whole.set(candidate.bytes, unit.offset)
    this.#current[index] = choice
  }
}

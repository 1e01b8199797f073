import type { StoreHandle } from '../api/store.js'
import { crashImages } from '../../crash-tests/src/crash-states.js'
import { callUserCode } from './call-site.js'
import { describeFailure, type FailureFacts } from './failure.js'
import type { KitRecording } from './record.js'
import { RecoveredPool } from './recovered.js'
import { formatReplay, type Replay } from './replay.js'
import type { CrashFailure, CrashModel, CrashStoreOptions, CrashTestCounts } from './types.js'

export interface ExploreSettings {
  readonly seed: number
  readonly exhaustiveLimit: number
  readonly samples: number
  readonly maxImages: number
  readonly store: CrashStoreOptions
  readonly replay: Replay | undefined
  readonly check: (store: StoreHandle) => unknown
  readonly progress: ((counts: CrashTestCounts) => void) | undefined
}

/** A workload with more events than this gets fewer images a point: most of them belong to large values. */
const LONG_TRACE_EVENTS = 1000
const REPEAT_EVERY = 16
const PROGRESS_EVERY = 2048

/** Counts of the whole test so far. */
export type Totals = { -readonly [Name in keyof CrashTestCounts]: number }

/** Thrown inside, turned into a `CrashFailure` where everything about the crash is known. */
class Refused extends Error {
  constructor(
    readonly kind: 'check' | 'history' | 'recovery',
    message: string,
    readonly found: number | undefined,
    cause?: unknown,
  ) {
    super(message, { cause })
  }
}

/** Goes through the crashes of one recording, model by model. Images and contents judged once are not judged again. */
export class KitExplorer {
  readonly #recording: KitRecording
  readonly #settings: ExploreSettings
  readonly #pool: RecoveredPool
  readonly #totals: Totals
  /** Fingerprint of an image -> digest of what it recovers to. */
  readonly #visited = new Map<number, string>()
  /** Digests that `check` has accepted. */
  readonly #accepted = new Set<string>()

  /** `totals` goes on counting over several explorers. */
  constructor(recording: KitRecording, settings: ExploreSettings, totals: Totals) {
    this.#recording = recording
    this.#settings = settings
    this.#totals = totals
    this.#pool = new RecoveredPool(recording, settings.store)
  }

  /** What `setup` and the whole workload leave must please `check` before any crash is tried. */
  async exploreNoCrash(): Promise<CrashFailure | undefined> {
    const { before, after, history, trace } = this.#recording
    for (const [image, found, point] of [
      [before, 0, 0],
      [after, history.length - 1, trace.events.count],
    ] as const) {
      try {
        const digest = this.#pool.recover(image, this.#settings.seed)
        await this.#checkContent(digest, found)
      } catch (error) {
        const facts = { recording: this.#recording, seed: this.#settings.seed, point, found, image }
        return describeFailure({
          ...facts,
          kind: 'check-without-crash',
          problem: messageOf(error),
          cause: causeOf(error),
        })
      }
    }
    return undefined
  }

  async explore(model: CrashModel): Promise<CrashFailure | undefined> {
    const { trace } = this.#recording
    const { seed, exhaustiveLimit, samples, replay, maxImages } = this.#settings
    const few = trace.events.count > LONG_TRACE_EVENTS
    let number = 0
    let lastPoint = -1
    for (const state of crashImages(trace, {
      model,
      seed,
      exhaustiveLimit: few ? Math.min(4, exhaustiveLimit) : exhaustiveLimit,
      samples: few ? Math.min(2, samples) : samples,
    })) {
      number++
      if (replay !== undefined && number < replay.image) continue
      if (this.#totals.images >= maxImages) break
      this.#count(state.point !== lastPoint)
      lastPoint = state.point
      try {
        await this.#judge(state.image, state.fingerprint, state.point)
      } catch (error) {
        const refused = error instanceof Refused ? error : new Refused('recovery', messageOf(error), undefined, error)
        const token = { logging: this.#recording.logging, model, seed, image: number, events: trace.events.count }
        const facts: FailureFacts = {
          recording: this.#recording,
          seed,
          point: state.point,
          model,
          crash: state.describe(),
          image: state.image,
          found: refused.found,
          kind: refused.kind,
          problem: refused.message,
          cause: refused.cause,
          replay: formatReplay(token),
        }
        return describeFailure(facts)
      }
      if (replay !== undefined) break
    }
    return undefined
  }

  #count(newPoint: boolean): void {
    const totals = this.#totals
    if (newPoint) totals.points++
    totals.images++
    if (totals.images % PROGRESS_EVERY === 0) this.#settings.progress?.({ ...totals })
  }

  async #judge(image: Uint8Array, fingerprint: number, point: number): Promise<void> {
    const seen = this.#visited.get(fingerprint)
    const digest = seen ?? this.#pool.recover(image, this.#totals.images)
    const found = this.#stateOf(digest, point)
    if (seen !== undefined) return
    this.#visited.set(fingerprint, digest)
    this.#totals.distinct++
    if (this.#totals.distinct % REPEAT_EVERY === 0) this.#pool.recoverAgain(this.#totals.images, digest)
    await this.#checkContent(digest, found)
  }

  /** How many transactions the content holds: all that were acknowledged at that point, none that had not begun. */
  #stateOf(digest: string, point: number): number {
    const { history, acknowledged, transactions } = this.#recording
    const least = acknowledged[point]
    let most = least
    while (most < transactions.length && transactions[most].begin < point) most++
    for (let state = least; state <= most; state++) if (history[state] === digest) return state
    const found = history.lastIndexOf(digest)
    if (found < 0)
      throw new Refused('history', 'the recovered content is none that the transactions went through', undefined)
    throw new Refused('history', `${found} transactions were recovered, but ${least} had been acknowledged`, found)
  }

  async #checkContent(digest: string, found: number): Promise<void> {
    if (this.#accepted.has(digest)) return
    const store = this.#pool.store()
    const { problems } = store.check()
    if (problems.length > 0) throw new Refused('recovery', `store.check(): ${problems[0].message}`, found)
    let answer: unknown
    try {
      answer = await callUserCode(() => this.#settings.check(store))
    } catch (error) {
      throw new Refused('check', `check() threw ${messageOf(error)}`, found, error)
    }
    if (answer === false) throw new Refused('check', 'check() returned false', found)
    this.#accepted.add(digest)
    this.#totals.contents++
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? (error instanceof Refused ? error.message : String(error)) : String(error)
}

function causeOf(error: unknown): unknown {
  return error instanceof Refused ? error.cause : error
}

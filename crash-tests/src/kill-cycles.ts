import { copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DaxkvError } from '../../src/errors.js'
import { Engine } from '../../src/tx/engine.js'
import { contentOf } from './engine-content.js'
import { KillHistory } from './kill-history.js'
import { KILL_MODES, killEngineOptions, pick, randomKillOptions, randomPoint } from './kill-job.js'
import type { KillJob, KillMode, KillPlace } from './kill-job.js'
import type { Writer, Writers } from './kill-process.js'
import type { Random } from './random.js'

export interface KillCycleOptions {
  readonly writers: Writers
  readonly directory: string
  readonly cycles: number
  readonly random: Random
  /** Whether the writers have the addon's test build and can end themselves at named points. */
  readonly points: boolean
  readonly progress?: () => void
}

export interface KillCounts {
  cycles: number
  /** Transactions acknowledged by writers that were then killed. */
  acknowledged: number
  /** How the cycles ended: `at random`, a named place, ... */
  readonly ends: Map<string, number>
  /** Writers by their way of committing. */
  readonly modes: Map<KillMode, number>
  /** Recoveries that were judged here, by outcome; the next writer judges the others by what it finds. */
  readonly outcomes: Map<string, number>
}

/** A pool was not what it must be. `pool` is a copy as it was before it was opened, `allowed` what it may hold. */
export class KillViolation extends Error {
  constructor(
    message: string,
    readonly pool: string,
    readonly allowed: readonly string[],
    options: ErrorOptions,
  ) {
    super(message, options)
  }
}

/** A pool is made anew now and then, so that creation is killed, too, and geometries change. */
const NEW_POOL_EVERY = 8
/** A writer that does not come to its point is killed all the same. */
const POINT_WAIT_MS = 300

/** Kills writers and opens what they leave. Throws `KillViolation` at the first pool that is not what it must be. */
export async function killCycles(options: KillCycleOptions): Promise<KillCounts> {
  const lane = new Lane(options)
  for (let cycle = 0; cycle < options.cycles; cycle++) {
    await lane.cycle()
    options.progress?.()
  }
  return lane.counts
}

class Lane {
  readonly counts: KillCounts = { cycles: 0, acknowledged: 0, ends: new Map(), modes: new Map(), outcomes: new Map() }
  readonly #path: string
  readonly #before: string
  readonly #empty: string
  #history: KillHistory

  constructor(private readonly options: KillCycleOptions) {
    this.#path = join(options.directory, 'kill.pool')
    this.#before = join(options.directory, 'before.pool')
    const engine = Engine.open(':memory:')
    this.#empty = contentOf(engine).digest
    engine.close()
    this.#history = new KillHistory(this.#empty)
  }

  async cycle(): Promise<void> {
    const { random } = this.options
    if (this.counts.cycles === 0 || random.below(NEW_POOL_EVERY) === 0) this.#startAnew()
    this.#keepCopy()
    const allowed = this.#history.allowed
    const where = `cycle ${this.counts.cycles}`
    try {
      const writers = await this.#killSomebody()
      this.#history.take(writers.flatMap(({ lines }) => lines))
    } catch (error) {
      throw this.#violation(where, allowed, error)
    }
    this.counts.cycles++
    this.counts.acknowledged = this.counts.acknowledged + this.#history.acknowledgements
    this.#history.acknowledgements = 0
    // Else the next writer finds what this one has left, and may be killed while it recovers it.
    if (random.below(3) !== 0) this.#judge(where)
  }

  #startAnew(): void {
    for (const name of readdirSync(this.options.directory))
      rmSync(join(this.options.directory, name), { recursive: true })
    this.#history = new KillHistory(this.#empty)
  }

  #keepCopy(): void {
    rmSync(this.#before, { force: true })
    if (existsSync(this.#path)) copyFileSync(this.#path, this.#before)
  }

  async #killSomebody(): Promise<readonly Writer[]> {
    const { random, points } = this.options
    const choice = random.below(8)
    if (choice === 0) return this.#race()
    if (choice === 1) return this.#stopped()
    return choice < 5 && points ? this.#atPoint() : this.#atRandom()
  }

  /** Mostly while it works, sometimes while it starts. */
  async #atRandom(): Promise<readonly Writer[]> {
    const writer = await this.#start()
    this.#count('at random')
    this.#killLater(writer)
    await writer.dead
    return [writer]
  }

  async #atPoint(): Promise<readonly Writer[]> {
    const { random } = this.options
    const places: readonly KillPlace[] = existsSync(this.#path)
      ? ['open', 'open', 'work', 'work', 'growth', 'checkpoint', 'close']
      : ['create']
    const place = places[random.below(places.length)]
    const writer = await this.#start({ point: randomPoint(random, place) })
    const intended = await Promise.race([writer.dead.then(() => true), sleep(POINT_WAIT_MS).then(() => false)])
    if (!intended) writer.signal('SIGKILL')
    await writer.dead
    this.#count(intended ? `at a point of ${place}` : 'at random')
    return [writer]
  }

  /** Two open at once; one gets the pool, the other waits for its death (or its close) and gets it then. */
  async #race(): Promise<readonly Writer[]> {
    const writers = await Promise.all([this.#take(), this.#take()])
    for (const writer of writers) writer.start(this.#job())
    this.#count('racing openers')
    const opened = new Promise<void>((resolve) => writers.forEach((writer) => writer.onOpen(resolve)))
    await Promise.race([opened, ...writers.map((writer) => writer.dead)])
    const first = writers.findIndex(({ lines }) => lines.some((line) => line.includes(' open ')))
    this.#killLater(writers[first])
    await writers[first].dead
    this.#killLater(writers[1 - first])
    await writers[1 - first].dead
    return writers
  }

  /** A stopped process keeps its lock; it goes on afterwards, or is killed as it is. */
  async #stopped(): Promise<readonly Writer[]> {
    const { random } = this.options
    const writer = await this.#start()
    this.#count('stopped')
    await sleep(random.below(40))
    writer.signal('SIGSTOP')
    this.#openBesides()
    if (random.below(2) === 0) {
      writer.signal('SIGCONT')
      await sleep(random.below(20))
    }
    writer.signal('SIGKILL')
    await writer.dead
    return [writer]
  }

  /** Refused, or let in where the stopped process has the pool closed at the moment. */
  #openBesides(): void {
    const options = killEngineOptions(randomKillOptions(this.options.random))
    try {
      Engine.open(this.#path, { ...options, create: false }).close()
    } catch (error) {
      const legal = error instanceof DaxkvError && (error.code === 'POOL_LOCKED' || error.code === 'POOL_NOT_FOUND')
      if (!legal) throw error
    }
  }

  #take(): Promise<Writer> {
    return this.options.writers.take()
  }

  async #start(more: Partial<KillJob> = {}): Promise<Writer> {
    const writer = await this.#take()
    writer.start({ ...this.#job(), ...more })
    return writer
  }

  #job(): KillJob {
    const { random } = this.options
    const mode = pick(KILL_MODES, random)
    const options = randomKillOptions(random)
    // Only there does a mode make a difference.
    const waits = mode === 'sync' ? {} : ({ granularity: 'page', logging: 'redo' } as const)
    this.counts.modes.set(mode, (this.counts.modes.get(mode) ?? 0) + 1)
    return { path: this.#path, seed: random.word(), mode, options: { ...options, ...waits } }
  }

  #killLater(writer: Writer): void {
    const { random } = this.options
    const kill = (): void => writer.signal('SIGKILL')
    if (random.below(4) === 0) {
      setTimeout(kill, random.below(15))
      return
    }
    const delayMs = random.below(40)
    if (writer.lines.some((line) => line.includes(' open '))) setTimeout(kill, delayMs)
    else writer.onOpen(() => setTimeout(kill, delayMs))
  }

  /** Opens the pool in this process, with the production addon: everything in it is checked. */
  #judge(where: string): void {
    const { random } = this.options
    if (!existsSync(this.#path)) return
    this.#keepCopy()
    const { allowed } = this.#history
    let engine: Engine | undefined
    let how = 'opening'
    try {
      // The lock of the dead must be gone.
      engine = Engine.open(this.#path, { ...killEngineOptions(randomKillOptions(random)), create: false })
      const { outcome } = engine.recovery
      how = `recovery: ${outcome}`
      this.counts.outcomes.set(outcome, (this.counts.outcomes.get(outcome) ?? 0) + 1)
      this.#history.opened(contentOf(engine).digest)
    } catch (error) {
      throw this.#violation(`${where}, ${how}`, allowed, error)
    } finally {
      // Left as another dead process would leave it: the next writer recovers again.
      if (random.below(2) === 0) engine?.close()
      else engine?.memory.close()
    }
  }

  #violation(where: string, allowed: readonly string[], cause: unknown): KillViolation {
    const message = `${where}: ${cause instanceof Error ? cause.message : String(cause)}`
    return new KillViolation(message, this.#before, allowed, { cause })
  }

  #count(end: string): void {
    this.counts.ends.set(end, (this.counts.ends.get(end) ?? 0) + 1)
  }
}

function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs))
}

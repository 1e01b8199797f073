import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DaxkvError } from '../../src/errors.js'
import { Engine } from '../../src/tx/engine.js'
import type { EngineOptions } from '../../src/tx/engine.js'
import type { Amount } from './amounts.js'
import { contentOf } from './engine-content.js'
import { describeRule, faultCases } from './fault-cases.js'
import { CheckpointCase, GroupCase, GrowthCase } from './fault-group.js'
import { StoreCase } from './fault-store.js'
import type { CaseResult } from './fault-judge.js'
import { codeOf, judgeFailure } from './fault-judge.js'
import { POOL_KINDS, SCENARIOS, scenarioOptions, startWork } from './fault-scenarios.js'
import type { Allowed, PoolKind, Scenario, Work } from './fault-scenarios.js'
import { clearFault, heldNow, setFault } from './faults.js'
import type { FaultCall, FaultRule } from './faults.js'
import { Random } from './random.js'

export interface FaultRun {
  readonly directory: string
  readonly amount: Amount
  readonly seed: number
  /** Only scenarios whose name begins so, or the one case of this name; empty for all. */
  readonly only: string
  /** Called with its name before each case: whoever watches knows where a process died. */
  readonly before: (name: string) => void
  /** Called with a case that went wrong; `path` is the pool it left. */
  readonly failed: (name: string, error: unknown, path: string) => void
  /** Called after each scenario. */
  readonly after: (row: FaultRow) => void
}

export interface FaultRow {
  readonly name: string
  readonly cases: number
  /** Errors by code, and `carried on` for faults that were survived. */
  readonly outcomes: Readonly<Record<string, number>>
  /** Calls that the scenario makes. */
  readonly calls: Readonly<Record<string, number>>
}

/** A defect shows in many cases: this many of one scenario are enough to see it. */
const MOST_FAILURES = 5

/** Runs every scenario over every kind of pool with every call failing in turn. */
export async function runFaults(run: FaultRun): Promise<void> {
  for (const kind of POOL_KINDS) {
    const scenario = async (title: string, one: OneCase): Promise<void> => {
      const name = `${kind.granularity} ${kind.logging}: ${title}`
      if (!name.startsWith(run.only) && !run.only.startsWith(`${name}: `)) return
      run.after({ name, ...(await runScenario(name, one, run)) })
    }
    for (const each of SCENARIOS) {
      if (each.only !== undefined && each.only !== kind.logging) continue
      await scenario(each.name, (path, rule) => new Case(path, kind, each, rule).run())
    }
    const digests: string[] = []
    await scenario('store', (path, rule) => new StoreCase(path, kind, digests, rule).run())
    await scenario('groups and relaxed commits', (path, rule) => new GroupCase(path, kind, rule).run())
    if (kind.granularity !== 'page' || kind.logging !== 'redo') continue
    await scenario('groups beside a checkpoint', (path, rule) => new CheckpointCase(path, kind, rule).run())
    await scenario('groups and prepared growth', (path, rule) => new GrowthCase(path, kind, rule).run())
  }
}

type OneCase = (path: string, rule: FaultRule | undefined) => CaseResult | Promise<CaseResult>

async function runScenario(name: string, runCase: OneCase, run: FaultRun): Promise<Omit<FaultRow, 'name'>> {
  const newPath = (): string => join(mkdtempSync(join(run.directory, 'case-')), 'faults.pool')
  let path = newPath()
  const one = async (rule?: FaultRule): Promise<CaseResult> => runCase(path, rule)
  await one() // templates are made, modules and windows are warm
  const { made } = await one()
  const outcomes: Record<string, number> = {}
  let cases = 0
  let failures = 0
  for (const rule of faultCases(made, run.amount, new Random(run.seed))) {
    const caseName = `${name}: ${describeRule(rule)}`
    if (!caseName.startsWith(run.only)) continue
    run.before(caseName)
    cases++
    try {
      const { outcome } = await one(rule)
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    } catch (error) {
      run.failed(caseName, error, path)
      // What the failed case has left open, and its pool, stay as they are.
      path = newPath()
      if (++failures === MOST_FAILURES) break
    }
  }
  rmSync(path, { force: true })
  return { cases, outcomes, calls: callsOf(made) }
}

function callsOf(made: ReadonlyMap<FaultCall, number>): Record<string, number> {
  return Object.fromEntries([...made].filter(([, count]) => count > 0))
}

/** One scenario with one fault, and the judgement of everything after it. */
class Case {
  readonly #random = new Random(77)
  readonly #options: EngineOptions
  #engine: Engine | undefined
  #work: Work | undefined
  #error: unknown

  constructor(
    private readonly path: string,
    kind: PoolKind,
    private readonly scenario: Scenario,
    private readonly rule: FaultRule | undefined,
  ) {
    this.#options = { ...scenarioOptions(kind, this.#random), ...scenario.options }
  }

  run(): CaseResult {
    try {
      return this.#run()
    } catch (error) {
      clearFault()
      codeOf(() => this.#engine?.close()) // its timers, above all
      throw error
    }
  }

  #run(): CaseResult {
    const { path, scenario } = this
    let allowed = scenario.prepare(path, this.#options)
    const before = heldNow()
    if (scenario.kind !== 'open') {
      this.#engine = Engine.open(path, this.#options)
      this.#work = startWork(this.#engine, new Random(13))
      if (scenario.kind === 'close') scenario.work?.(this.#work)
    }
    setFault(this.rule)
    try {
      this.#act()
    } catch (error) {
      this.#error = error
    }
    const { made, hits } = clearFault()
    const outcome = judgeFailure(this.#error, this.rule, this.path, hits)
    if (this.#work !== undefined) allowed = this.#judgeWork(this.#work)
    else if (this.#engine !== undefined && !this.#engine.readOnly) allowed = this.#judgeOpened(this.#engine, allowed)
    this.#engine?.close()
    const after = heldNow()
    if (after !== before) throw new Error(`something was not given back: before ${before}; after ${after}`)
    this.#judgeFiles()
    this.#judgeReopened(allowed)
    return { made, outcome }
  }

  #act(): void {
    const { scenario } = this
    if (scenario.kind === 'open') {
      const readOnly = scenario.readOnly === true ? { readOnly: true } : {}
      this.#engine = Engine.open(this.path, { ...this.#options, ...readOnly })
    } else if (scenario.kind === 'close') {
      this.#engine?.close()
    } else if (this.#work !== undefined) {
      scenario.work?.(this.#work)
      // A checkpoint may be under way in the background: its failure belongs to this case.
      this.#work.engine.flushNow()
    }
  }

  /** An open engine after its work went wrong (or not): poisoned, or as it was before the operation that failed. */
  #judgeWork(work: Work): Allowed {
    const { engine, acknowledged, tried } = work
    if (this.scenario.kind === 'close') {
      if (codeOf(() => engine.begin()) !== 'CLOSED') throw new Error('the store is not closed after close()')
      return [acknowledged]
    }
    const failure = this.#error instanceof DaxkvError ? this.#error.code : undefined
    const poisoned = codeOf(() => engine.usable()) === 'POISONED'
    if (poisoned !== (failure === 'PERSIST_FAILED' || failure === 'POISONED')) {
      // A checkpoint that nobody asked for: the commit before it stands, and the next call tells.
      const quietly = poisoned && failure === undefined && tried === undefined
      if (!quietly) throw new Error(`after ${failure ?? 'no error'} the store is ${poisoned ? '' : 'not '}poisoned`)
    }
    if (poisoned) {
      for (const call of [() => engine.begin(), () => engine.checkpoint(), () => engine.stats()]) {
        if (codeOf(call) !== 'POISONED') throw new Error('a poisoned store took a call')
      }
      return tried === undefined ? [acknowledged] : [acknowledged, tried]
    }
    if (engine.depth !== 0) throw new Error(`a transaction is still open (depth ${engine.depth})`)
    return this.#goOn(engine, acknowledged)
  }

  #judgeOpened(engine: Engine, allowed: Allowed): Allowed {
    const { digest } = contentOf(engine)
    if (!allowed.includes(digest)) throw new Error('the opened pool holds something else')
    return this.#goOn(engine, digest)
  }

  /** The store must go on as if nothing had happened; returns what it holds then. */
  #goOn(engine: Engine, expected: string): Allowed {
    if (contentOf(engine).digest !== expected) throw new Error('the store that goes on holds something else')
    const more = startWork(engine, new Random(14))
    if (more.acknowledged !== expected) throw new Error('the store that goes on reads something else')
    for (const kind of ['severalKeys', 'hugeValue', 'touchEverything', 'deleteRun'] as const) more.workload.step(kind)
    if (contentOf(engine).digest !== more.acknowledged) throw new Error('going on went wrong')
    return [more.acknowledged]
  }

  #judgeFiles(): void {
    const directory = dirname(this.path)
    const strange = readdirSync(directory).filter((name) => name.includes('.creating-'))
    for (const name of strange) rmSync(join(directory, name))
    // One that cannot be removed may stay: its name says what it is.
    if (strange.length > 0 && this.rule?.call !== 'unlinkSync')
      throw new Error(`files were left: ${strange.join(', ')}`)
  }

  #judgeReopened(allowed: Allowed): void {
    const { path } = this
    const created = this.scenario.name === 'create'
    if (!created && !existsSync(path)) throw new Error('the pool is gone')
    const engine = Engine.open(path, this.#options)
    try {
      const { digest } = contentOf(engine)
      if (!allowed.includes(digest)) throw new Error('the reopened pool does not hold what was acknowledged')
      this.#goOn(engine, digest)
    } finally {
      engine.close()
    }
  }
}

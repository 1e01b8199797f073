import { closeSync, ftruncateSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { DaxkvError } from '../../src/errors.js'
import type { Granularity } from '../../src/pmem/persistent-memory.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import type { Logging } from '../../src/tx/committer.js'
import { Engine } from '../../src/tx/engine.js'
import type { EngineOptions } from '../../src/tx/engine.js'
import { contentOf } from './engine-content.js'
import { clearFault, setFault } from './faults.js'
import { Random } from './random.js'
import type { StepKind } from './workload.js'
import { Workload } from './workload.js'

/** Granularity and logging of the pools that a scenario works on. */
export interface PoolKind {
  readonly granularity: Granularity
  readonly logging: Logging
}

export const POOL_KINDS: readonly PoolKind[] = [
  { granularity: 'page', logging: 'redo' },
  { granularity: 'page', logging: 'undo' },
  { granularity: 'cache-line', logging: 'undo' },
  { granularity: 'cache-line', logging: 'redo' },
]

/** What a pool may hold when it is opened: what was acknowledged, and what was being committed since. */
export type Allowed = readonly string[]

/** Work on an open pool: says what it commits, so that it is known what may be found. */
export interface Work {
  engine: Engine
  /** Content after the last acknowledged transaction, and that of the one being committed. */
  acknowledged: string
  tried: string | undefined
  readonly workload: Workload
}

export interface Scenario {
  readonly name: string
  /** `open`: a pool that is there (or, for `create`, not); `work` and `close`: an open one. */
  readonly kind: 'open' | 'work' | 'close'
  /** Puts the file there; returns what it may hold. */
  readonly prepare: (path: string, options: EngineOptions) => Allowed
  readonly readOnly?: boolean
  readonly work?: (work: Work) => void
  /** On top of the usual options. */
  readonly options?: EngineOptions
  /** Of the logging that makes the scenario worth while. */
  readonly only?: Logging
}

export function scenarioOptions({ granularity, logging }: PoolKind, random: Random): EngineOptions {
  return {
    forceGranularity: granularity,
    logging,
    initialSizeBytes: 48 * PAGE_BYTES,
    logSizeBytes: 8 * PAGE_BYTES,
    growthStepBytes: 8 * PAGE_BYTES,
    segmentBytes: 256 * PAGE_BYTES,
    random: (words) => {
      for (let index = 0; index < words.length; index++) words[index] = random.word()
    },
  }
}

/** A workload on an open engine, and a note of what it has committed. */
export function startWork(engine: Engine, random: Random): Work {
  const work: { -readonly [Name in keyof Work]?: Work[Name] } = { engine, tried: undefined }
  const workload = new Workload(
    { engine },
    {
      random,
      maxBytes: 30_000,
      hooks: {
        beforeCommit: (digest) => (work.tried = digest),
        acknowledged: (digest) => {
          work.acknowledged = digest
          work.tried = undefined
        },
        refused: () => (work.tried = undefined),
      },
    },
  )
  work.acknowledged = workload.model.digest
  return Object.assign(work, { workload }) as Work
}

/** Steps that leave something of everything: several keyspaces, a few levels, values in extents, free space. */
const CONTENT: readonly StepKind[] = [
  'createKeyspace',
  'createKeyspace',
  'ascendingRun',
  'largeValue',
  'ascendingRun',
  'severalKeys',
  'largeValue',
  'deleteRun',
  'twoTrees',
  'replaceLargeValue',
  'overwriteLarger',
]

interface Template {
  readonly bytes: Buffer
  readonly allowed: Allowed
}

const templates = new Map<string, Template>()

/** Pools are made once and copied for each case. */
function template(name: string, path: string, options: EngineOptions, make: () => Allowed): Allowed {
  const key = `${name} ${options.forceGranularity ?? ''} ${options.logging ?? ''}`
  let found = templates.get(key)
  if (found === undefined) {
    rmSync(path, { force: true })
    found = { allowed: make(), bytes: readFileSync(path) }
    templates.set(key, found)
  }
  writeFileSync(path, found.bytes)
  return found.allowed
}

const filled = (path: string, options: EngineOptions): Work => {
  const work = startWork(Engine.open(path, options), new Random(11))
  for (const kind of CONTENT) work.workload.step(kind)
  return work
}

function closedPool(path: string, options: EngineOptions): Allowed {
  return template('closed', path, options, () => {
    const { engine, acknowledged } = filled(path, options)
    engine.close()
    return [acknowledged]
  })
}

/** As a dead process leaves it, between two transactions. */
function abandonedPool(path: string, options: EngineOptions): Allowed {
  return template('abandoned', path, options, () => {
    const { engine, acknowledged } = filled(path, options)
    engine.memory.close()
    return [acknowledged]
  })
}

/** As a dead process leaves it: one commit ends before its `operation`th operation, or at the last one it has. */
function tornPool(name: string, share: number): Scenario['prepare'] {
  return (path, options) =>
    template(name, path, options, () => {
      const { engine, acknowledged } = filled(path, options)
      engine.close()
      const before = readFileSync(path)
      const commit = (first: number): { operations: number; tried: string | undefined } => {
        const work = startWork(Engine.open(path, options), new Random(12))
        const rule = { call: 'operation', first, last: first, action: 'fail', errno: 'EIO' } as const
        setFault(first === 0 ? undefined : rule)
        try {
          work.workload.step('severalKeys')
        } catch (error) {
          if (!(error instanceof DaxkvError) || error.code !== 'PERSIST_FAILED') throw error
        }
        const { made } = clearFault()
        work.engine.memory.close()
        return { operations: made.get('operation') ?? 0, tried: work.tried }
      }
      const { operations } = commit(0)
      writeFileSync(path, before)
      const { tried } = commit(Math.max(1, Math.round(operations * share)))
      return tried === undefined ? [acknowledged] : [acknowledged, tried]
    })
}

/** A copy with holes where there were zeros, as `cp --sparse=always` makes it. */
function sparsePool(path: string, options: EngineOptions): Allowed {
  const allowed = closedPool(path, options)
  const bytes = readFileSync(path)
  const fd = openSync(path, 'w')
  ftruncateSync(fd, bytes.length)
  for (let offset = 0; offset < bytes.length; offset += PAGE_BYTES) {
    const page = bytes.subarray(offset, offset + PAGE_BYTES)
    if (page.some((byte) => byte !== 0)) writeSync(fd, page, 0, page.length, offset)
  }
  closeSync(fd)
  return allowed
}

const steps =
  (...kinds: StepKind[]) =>
  ({ workload }: Work): void => {
    for (const kind of kinds) workload.step(kind)
  }

export const SCENARIOS: readonly Scenario[] = [
  { name: 'create', kind: 'open', prepare: noPool },
  { name: 'open', kind: 'open', prepare: closedPool },
  { name: 'open read-only', kind: 'open', prepare: closedPool, readOnly: true },
  { name: 'open a copy with holes', kind: 'open', prepare: sparsePool },
  { name: 'recover after a kill', kind: 'open', prepare: abandonedPool },
  { name: 'recover a commit cut off early', kind: 'open', prepare: tornPool('torn early', 0.3) },
  { name: 'recover a commit cut off late', kind: 'open', prepare: tornPool('torn late', 0.9) },
  { name: 'commit', kind: 'work', prepare: closedPool, work: steps('severalKeys', 'twoTrees', 'nested', 'deleteRun') },
  { name: 'large values', kind: 'work', prepare: closedPool, work: steps('largeValue', 'replaceLargeValue') },
  { name: 'grow', kind: 'work', prepare: closedPool, work: steps('hugeValue', 'manyPages', 'manyPages') },
  {
    name: 'grow into another segment',
    kind: 'work',
    prepare: almostFullPool,
    options: { initialSizeBytes: 240 * PAGE_BYTES },
    work: steps('manyPages', 'hugeValue'),
  },
  { name: 'overflow the log', kind: 'work', prepare: closedPool, work: steps('touchEverything', 'dropLargeValues') },
  {
    name: 'checkpoints when the ring is full',
    kind: 'work',
    prepare: closedPool,
    only: 'redo',
    work: steps('severalKeys', 'ascendingRun', 'severalKeys', 'overwriteLarger', 'ascendingRun', 'putNew', 'putNew'),
  },
  {
    name: 'checkpoint',
    kind: 'work',
    prepare: closedPool,
    only: 'redo',
    work: ({ workload, engine }: Work): void => {
      workload.step('severalKeys')
      engine.checkpoint()
      workload.step('putNew')
    },
  },
  { name: 'close', kind: 'close', prepare: closedPool, work: steps('severalKeys', 'putNew') },
]

/** A first segment with hardly a page left. */
function almostFullPool(path: string, options: EngineOptions): Allowed {
  return template('almost full', path, options, () => {
    const work = startWork(Engine.open(path, options), new Random(15))
    work.workload.step('createKeyspace')
    const { engine } = work
    const free = (): number => engine.space.capacityPages - engine.allocator.countAllocated()
    while (engine.space.capacityPages < 256 || (engine.space.capacityPages === 256 && free() >= 12)) {
      work.workload.step('largeValue')
    }
    engine.close()
    return [work.acknowledged]
  })
}

function noPool(path: string): Allowed {
  rmSync(path, { force: true })
  return [contentOf(Engine.open(':memory:')).digest]
}

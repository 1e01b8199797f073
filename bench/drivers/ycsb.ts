/**
 * The core mixes of the Yahoo! Cloud Serving Benchmark: zipfian choice of keys (0.99), each write durable by itself.
 * What is done in which order is decided before the clock starts.
 */
import { KeyMaker, mix, ValueMaker, type Key } from '../data.js'
import type { OpenedEngine } from '../engines/engine.js'
import type { EngineOpener } from '../engines/open-engine.js'
import type { Measurement, YcsbJob, YcsbMix } from '../jobs.js'
import { quantile } from '../statistics.js'
import { ZipfPicker } from '../zipf.js'
import { Clocks } from './clocks.js'
import { warmUpElsewhere } from './inputs.js'
import { MeasuredPartProfiler } from './profiler.js'

/** What one operation does; numbers, so that the plan is a flat array. */
const READ = 0
const PUT = 1
const SCAN = 2
const READ_THEN_PUT = 3
type Step = typeof READ | typeof PUT | typeof SCAN | typeof READ_THEN_PUT

/** Out of a hundred operations, how many are not plain reads, and what they are; D and E insert, the others overwrite. */
const MIXES: Readonly<Record<YcsbMix, { readonly reads: Step; readonly share: number; readonly other: Step }>> = {
  A: { reads: READ, share: 50, other: PUT },
  B: { reads: READ, share: 5, other: PUT },
  C: { reads: READ, share: 0, other: PUT },
  D: { reads: READ, share: 5, other: PUT },
  E: { reads: SCAN, share: 5, other: PUT },
  F: { reads: READ, share: 50, other: READ_THEN_PUT },
}
const LONGEST_SCAN = 100
const KEY_SEED = 0x9cb5
const STEP_SEED = 0x57e9
const OPERATIONS_PER_BATCH = 100

interface Plan {
  readonly steps: Uint8Array
  readonly limits: Uint8Array
  readonly keys: readonly Key[]
  readonly values: readonly unknown[]
  readonly inserts: number
}

export async function ycsb(openEngine: EngineOpener, job: YcsbJob): Promise<Measurement> {
  const plan = planOf(job)
  await warmUpElsewhere(openEngine, job, 'put', 'existing')
  const opened = await openEngine(job)
  const before = await opened.engine.count()
  let sum = 0
  for (let i = 0; i < job.warmupOperations; i += OPERATIONS_PER_BATCH) {
    sum += await runBatch(opened, plan, i, Math.min(i + OPERATIONS_PER_BATCH, job.warmupOperations))
  }
  const profiler = new MeasuredPartProfiler(job.profileDir)
  const batchUs: number[] = []
  profiler.start()
  const clocks = new Clocks(opened.sync)
  const end = job.warmupOperations + job.operations
  for (let i = job.warmupOperations; i < end; i += OPERATIONS_PER_BATCH) {
    const to = Math.min(i + OPERATIONS_PER_BATCH, end)
    const start = performance.now()
    const result = runBatch(opened, plan, i, to)
    sum += typeof result === 'number' ? result : await result
    batchUs.push(((performance.now() - start) * 1000) / (to - i))
  }
  const { wallMs, cpuMs } = clocks.elapsed()
  profiler.stop(`ycsb-${job.mix}`)
  const after = await opened.engine.count()
  if (after !== before + plan.inserts) {
    throw new Error(
      `ycsb ${job.mix}: ${String(after)} entries after ${String(plan.inserts)} inserts to ${String(before)}`,
    )
  }
  await opened.engine.close()
  return {
    metrics: {
      usPerOperation: (wallMs * 1000) / job.operations,
      cpuUsPerOperation: (cpuMs * 1000) / job.operations,
      usPerOperationP50: quantile(batchUs, 0.5),
      usPerOperationP99: quantile(batchUs, 0.99),
    },
    checksum: sum,
  }
}

function planOf(job: YcsbJob): Plan {
  const { reads, share, other } = MIXES[job.mix]
  const inserting = job.mix === 'D' || job.mix === 'E'
  const count = job.warmupOperations + job.operations
  const keyMaker = new KeyMaker(job.keys, job.keyKind)
  const valueMaker = new ValueMaker(job.values, job.valueBytes)
  const picker = new ZipfPicker(job.keys, KEY_SEED + job.round)
  const steps = new Uint8Array(count)
  const limits = new Uint8Array(count)
  const keys: Key[] = []
  const values: unknown[] = []
  const inserted: Key[] = []
  for (let i = 0; i < count; i++) {
    const random = mix(i, STEP_SEED + job.round)
    const isOther = random % 100 < share
    steps[i] = isOther ? other : reads
    limits[i] = 1 + ((random >>> 8) % LONGEST_SCAN)
    let index = picker.next()
    let key = keyMaker.present(index)
    if (isOther && inserting) {
      index = (inserted.length * 7919) % job.keys
      key = keyMaker.missing(index)
      inserted.push(key)
      if (inserted.length > job.keys) throw new RangeError('more inserts than keys')
    } else if (job.mix === 'D') {
      // D reads what was inserted last; before that, and beyond it, old entries.
      const age = picker.nextRank()
      if (age < inserted.length) key = inserted[inserted.length - 1 - age]
    }
    keys.push(key)
    values.push(valueMaker.value(index, 1 + job.round))
  }
  return { steps, limits, keys, values, inserts: inserted.length }
}

function runBatch(opened: OpenedEngine, plan: Plan, from: number, to: number): number | Promise<number> {
  return opened.sync ? runSync(opened.engine, plan, from, to) : runAsync(opened.engine, plan, from, to)
}

function runSync(
  engine: Extract<OpenedEngine, { sync: true }>['engine'],
  { steps, limits, keys, values }: Plan,
  from: number,
  to: number,
): number {
  let sum = 0
  for (let i = from; i < to; i++) {
    const key = keys[i]
    switch (steps[i]) {
      case READ:
        sum += engine.view(key)
        break
      case PUT:
        sum += engine.put(key, values[i])
        break
      case SCAN:
        sum += engine.range(key, limits[i])
        break
      case READ_THEN_PUT:
        sum += engine.view(key) + engine.put(key, values[i])
    }
  }
  return sum
}

async function runAsync(
  engine: Extract<OpenedEngine, { sync: false }>['engine'],
  { steps, limits, keys, values }: Plan,
  from: number,
  to: number,
): Promise<number> {
  let sum = 0
  for (let i = from; i < to; i++) {
    const key = keys[i]
    switch (steps[i]) {
      case READ:
        sum += await engine.view(key)
        break
      case PUT:
        sum += await engine.put(key, values[i])
        break
      case SCAN:
        sum += await engine.range(key, limits[i])
        break
      case READ_THEN_PUT:
        sum += (await engine.view(key)) + (await engine.put(key, values[i]))
    }
  }
  return sum
}

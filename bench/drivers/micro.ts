/**
 * Single operations, measured by tinybench in batches: the clock is read once a batch, because reading it costs as much as
 * a tenth of the cheapest operation here. Keys, values and their order are made before the clock starts.
 */
import { Bench } from 'tinybench'
import type { Engine, Observation, OpenedEngine } from '../engines/engine.js'
import type { EngineOpener } from '../engines/open-engine.js'
import type { BaseMetric, Measurement, MicroJob } from '../jobs.js'
import { median } from '../statistics.js'
import { Clocks } from './clocks.js'
import { isPut, makeInputs, warmUpElsewhere, type Inputs } from './inputs.js'
import { residentMib, writtenBytes } from './process-figures.js'
import { MeasuredPartProfiler } from './profiler.js'

export async function micro(openEngine: EngineOpener, job: MicroJob): Promise<Measurement> {
  const rows = isPut(job.operation) ? (job.rows ?? 1) : 1
  const intoEmpty = job.target === 'empty'
  const warmupBatches = intoEmpty ? 0 : job.warmupBatches
  const inputs = makeInputs(job, (warmupBatches + job.batches) * job.operationsPerBatch * rows)
  if (isPut(job.operation) || job.operation === 'remove') {
    await warmUpElsewhere(openEngine, job, job.operation, job.target, rows)
  }

  const opened = await openEngine(job)
  const { engine } = opened
  const before = await engine.count()
  const profiler = new MeasuredPartProfiler(job.profileDir)
  const runner = new BatchRunner(opened, job, inputs, rows)
  let clocks = new Clocks(opened.sync)
  let cpuMs = 0
  let writtenBefore: number | undefined
  let written: number | undefined
  let seenBefore: Observation | undefined
  let seenAfter: Observation | undefined
  const bench = new Bench({
    iterations: job.batches,
    time: 0,
    warmup: !intoEmpty,
    warmupIterations: warmupBatches,
    warmupTime: 0,
    throws: true,
    setup: (_task, mode) => {
      if (mode !== 'run') return
      runner.restart()
      seenBefore = engine.observe()
      writtenBefore = writtenBytes()
      profiler.start()
      clocks = new Clocks(opened.sync)
    },
    teardown: (_task, mode) => {
      if (mode !== 'run') return
      cpuMs = clocks.elapsed().cpuMs
      profiler.stop(job.operation)
      written = writtenBytes()
      seenAfter = engine.observe()
    },
  })
  // Where the file grows is asked after each batch, outside its time.
  // Not of groups: who looks at the store has those applied that would have waited for more of them.
  const looks = isPut(job.operation) && job.operation !== 'group' && job.target !== 'existing'
  const hooks = looks ? { afterEach: runner.noteGrowth } : {}
  if (opened.sync && job.operation !== 'group') {
    bench.add(job.operation, runner.runSync, { async: false, ...hooks }).runSync()
  } else {
    await bench.add(job.operation, runner.runAsync, { async: true, ...hooks }).run()
  }

  const result = bench.tasks[0].result
  if (result.state !== 'completed') throw new Error(`${job.operation}: ${result.state}`)
  checkCount(job, before, await engine.count(), runner.done)
  const resident = residentMib(job.path)
  await engine.close()
  const perBatch = job.operationsPerBatch * rows
  const usPerBatchMs = 1000 / perBatch
  const operations = job.batches * perBatch
  const writtenPer =
    written === undefined || writtenBefore === undefined ? undefined : (written - writtenBefore) / operations
  return {
    metrics: {
      usPerOperation: result.latency.mean * usPerBatchMs,
      cpuUsPerOperation: (cpuMs * usPerBatchMs) / job.batches,
      usPerOperationP50: result.latency.p50 * usPerBatchMs,
      usPerOperationP99: result.latency.p99 * usPerBatchMs,
      ...runner.growthMetrics(operations),
      ...perCommit(seenBefore, seenAfter, job.batches * job.operationsPerBatch),
      ...(writtenPer === undefined ? {} : { writtenBytesPerOperation: writtenPer }),
      ...(resident ?? {}),
    },
    checksum: runner.sum,
    ...(seenAfter === undefined ? {} : { notes: [seenAfter.description] }),
  }
}

type Figures = Partial<Record<BaseMetric, number>>

function perCommit(before: Observation | undefined, after: Observation | undefined, commits: number): Figures {
  if (before === undefined || after === undefined) return {}
  return {
    fencesPerCommit: (after.fences - before.fences) / commits,
    linesPerCommit: (after.flushedLines - before.flushedLines) / commits,
    syncsPerCommit: (after.syncs - before.syncs) / commits,
  }
}

class BatchRunner {
  sum = 0
  done = 0
  private next = 0
  private lastMs = 0
  private growths = 0
  private readonly batchMs: number[] = []
  private readonly growthBatches: number[] = []

  constructor(
    private readonly opened: OpenedEngine,
    private readonly job: MicroJob,
    private readonly inputs: Inputs,
    private readonly rows: number,
  ) {}

  /** The measured part begins. */
  restart(): void {
    this.sum = 0
    this.batchMs.length = 0
    this.growthBatches.length = 0
    this.growths = this.opened.engine.observe()?.growths ?? 0
  }

  readonly runSync = (): void => {
    if (!this.opened.sync) throw new Error('engine is asynchronous')
    const from = this.take()
    const start = performance.now()
    this.sum += runBatch(this.opened.engine, this.job, this.inputs, from, this.next, this.rows)
    this.lastMs = performance.now() - start
  }

  readonly runAsync = async (): Promise<void> => {
    const from = this.take()
    const start = performance.now()
    for (let i = from; i < this.next; i += this.rows) {
      this.sum += await runOne(this.opened.engine, this.job, this.inputs, i, this.rows)
    }
    this.lastMs = performance.now() - start
  }

  readonly noteGrowth = (): void => {
    const growths = this.opened.engine.observe()?.growths
    if (growths === undefined) return
    if (growths !== this.growths) this.growthBatches.push(this.lastMs)
    this.growths = growths
    this.batchMs.push(this.lastMs)
  }

  /** What batches in which the file grew took beyond a median one. Empty for engines that do not tell. */
  growthMetrics(operations: number): Figures {
    if (this.batchMs.length === 0) return {}
    const usual = median(this.batchMs)
    const extraMs = this.growthBatches.reduce((total, ms) => total + ms - usual, 0)
    return {
      growths: this.growthBatches.length,
      growthUsPerOperation: (extraMs * 1000) / operations,
      growthLongestMs: Math.max(0, ...this.growthBatches),
    }
  }

  private take(): number {
    const from = this.next
    const count = this.job.operationsPerBatch * this.rows
    this.next += count
    this.done += count
    if (this.next > this.inputs.keys.length) throw new Error('more batches than were prepared')
    return from
  }
}

/** One loop for each operation, so that each call site meets one method only. */
function runBatch(engine: Engine, job: MicroJob, inputs: Inputs, from: number, to: number, rows: number): number {
  const { keys, values } = inputs
  const limit = job.rows ?? 1
  let sum = 0
  switch (job.operation) {
    case 'put':
      for (let i = from; i < to; i++) sum += engine.put(keys[i], values[i])
      break
    case 'transaction':
      for (let i = from; i < to; i += rows) sum += engine.putMany(keys, values, i, i + rows)
      break
    case 'group':
      throw new Error('groups are asynchronous')
    case 'remove':
      for (let i = from; i < to; i++) sum += engine.remove(keys[i])
      break
    case 'view':
    case 'miss':
      for (let i = from; i < to; i++) sum += engine.view(keys[i])
      break
    case 'copy':
      for (let i = from; i < to; i++) sum += engine.copy(keys[i])
      break
    case 'decoded':
      for (let i = from; i < to; i++) sum += engine.decoded(keys[i])
      break
    case 'range':
      for (let i = from; i < to; i++) sum += engine.range(keys[i], limit)
      break
    case 'range-reverse':
      for (let i = from; i < to; i++) sum += engine.rangeReverse(keys[i], limit)
      break
  }
  return sum
}

function runOne(
  engine: OpenedEngine['engine'],
  job: MicroJob,
  { keys, values }: Inputs,
  i: number,
  rows: number,
): number | Promise<number> {
  const key = keys[i]
  const limit = job.rows ?? 1
  switch (job.operation) {
    case 'put':
      return engine.put(key, values[i])
    case 'transaction':
      return engine.putMany(keys, values, i, i + rows)
    case 'group':
      return engine.putTogether(keys, values, i, i + rows)
    case 'remove':
      return engine.remove(key)
    case 'view':
    case 'miss':
      return engine.view(key)
    case 'copy':
      return engine.copy(key)
    case 'decoded':
      return engine.decoded(key)
    case 'range':
      return engine.range(key, limit)
    case 'range-reverse':
      return engine.rangeReverse(key, limit)
  }
}

/** An engine that does not do the work must not win. */
function checkCount(job: MicroJob, before: number, after: number, operations: number): void {
  const change = job.operation === 'remove' ? -1 : isPut(job.operation) && job.target !== 'existing' ? 1 : 0
  if (after !== before + change * operations) {
    throw new Error(
      `${job.operation}: ${String(after)} entries after ${String(operations)} operations on ${String(before)}`,
    )
  }
}

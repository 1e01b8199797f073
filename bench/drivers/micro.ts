/**
 * Single operations, measured by tinybench in batches: the clock is read once a batch, because reading it costs as much as
 * a tenth of the cheapest operation here. Keys, values and their order are made before the clock starts.
 */
import { rmSync } from 'node:fs'
import { Bench } from 'tinybench'
import { KeyMaker, shuffledOrder, ValueMaker } from '../data.js'
import type { Engine, OpenedEngine } from '../engines/engine.js'
import type { EngineOpener } from '../engines/open-engine.js'
import type { Measurement, MicroJob, Operation } from '../jobs.js'
import { Clocks } from './clocks.js'
import { MeasuredPartProfiler } from './profiler.js'

export const RANGE_ROWS = 100
const ROUND_SEED = 0x20bd

interface Inputs {
  readonly keys: readonly string[]
  readonly values: readonly unknown[]
}

export async function micro(openEngine: EngineOpener, job: MicroJob): Promise<Measurement> {
  const intoEmpty = job.operation === 'put-into-empty'
  const warmupOperations = job.warmupBatches * job.operationsPerBatch
  const inputs = inputsOf(job, warmupOperations + job.batches * job.operationsPerBatch)
  if (intoEmpty) await warmUpElsewhere(openEngine, job, inputs, warmupOperations)

  const opened = await openEngine(job)
  const { engine } = opened
  const before = await engine.count()
  const profiler = new MeasuredPartProfiler(job.profileDir)
  const runner = new BatchRunner(opened, job, inputs, intoEmpty ? warmupOperations : 0)
  let clocks = new Clocks(opened.sync)
  let cpuMs = 0
  const bench = new Bench({
    iterations: job.batches,
    time: 0,
    warmup: !intoEmpty,
    warmupIterations: job.warmupBatches,
    warmupTime: 0,
    throws: true,
    setup: (_task, mode) => {
      if (mode !== 'run') return
      runner.sum = 0
      profiler.start()
      clocks = new Clocks(opened.sync)
    },
    teardown: (_task, mode) => {
      if (mode !== 'run') return
      cpuMs = clocks.elapsed().cpuMs
      profiler.stop(job.operation)
    },
  })
  if (opened.sync) bench.add(job.operation, runner.runSync, { async: false }).runSync()
  else await bench.add(job.operation, runner.runAsync, { async: true }).run()

  const result = bench.tasks[0].result
  if (result.state !== 'completed') throw new Error(`${job.operation}: ${result.state}`)
  checkCount(job, before, await engine.count(), runner.done)
  const description = engine.describe()
  await engine.close()
  const usPerBatchMs = 1000 / job.operationsPerBatch
  return {
    metrics: {
      usPerOperation: result.latency.mean * usPerBatchMs,
      cpuUsPerOperation: (cpuMs * usPerBatchMs) / job.batches,
      usPerOperationP50: result.latency.p50 * usPerBatchMs,
      usPerOperationP99: result.latency.p99 * usPerBatchMs,
    },
    checksum: runner.sum,
    ...(description === undefined ? {} : { notes: [description] }),
  }
}

class BatchRunner {
  sum = 0
  done = 0
  private next: number

  constructor(
    private readonly opened: OpenedEngine,
    private readonly job: MicroJob,
    private readonly inputs: Inputs,
    first: number,
  ) {
    this.next = first
  }

  readonly runSync = (): void => {
    if (!this.opened.sync) throw new Error('engine is asynchronous')
    const from = this.take()
    this.sum += runBatch(this.opened.engine, this.job.operation, this.inputs, from, from + this.job.operationsPerBatch)
  }

  readonly runAsync = async (): Promise<void> => {
    const from = this.take()
    for (let i = from; i < from + this.job.operationsPerBatch; i++) {
      this.sum += await runOne(this.opened.engine, this.job.operation, this.inputs, i)
    }
  }

  private take(): number {
    const from = this.next
    this.next += this.job.operationsPerBatch
    this.done += this.job.operationsPerBatch
    if (this.next > this.inputs.keys.length) throw new Error('more batches than were prepared')
    return from
  }
}

/** One loop for each operation, so that each call site meets one method only. */
function runBatch(engine: Engine, operation: Operation, inputs: Inputs, from: number, to: number): number {
  const { keys, values } = inputs
  let sum = 0
  switch (operation) {
    case 'put-into-empty':
    case 'put-new':
    case 'overwrite':
      for (let i = from; i < to; i++) sum += engine.put(keys[i], values[i])
      break
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
    case 'object':
      for (let i = from; i < to; i++) sum += engine.object(keys[i])
      break
    case 'range':
      for (let i = from; i < to; i++) sum += engine.range(keys[i], RANGE_ROWS)
      break
  }
  return sum
}

function runOne(
  engine: OpenedEngine['engine'],
  operation: Operation,
  { keys, values }: Inputs,
  i: number,
): number | Promise<number> {
  const key = keys[i]
  switch (operation) {
    case 'put-into-empty':
    case 'put-new':
    case 'overwrite':
      return engine.put(key, values[i])
    case 'remove':
      return engine.remove(key)
    case 'view':
    case 'miss':
      return engine.view(key)
    case 'copy':
      return engine.copy(key)
    case 'object':
      return engine.object(key)
    case 'range':
      return engine.range(key, RANGE_ROWS)
  }
}

function inputsOf(job: MicroJob, count: number): Inputs {
  const keyMaker = new KeyMaker(job.keys)
  const order = shuffledOrder(job.keys, ROUND_SEED + job.round)
  const isWrite = ['put-into-empty', 'put-new', 'overwrite'].includes(job.operation)
  const changesCount = isWrite || job.operation === 'remove'
  if (changesCount && count > job.keys) {
    throw new RangeError(`${job.operation}: ${String(count)} distinct keys asked of ${String(job.keys)}`)
  }
  const absent = job.operation === 'put-new' || job.operation === 'miss'
  const version = job.operation === 'overwrite' ? 1 + job.round : 0
  const valueMaker = new ValueMaker(job.values)
  const keys: string[] = []
  const values: unknown[] = []
  for (let i = 0; i < count; i++) {
    const index = order[i % job.keys]
    keys.push(absent ? keyMaker.missing(index) : keyMaker.present(index))
    if (isWrite) values.push(valueMaker.value(index, version))
  }
  return { keys, values }
}

/** An empty store cannot be warmed up and stay empty: another one is. */
async function warmUpElsewhere(
  openEngine: EngineOpener,
  job: MicroJob,
  { keys, values }: Inputs,
  count: number,
): Promise<void> {
  const path = `${job.path}.warmup${job.subject.engine === 'level' ? '' : '.mdb'}`
  const opened = await openEngine({ ...job, path })
  for (let i = 0; i < count; i++) {
    if (opened.sync) opened.engine.put(keys[i], values[i])
    else await opened.engine.put(keys[i], values[i])
  }
  await opened.engine.close()
  for (const suffix of ['', '-lock', '-wal', '-shm']) rmSync(path + suffix, { recursive: true, force: true })
}

/** An engine that does not do the work must not win. */
function checkCount(job: MicroJob, before: number, after: number, operations: number): void {
  const change = { 'put-into-empty': 1, 'put-new': 1, remove: -1 }[job.operation as string] ?? 0
  if (after !== before + change * operations) {
    throw new Error(
      `${job.operation}: ${String(after)} entries after ${String(operations)} operations on ${String(before)}`,
    )
  }
}

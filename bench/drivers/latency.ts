/**
 * The latency of every single durable put, in a histogram, with the times at which the file grew and checkpoints ended.
 * The clock is read around each put, which adds the same to every engine.
 */
import { build, type Histogram } from 'hdr-histogram-js'
import type { EngineOpener } from '../engines/open-engine.js'
import type { LatencyJob, LatencyProfile, Measurement, Metric } from '../jobs.js'
import { Clocks } from './clocks.js'
import { makeInputs, warmUpElsewhere } from './inputs.js'
import { writtenBytes } from './process-figures.js'

const PERCENTILES = [10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 100]
/** Stretches of time in the plot. */
const BUCKETS = 300
/** Commits on each side of a checkpoint's end that count as "during" it: also those that waited for one in another thread. */
const AROUND_CHECKPOINT = 16
/** A counter that changes in these puts says why they took long; asking costs a microsecond, which only slow puts can bear. */
const ASK_BEYOND_US = 50
const NANOSECONDS_PER_US = 1000

export async function latency(openEngine: EngineOpener, job: LatencyJob): Promise<Measurement> {
  const warmupOperations = job.target === 'empty' ? 0 : job.warmupOperations
  const inputs = makeInputs({ ...job, operation: 'put' }, warmupOperations + job.operations)
  await warmUpElsewhere(openEngine, job, 'put')
  const opened = await openEngine(job)
  const { engine } = opened
  const { keys, values } = inputs
  for (let i = 0; i < warmupOperations; i++) {
    if (opened.sync) opened.engine.put(keys[i], values[i])
    else await opened.engine.put(keys[i], values[i])
  }

  const us = new Float64Array(job.operations)
  const atMs = new Float64Array(job.operations)
  const growths: number[] = []
  const checkpoints: number[] = []
  let seen = engine.observe()
  const writtenBefore = writtenBytes()
  const clocks = new Clocks(opened.sync)
  const begin = performance.now()
  for (let i = 0; i < job.operations; i++) {
    const input = warmupOperations + i
    const start = performance.now()
    if (opened.sync) opened.engine.put(keys[input], values[input])
    else await opened.engine.put(keys[input], values[input])
    const end = performance.now()
    us[i] = (end - start) * 1000
    atMs[i] = end - begin
    if (seen !== undefined && us[i] > ASK_BEYOND_US) {
      const now = engine.observe()
      if (now !== undefined && now.growths !== seen.growths) growths.push(i)
      if (now !== undefined && now.checkpoints !== seen.checkpoints) checkpoints.push(i)
      seen = now
    }
  }
  const { wallMs, cpuMs } = clocks.elapsed()
  const written = writtenBytes()
  const after = engine.observe()
  await engine.close()
  const all = histogramOf(us)
  return {
    metrics: {
      usPerOperation: (wallMs * 1000) / job.operations,
      cpuUsPerOperation: (cpuMs * 1000) / job.operations,
      ...percentileMetrics('latency', all),
      ...(checkpoints.length === 0 ? {} : percentileMetrics('checkpoint', histogramOf(samplesAround(us, checkpoints)))),
      ...(after === undefined ? {} : { checkpoints: checkpoints.length, growths: growths.length }),
      ...(written === undefined || writtenBefore === undefined
        ? {}
        : { writtenBytesPerOperation: (written - writtenBefore) / job.operations }),
    },
    latency: profileOf(all, us, atMs, growths, checkpoints),
    ...(after === undefined ? {} : { notes: [after.description] }),
  }
}

function histogramOf(us: Float64Array): Histogram {
  const histogram = build({ bitBucketSize: 32, numberOfSignificantValueDigits: 3, autoResize: true })
  for (const value of us) histogram.recordValue(Math.max(1, Math.round(value * NANOSECONDS_PER_US)))
  return histogram
}

function percentileMetrics(what: 'latency' | 'checkpoint', histogram: Histogram): Partial<Record<Metric, number>> {
  const at = (percentile: number): number => histogram.getValueAtPercentile(percentile) / NANOSECONDS_PER_US
  return {
    [`${what}P50Us`]: at(50),
    [`${what}P99Us`]: at(99),
    ...(what === 'latency' ? { latencyP999Us: at(99.9) } : {}),
    [`${what}MaxUs`]: histogram.maxValue / NANOSECONDS_PER_US,
  }
}

/** The latencies of the puts next to any of the given ones, each once. */
export function samplesAround(us: Float64Array, places: readonly number[]): Float64Array {
  const chosen = new Set<number>()
  for (const place of places) {
    const to = Math.min(us.length - 1, place + AROUND_CHECKPOINT)
    for (let i = Math.max(0, place - AROUND_CHECKPOINT); i <= to; i++) chosen.add(i)
  }
  return Float64Array.from(chosen, (i) => us[i])
}

function profileOf(
  histogram: Histogram,
  us: Float64Array,
  atMs: Float64Array,
  growths: readonly number[],
  checkpoints: readonly number[],
): LatencyProfile {
  const lastMs = atMs.at(-1) ?? 0
  const longest = new Map<number, number>()
  for (let i = 0; i < us.length; i++) {
    const bucket = Math.min(BUCKETS - 1, Math.floor((atMs[i] / lastMs) * BUCKETS))
    longest.set(bucket, Math.max(longest.get(bucket) ?? 0, us[i]))
  }
  return {
    percentiles: PERCENTILES.map((percentile) => [
      percentile,
      rounded(histogram.getValueAtPercentile(percentile) / NANOSECONDS_PER_US),
    ]),
    timeline: [...longest]
      .sort(([a], [b]) => a - b)
      .map(([bucket, value]) => [rounded((bucket / BUCKETS) * lastMs), rounded(value)]),
    growthsAtMs: growths.map((i) => rounded(atMs[i])),
    checkpointsAtMs: checkpoints.map((i) => rounded(atMs[i])),
  }
}

/** Three decimals are more than the clock knows. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}

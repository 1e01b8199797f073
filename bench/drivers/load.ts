import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { KeyMaker, shuffledOrder, ValueMaker, type Key } from '../data.js'
import type { OpenedEngine } from '../engines/engine.js'
import type { EngineOpener } from '../engines/open-engine.js'
import type { LoadJob, Measurement } from '../jobs.js'
import { Clocks } from './clocks.js'
import { removeStore, warmUpPath } from './inputs.js'
import { peakMemoryMib } from './process-figures.js'
import { MeasuredPartProfiler } from './profiler.js'

/** `bench/native/driver.h` has the same. */
const ORDER_SEED = 0x10ad

/** Fills a store in transactions of a fixed size. Making keys and values is not part of the time. */
export async function load(openEngine: EngineOpener, job: LoadJob): Promise<Measurement> {
  if (job.warmupKeys > 0) {
    const path = warmUpPath(job.subject, job.path)
    const warm = await openEngine({ ...job, path })
    await fill(warm, { ...job, keys: job.warmupKeys })
    await warm.engine.close()
    removeStore(path)
  }
  const profiler = new MeasuredPartProfiler(job.profileDir)
  const opened = await openEngine(job)
  const { engine } = opened
  profiler.start()
  const { wallMs, cpuMs } = await fill(opened, job)
  profiler.stop(`load-${job.order}`)
  const count = await engine.count()
  if (count !== job.keys) throw new Error(`${String(count)} entries after loading ${String(job.keys)}`)
  const seen = engine.observe()
  await engine.close()
  return {
    metrics: {
      usPerRow: (wallMs * 1000) / job.keys,
      cpuUsPerRow: (cpuMs * 1000) / job.keys,
      fileBytesPerKey: sizeOf(job.path) / job.keys,
      peakMemoryMib: peakMemoryMib(),
      ...(seen === undefined ? {} : { usedBytesPerKey: seen.usedBytes / job.keys }),
    },
    ...(seen === undefined ? {} : { notes: [seen.description] }),
  }
}

async function fill(opened: OpenedEngine, job: LoadJob): Promise<{ wallMs: number; cpuMs: number }> {
  const keyMaker = new KeyMaker(job.keys, job.keyKind)
  const valueMaker = new ValueMaker(job.values, job.valueBytes)
  const order = job.order === 'random' ? shuffledOrder(job.keys, ORDER_SEED) : undefined
  const total = { wallMs: 0, cpuMs: 0 }
  for (let from = 0; from < job.keys; from += job.perTransaction) {
    const keys: Key[] = []
    const values: unknown[] = []
    const to = Math.min(from + job.perTransaction, job.keys)
    for (let i = from; i < to; i++) {
      const index = order === undefined ? i : order[i]
      keys.push(keyMaker.present(index))
      values.push(valueMaker.value(index))
    }
    const clocks = new Clocks(opened.sync)
    if (opened.sync) opened.engine.putMany(keys, values, 0, keys.length)
    else await opened.engine.putMany(keys, values, 0, keys.length)
    const { wallMs, cpuMs } = clocks.elapsed()
    total.wallMs += wallMs
    total.cpuMs += cpuMs
  }
  return total
}

/** Bytes of a file, or of all files in a directory. */
export function sizeOf(path: string): number {
  const stats = statSync(path)
  if (!stats.isDirectory()) return stats.size
  return readdirSync(path).reduce((total, name) => total + sizeOf(join(path, name)), 0)
}

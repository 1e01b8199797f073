import { Bench } from 'tinybench'
import type { Engine } from '../engines/engine.js'
import type { EngineOpener } from '../engines/open-engine.js'
import type { Measurement, Pass, PassJob } from '../jobs.js'
import { Clocks } from './clocks.js'
import { MeasuredPartProfiler } from './profiler.js'

/** Reads everything, several times; the first pass is for warming up. */
export async function pass(openEngine: EngineOpener, job: PassJob): Promise<Measurement> {
  const opened = await openEngine(job)
  const profiler = new MeasuredPartProfiler(job.profileDir)
  let checksum = 0
  let clocks = new Clocks(opened.sync)
  let cpuMs = 0
  const bench = new Bench({
    iterations: job.repeats,
    time: 0,
    warmupIterations: 1,
    warmupTime: 0,
    throws: true,
    setup: (_task, mode) => {
      if (mode !== 'run') return
      profiler.start()
      clocks = new Clocks(opened.sync)
    },
    teardown: (_task, mode) => {
      if (mode !== 'run') return
      cpuMs = clocks.elapsed().cpuMs
      profiler.stop(job.pass)
    },
  })
  if (opened.sync) {
    const { engine: syncEngine } = opened
    const once = (): void => {
      checksum = runPass(syncEngine, job.pass)
    }
    bench.add(job.pass, once, { async: false }).runSync()
  } else {
    const { engine: asyncEngine } = opened
    const once = async (): Promise<void> => {
      checksum = await runPass(asyncEngine, job.pass)
    }
    await bench.add(job.pass, once, { async: true }).run()
  }
  const result = bench.tasks[0].result
  if (result.state !== 'completed') throw new Error(`${job.pass}: ${result.state}`)
  await opened.engine.close()
  const usPerPassMs = 1000 / job.keys
  return {
    metrics: { usPerRow: result.latency.mean * usPerPassMs, cpuUsPerRow: (cpuMs * usPerPassMs) / job.repeats },
    checksum,
  }
}

function runPass<R extends number | Promise<number>>(engine: Engine<R>, which: Pass): R {
  switch (which) {
    case 'scan':
      return engine.scan()
    case 'scan-reverse':
      return engine.scanReverse()
    case 'each-row':
      return engine.eachRow()
    case 'rows':
      return engine.rows()
  }
}

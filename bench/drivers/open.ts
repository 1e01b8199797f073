import { KeyMaker, mix, ValueMaker, type Key } from '../data.js'
import { MISS } from '../engines/engine.js'
import type { EngineOpener } from '../engines/open-engine.js'
import type { CrashJob, Measurement, OpenJob } from '../jobs.js'
import { Clocks } from './clocks.js'
import { MeasuredPartProfiler } from './profiler.js'

const PICK_SEED = 0x09e4

/** Opens a filled store and reads one key; the engine's code is loaded already, nothing of it has run. */
export async function openAndGet(openEngine: EngineOpener, job: OpenJob): Promise<Measurement> {
  // Put number 1 of `writeUntilKilled` is the first whose key is a present one.
  const random = job.afterPuts === undefined ? mix(job.round, PICK_SEED) : mix(1, PICK_SEED + job.round)
  const key = new KeyMaker(job.keys, job.keyKind).present(random % job.keys)
  const profiler = new MeasuredPartProfiler(job.profileDir)
  profiler.start()
  const clocks = new Clocks(job.subject.engine !== 'level')
  const opened = await openEngine(job)
  const found = await opened.engine.view(key)
  const { wallMs, cpuMs } = clocks.elapsed()
  profiler.stop('open')
  if (found === MISS) throw new Error(`${String(key)} is gone`)
  await opened.engine.close()
  return { metrics: { openMs: wallMs, openCpuMs: cpuMs } }
}

const WRITES_PER_TURN = 50

/**
 * Overwrites and inserts until the parent kills the process (`ready` is called once writing goes on), or, where the job
 * names a number of puts, until this process kills itself after exactly so many.
 */
export async function writeUntilKilled(openEngine: EngineOpener, job: CrashJob, ready: () => void): Promise<never> {
  const keyMaker = new KeyMaker(job.keys, job.keyKind)
  const valueMaker = new ValueMaker(job.values, job.valueBytes)
  const keyOf = (written: number): [Key, unknown] => {
    const index = mix(written, PICK_SEED + job.round) % job.keys
    const key = written % 4 === 0 ? keyMaker.missing(index) : keyMaker.present(index)
    return [key, valueMaker.value(index, 1)]
  }
  const opened = await openEngine(job)
  if (job.puts !== undefined) {
    // Without a pause: an idle store would checkpoint.
    for (let written = 0; written < job.puts; written++) {
      if (opened.sync) opened.engine.put(...keyOf(written))
      else await opened.engine.put(...keyOf(written))
    }
    process.kill(process.pid, 'SIGKILL')
  }
  for (let written = 0; ; written++) {
    if (opened.sync) opened.engine.put(...keyOf(written))
    else await opened.engine.put(...keyOf(written))
    if (written === WRITES_PER_TURN) ready()
    // Lets the message leave the process.
    if (written % WRITES_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

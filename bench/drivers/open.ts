import { KeyMaker, mix, ValueMaker } from '../data.js'
import { MISS } from '../engines/engine.js'
import type { EngineOpener } from '../engines/open-engine.js'
import type { CrashJob, Measurement, OpenJob } from '../jobs.js'
import { Clocks } from './clocks.js'
import { MeasuredPartProfiler } from './profiler.js'

const PICK_SEED = 0x09e4

/** Opens a filled store and reads one key; the engine's code is loaded already, nothing of it has run. */
export async function openAndGet(openEngine: EngineOpener, job: OpenJob): Promise<Measurement> {
  const key = new KeyMaker(job.keys).present(mix(job.round, PICK_SEED) % job.keys)
  const profiler = new MeasuredPartProfiler(job.profileDir)
  profiler.start()
  const clocks = new Clocks(job.subject.engine !== 'level')
  const opened = await openEngine(job)
  const found = await opened.engine.view(key)
  const { wallMs, cpuMs } = clocks.elapsed()
  profiler.stop('open')
  if (found === MISS) throw new Error(`${key} is gone`)
  await opened.engine.close()
  return { metrics: { openMs: wallMs, openCpuMs: cpuMs } }
}

const WRITES_PER_TURN = 50

/** Overwrites and inserts until the parent kills the process. `ready` is called once writing goes on. */
export async function writeUntilKilled(openEngine: EngineOpener, job: CrashJob, ready: () => void): Promise<never> {
  const keyMaker = new KeyMaker(job.keys)
  const valueMaker = new ValueMaker(job.values)
  const opened = await openEngine(job)
  for (let written = 0; ; written++) {
    const index = mix(written, PICK_SEED + job.round) % job.keys
    const key = written % 4 === 0 ? keyMaker.missing(index) : keyMaker.present(index)
    if (opened.sync) opened.engine.put(key, valueMaker.value(index, 1))
    else await opened.engine.put(key, valueMaker.value(index, 1))
    if (written === WRITES_PER_TURN) ready()
    // Lets the message leave the process.
    if (written % WRITES_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

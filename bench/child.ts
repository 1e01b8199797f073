/** One measurement in a process of its own: takes one job from the parent, answers, ends. */
import { floor } from './drivers/floor.js'
import { latency } from './drivers/latency.js'
import { load } from './drivers/load.js'
import { micro } from './drivers/micro.js'
import { openAndGet, writeUntilKilled } from './drivers/open.js'
import { pass } from './drivers/pass.js'
import { ycsb } from './drivers/ycsb.js'
import { loadEngine } from './engines/open-engine.js'
import type { ChildMessage, Job, Measurement } from './jobs.js'
import { Unavailable } from './unavailable.js'

async function measure(job: Job): Promise<Measurement> {
  if (job.kind === 'floor') return floor(job)
  const openEngine = await loadEngine(job.subject.engine)
  switch (job.kind) {
    case 'load':
      return load(openEngine, job)
    case 'micro':
      return micro(openEngine, job)
    case 'pass':
      return pass(openEngine, job)
    case 'ycsb':
      return ycsb(openEngine, job)
    case 'latency':
      return latency(openEngine, job)
    case 'open':
      return openAndGet(openEngine, job)
    case 'crash':
      return writeUntilKilled(openEngine, job, () => {
        tell({ type: 'ready' })
      })
  }
}

function tell(message: ChildMessage): void {
  process.send?.(message)
}

function failure(error: unknown): ChildMessage {
  if (error instanceof Unavailable) return { type: 'unavailable', reason: error.message }
  return { type: 'failed', error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
}

// A run that was broken off leaves nobody to answer to.
process.once('disconnect', () => process.exit())

process.once('message', (job: Job) => {
  measure(job)
    .then(
      (measurement) => {
        tell({ type: 'done', measurement })
      },
      (error: unknown) => {
        tell(failure(error))
      },
    )
    .finally(() => {
      process.disconnect()
    })
})

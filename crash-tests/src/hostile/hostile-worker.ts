/**
 * Judges a range of hostile images; a process of its own, so that a native crash or an endless loop ends nothing else.
 *
 *     node hostile-worker.mjs '{"seed":1,"from":0,"to":1000,"step":2,"position":FILE,"file":POOL}'
 *
 * The number of the image being judged stands in the position file; results go to standard output, one JSON line at the end.
 */
import { openSync, writeFileSync, writeSync } from 'node:fs'
import { ready } from '../../../src/pmem/xxh64.js'
import { Campaign, HostileFailure } from './campaign.js'
import type { WorkerTask, WorkerResult } from './supervisor.js'
import { limitVisits, mostVisits } from './visit-limit.js'

const task = JSON.parse(process.argv[2]) as WorkerTask // written by the supervisor
await ready
limitVisits()
const campaign = new Campaign(task.seed, task.file)
const position = openSync(task.position, 'w')
const line = Buffer.alloc(16)
const verdicts: Record<string, number> = {}
const mutations: Record<string, number> = {}
let failure: WorkerResult['failure']

for (let image = task.from; image < task.to && failure === undefined; image += task.step) {
  line.fill(' ')
  line.write(String(image))
  writeSync(position, line, 0, line.length, 0)
  try {
    const outcome = campaign.run(image)
    verdicts[outcome.verdict] = (verdicts[outcome.verdict] ?? 0) + 1
    for (const name of outcome.mutations) mutations[name] = (mutations[name] ?? 0) + 1
  } catch (error) {
    if (!(error instanceof HostileFailure)) throw error
    if (task.keep !== undefined) writeFileSync(task.keep, error.bytes)
    failure = { image, message: error.message }
  }
}
const result: WorkerResult = {
  verdicts,
  mutations,
  mostVisits: mostVisits(),
  ...(failure === undefined ? {} : { failure }),
}
writeSync(1, `${JSON.stringify(result)}\n`)

/**
 * The victim of the kill tests. It loads everything, says `ready`, reads one job (kill-job.ts, a line of JSON) from its
 * standard input and works on a pool until it is killed or ends itself at the point the job names.
 *
 * Each line it writes begins with the time (ns, the same clock for all processes) and a word:
 *
 *     open DIGEST      the pool is open and holds this
 *     try DIGEST       a transaction that leads to this content is about to commit
 *     ack DIGEST       everything up to this content has been acknowledged
 *     refused          the last one tried was refused and changed nothing
 *     locked           somebody else has the pool; it tries again
 *     at PLACE         the point is armed from here on
 */
import { readSync, writeSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { DaxkvError } from '../../src/errors.js'
import { ready } from '../../src/pmem/xxh64.js'
import { Engine } from '../../src/tx/engine.js'
import { setFault } from './faults.js'
import { killEngineOptions } from './kill-job.js'
import type { KillJob, KillPlace } from './kill-job.js'
import { Random } from './random.js'
import { Workload } from './workload.js'
import type { CommitKind } from './workload.js'

const say = (line: string): void => void writeSync(1, `${process.hrtime.bigint()} ${line}\n`)

function readJob(): KillJob {
  const buffer = Buffer.alloc(4096)
  let text = ''
  while (!text.includes('\n')) {
    const length = readSync(0, buffer)
    if (length === 0) process.exit(0) // not needed any more
    text += buffer.toString('latin1', 0, length)
  }
  return JSON.parse(text) as KillJob
}

await ready
say('ready')
const { path, seed, mode, options, point } = readJob()
const random = new Random(seed)
const engineOptions = killEngineOptions(options)

/** From here on calls are counted for the point, if this is its place. */
function at(...places: readonly KillPlace[]): void {
  if (point === undefined || !places.includes(point.place)) return
  say(`at ${point.place}`)
  setFault(point.rule)
}

function commitKind(engine: Engine): CommitKind {
  if (mode === 'relaxed') return 'relaxed'
  return mode === 'async' && engine.collects ? 'group' : 'sync'
}

function openOnceUnlocked(): Engine {
  for (let said = false; ;) {
    try {
      return Engine.open(path, engineOptions)
    } catch (error) {
      if (!(error instanceof DaxkvError) || error.code !== 'POOL_LOCKED') throw error
      if (!said) say('locked')
      said = true
    }
  }
}

for (;;) {
  at('create', 'open')
  const engine = openOnceUnlocked()
  let tried = ''
  let queued: Promise<void>[] = []
  const acknowledge = (digest: string): void => say(`ack ${digest}`)
  const workload = new Workload(
    { engine },
    {
      random,
      commitAs: () => (random.below(4) === 0 ? 'sync' : commitKind(engine)),
      hooks: {
        beforeCommit: (digest) => {
          tried = digest
          say(`try ${digest}`)
        },
        acknowledged: acknowledge,
        relaxed: () => acknowledge(tried),
        queued: (promise) => {
          const digest = tried
          queued.push(promise.then(() => acknowledge(digest)))
        },
        refused: () => say('refused'),
      },
    },
  )
  say(`open ${workload.model.digest}`)
  at('work', 'growth')
  if (point?.place === 'growth') workload.step('manyPages')
  for (let step = 5 + random.below(40); step > 0; step--) {
    workload.step()
    // Between the turns of the event loop groups are made, barriers end and promises resolve.
    if (mode === 'async' && random.below(12) === 0) await Promise.all(queued)
    else if (mode !== 'sync' && random.below(3) === 0) await setImmediate()
    if (random.below(16) !== 0) continue
    at('checkpoint')
    engine.checkpoint()
  }
  await Promise.all(queued)
  queued = []
  at('close')
  engine.close()
}

/**
 * The victim of the kill tests: works on a pool until it is killed, and says on its standard output what it is about to
 * commit and what was acknowledged.
 *
 *     node kill-writer.mjs POOL SEED GRANULARITY LOGGING
 */
import { writeSync } from 'node:fs'
import type { Granularity } from '../../src/pmem/persistent-memory.js'
import { ready } from '../../src/pmem/xxh64.js'
import { Engine } from '../../src/tx/engine.js'
import type { Logging } from '../../src/tx/committer.js'
import { killTestOptions } from './kill-options.js'
import { Random } from './random.js'
import { Workload } from './workload.js'

const [path, seed, granularity, logging] = process.argv.slice(2)
await ready
const random = new Random(Number(seed))
const options = killTestOptions(granularity as Granularity, logging as Logging) // checked by the parent, who chose them
const say = (line: string): void => void writeSync(1, `${line}\n`)

for (;;) {
  const engine = Engine.open(path, options)
  const workload = new Workload(
    { engine },
    {
      random,
      hooks: {
        beforeCommit: (digest) => say(`try ${digest}`),
        acknowledged: (digest) => say(`ack ${digest}`),
      },
    },
  )
  say(`ack ${workload.model.digest}`)
  for (let step = 20 + random.below(60); step > 0; step--) workload.step()
  engine.close()
}

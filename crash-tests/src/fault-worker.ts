/**
 * Runs the fault cases in a process of their own, which a defect may end: each case is named before it is run.
 *
 *     node fault-worker.mjs DIRECTORY AMOUNT SEED [CASE]
 */
import { writeSync } from 'node:fs'
import { ready } from '../../src/pmem/xxh64.js'
import type { Amount } from './amounts.js'
import { runFaults } from './fault-runner.js'

const [directory, amount, seed, only = ''] = process.argv.slice(2)
const say = (word: string, value: unknown): void => void writeSync(1, `${word} ${JSON.stringify(value)}\n`)

await ready
await runFaults({
  directory,
  amount: amount as Amount, // from the parent, which has checked it
  seed: Number(seed),
  only,
  before: (name) => say('case', name),
  failed: (name, error, path) =>
    say('failure', { name, path, message: error instanceof Error ? withCauses(error) : String(error) }),
  after: (row) => say('row', row),
})

// Engines that were abandoned like those of a dead process still have their timers.
process.exit()

function withCauses(error: Error): string {
  const text = error.stack ?? error.message
  return error.cause instanceof Error ? `${text}\ncaused by ${withCauses(error.cause)}` : text
}

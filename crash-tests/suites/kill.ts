import { mkdtempSync, rmSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Granularity } from '../../src/pmem/persistent-memory.js'
import type { Logging } from '../../src/tx/committer.js'
import { bundle } from '../src/bundle.js'
import { killCycles } from '../src/kill-cycles.js'
import { Random } from '../src/random.js'
import type { SuiteOptions, SuiteRow } from './suite.js'

const KINDS: readonly { readonly granularity: Granularity; readonly logging: Logging }[] = [
  { granularity: 'cache-line', logging: 'undo' },
  { granularity: 'page', logging: 'redo' },
  { granularity: 'page', logging: 'undo' },
]
/** Of each kind, in each directory. */
const CYCLES = { quick: 7, full: 40, long: Infinity }
const ROUND = 50

/** Real processes, real files: writers killed at random times, on tmpfs and on the file system of the temporary directory. */
export async function* kill({ amount, seed, progress }: SuiteOptions): AsyncGenerator<SuiteRow> {
  const writer = await bundle('kill-writer.ts', 'kill-writer')
  const directories = ['/dev/shm', tmpdir()].map((parent) => mkdtempSync(join(parent, 'daxkv-kill-')))
  try {
    for (let round = 0; round * ROUND < CYCLES[amount]; round++) {
      for (const directory of directories) {
        for (const { granularity, logging } of KINDS) {
          const cycles = Math.min(ROUND, CYCLES[amount] - round * ROUND)
          const random = new Random(seed + round)
          const name = `kill, ${granularity}, ${logging}, ${directory.startsWith('/dev/shm') ? 'tmpfs' : 'temporary directory'}`
          let done = 0
          const report = (): void => progress?.(`${name}: ${++done} of ${cycles} kills`)
          const counts = await killCycles({ writer, directory, granularity, logging, cycles, random, progress: report })
          const outcomes = [...counts.outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', ')
          yield { name, result: `${counts.cycles} kills, ${counts.acknowledged} acknowledged, ${outcomes}` }
        }
      }
    }
  } finally {
    unlinkSync(writer)
    for (const directory of directories) rmSync(directory, { recursive: true, force: true })
  }
}

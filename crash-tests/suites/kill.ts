import { mkdtempSync, rmSync, statfsSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundle } from '../src/bundle.js'
import { killCycles, KillViolation } from '../src/kill-cycles.js'
import { Writers } from '../src/kill-process.js'
import { Random } from '../src/random.js'
import { buildTestAddon, withAddon } from '../src/test-addon.js'
import { isMine } from './suite.js'
import type { SuiteOptions, SuiteRow } from './suite.js'

/** In memory and on a disk; one shard each. */
const PARENTS = ['/dev/shm', tmpdir()]
/** In each directory. */
const CYCLES = { quick: 20, full: 260, long: Infinity }
const ROUND = 65
/** Warm processes kept in reserve. */
const RESERVE = 2

/** Real processes, real files: writers killed at random times and at named points, on a disk and in memory. */
export async function* kill({ amount, seed, progress, shard }: SuiteOptions): AsyncGenerator<SuiteRow> {
  const addon = buildTestAddon()
  const points = 'path' in addon
  if (!points) yield { name: 'kill, at named points', result: `SKIPPED: ${addon.missing}` }
  const writer = await bundle('kill-writer.ts', 'kill-writer', points ? [withAddon(addon.path)] : [])
  const writers = new Writers(writer, RESERVE)
  const mine = PARENTS.filter((_, number) => isMine(number, shard))
  const directories = mine.map((parent) => mkdtempSync(join(parent, 'daxkv-kill-')))
  try {
    for (let round = 0; round * ROUND < CYCLES[amount]; round++) {
      for (const directory of directories) {
        const cycles = Math.min(ROUND, CYCLES[amount] - round * ROUND)
        const name = `kill, ${fileSystem(directory)}, round ${round + 1}`
        let done = 0
        const counts = await killCycles({
          writers,
          directory,
          cycles,
          points,
          random: new Random(seed + round),
          progress: () => progress?.(`${name}: ${++done} of ${cycles} kills`),
        })
        const result = `${counts.cycles} kills (${list(counts.ends)}; ${list(counts.modes)}), ${counts.acknowledged} acknowledged, recovered: ${list(counts.outcomes)}`
        yield { name, result, figures: { kills: counts.cycles, acknowledged: counts.acknowledged } }
      }
    }
    for (const directory of directories) rmSync(directory, { recursive: true })
  } catch (error) {
    // The directories stay: the pool is evidence.
    throw error instanceof KillViolation ? explained(error) : error
  } finally {
    writers.close()
    unlinkSync(writer)
  }
}

function list(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([what, count]) => `${what} ${count}`).join(', ')
}

const FILE_SYSTEMS = new Map([
  [0xef53, 'ext4'],
  [0x01021994, 'tmpfs'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x794c7630, 'overlayfs'],
])

function fileSystem(directory: string): string {
  const { type } = statfsSync(directory)
  return FILE_SYSTEMS.get(type) ?? `file system 0x${type.toString(16)}`
}

function explained(error: KillViolation): Error {
  const again = `npm run crash-tests:replay -- --pool ${error.pool} --allowed ${error.allowed.join(',')}`
  return new Error(`${error.message}\npool before it was opened: ${error.pool}\nonce more: ${again}`, {
    cause: error.cause,
  })
}

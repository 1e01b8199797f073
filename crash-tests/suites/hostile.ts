import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isNativeAvailable } from '../../src/pmem/native-binding.js'
import { bundle } from '../src/bundle.js'
import { makeSmallPool } from '../src/hostile/base-pools.js'
import { type FlipCounts, flipPage, samplePages } from '../src/hostile/flips.js'
import { HOSTILE_MUTANTS } from '../src/hostile/hostile-mutants.js'
import { runOperands } from '../src/hostile/operand-runs.js'
import { type Replay, runCampaign } from '../src/hostile/supervisor.js'
import { patching } from '../src/source-mutants.js'
import type { SuiteOptions, SuiteRow } from './suite.js'

const IMAGES = { quick: 3_000, full: 101_000, long: 110_000 }
const FILES = { quick: 200, full: 4_000, long: 4_000 }
const PROGRAMS = { quick: 6_000, full: 150_000, long: 150_000 }
/** Every so many bits; which ones follows from the seed. */
const FLIP_STRIDE = { quick: 101, full: 1, long: 1 }
/** Most mutants are noticed within some hundred. */
const MUTANT_IMAGES = 20_000

/**
 * Damaged and forged pool files, in simulated memory and as real files: each gives an error or correct data, never another
 * exception, a crash, a walk without end or a value nobody has stored. Then every single bit of a small pool, and persist
 * programs with hostile operands.
 */
export async function* hostile(options: SuiteOptions): AsyncGenerator<SuiteRow> {
  const worker = await bundle('hostile/hostile-worker.ts', 'hostile-worker')
  const operandWorker = await bundle('hostile/operand-worker.ts', 'operand-worker')
  const directory = makeDirectory()
  try {
    yield* mutants(options, directory)
    yield* attacks(options, worker, operandWorker, directory)
    rmSync(directory, { recursive: true })
  } finally {
    unlinkSync(worker)
    unlinkSync(operandWorker)
    removeIfEmpty(directory)
  }
}

function makeDirectory(): string {
  return mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'daxkv-hostile-'))
}

async function* attacks(
  { amount, seed, progress }: SuiteOptions,
  worker: string,
  operandWorker: string,
  directory: string,
): AsyncGenerator<SuiteRow> {
  const hasNative = isNativeAvailable()
  for (const native of hasNative ? [false, true] : [false]) {
    const images = (native ? FILES : IMAGES)[amount]
    const name = `hostile, ${native ? 'files' : 'memory'}, seed ${seed}`
    const report = (judged: number): void => progress?.(`${name}: ${judged} of ${images} images`)
    const counts = await runCampaign({ worker, seed, from: 0, images, native, directory, progress: report })
    const verdicts = [...counts.verdicts].map(([verdict, count]) => `${verdict} ${count}`).join(', ')
    yield { name, result: `${images} images of ${counts.mutations.size} kinds of damage: ${verdicts}`, images }
  }
  yield flips({ amount, seed, ...(progress === undefined ? {} : { progress }) })
  const name = `hostile, programs, seed ${seed}`
  if (hasNative) {
    progress?.(name)
    const { accepted, refused } = runOperands({ worker: operandWorker, seed, programs: PROGRAMS[amount], directory })
    yield { name, result: `${accepted} run alike by both executors, ${refused} refused by both` }
  } else {
    yield { name, result: 'skipped: the addon is not built' }
  }
}

/** Turns checks against damage off one by one: what the campaign does not notice, it would not have proven. */
async function* mutants({ amount, seed, progress }: SuiteOptions, directory: string): AsyncGenerator<SuiteRow> {
  if (amount === 'quick') return
  for (const { name, patches } of HOSTILE_MUTANTS) {
    progress?.(`hostile mutant: ${name}`)
    const worker = await bundle('hostile/hostile-worker.ts', 'hostile-mutant', [patching(patches)])
    let caught: string | undefined
    try {
      await runCampaign({ worker, seed, from: 0, images: MUTANT_IMAGES, native: false, directory })
    } catch (error) {
      caught = String(error)
    } finally {
      unlinkSync(worker)
      for (const file of readdirSync(directory)) rmSync(join(directory, file))
    }
    if (caught === undefined) throw new Error(`"${name}" survived ${MUTANT_IMAGES} hostile images`)
    yield { name: `hostile mutant: ${name}`, result: caught.split('\n')[0].slice(0, 300) }
  }
}

function flips({ amount, seed, progress }: SuiteOptions): SuiteRow {
  const pool = makeSmallPool(seed)
  const counts: FlipCounts = { flipped: 0, found: 0, refused: 0, healed: 0, ignored: new Map() }
  for (const page of samplePages(pool)) {
    progress?.(`every bit of page ${page}`)
    flipPage(pool, page, FLIP_STRIDE[amount], seed, counts)
  }
  const { flipped, found, refused, healed } = counts
  const ignored = [...counts.ignored].map(([name, count]) => `${count} in ${name}`).join(', ')
  return {
    name: `hostile, single bits, seed ${seed}`,
    result: `${flipped} flips: ${found} found by check, ${refused} refused, ${healed} healed; without meaning: ${ignored}`,
    images: flipped,
  }
}

/** Judges the image of a replay file again and returns an exit code; undefined when the file is of another suite. */
export async function replayHostile(file: string): Promise<number | undefined> {
  const { suite, seed, image, native } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Replay>
  if (suite !== 'hostile' || seed === undefined || image === undefined) return undefined
  const worker = await bundle('hostile/hostile-worker.ts', 'hostile-worker')
  const directory = makeDirectory()
  try {
    const { verdicts } = await runCampaign({ worker, seed, from: image, images: 1, native: native === true, directory })
    console.log(`image ${image} of seed ${seed}: ${[...verdicts.keys()].join()}`)
    rmSync(directory, { recursive: true })
    return 0
  } catch (error) {
    console.error(`still wrong: ${error instanceof Error ? error.message : String(error)}`)
    return 1
  } finally {
    unlinkSync(worker)
  }
}

/** After a failure the directory holds what is needed to see it again. */
function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory)
  } catch {
    // Not empty, or gone already.
  }
}

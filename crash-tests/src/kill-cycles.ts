import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Granularity } from '../../src/pmem/persistent-memory.js'
import { Geometry } from '../../src/pool/geometry.js'
import type { Logging } from '../../src/tx/committer.js'
import { Engine } from '../../src/tx/engine.js'
import { readContent } from './content.js'
import { KILL_LOG_PAGES, KILL_SEGMENT_SHIFT, killTestOptions } from './kill-options.js'
import type { Random } from './random.js'

export interface KillOptions {
  /** Bundle of kill-writer.ts. */
  readonly writer: string
  readonly directory: string
  readonly granularity: Granularity
  readonly logging: Logging
  readonly cycles: number
  readonly random: Random
  readonly progress?: () => void
}

export interface KillCounts {
  cycles: number
  /** Transactions acknowledged by writers that were then killed. */
  acknowledged: number
  /** Recoveries by outcome. */
  readonly outcomes: Map<string, number>
}

/** Kills writers at random times and opens what they leave. Throws at the first pool that is not what it must be. */
export async function killCycles(options: KillOptions): Promise<KillCounts> {
  const { random, granularity, logging } = options
  const counts: KillCounts = { cycles: 0, acknowledged: 0, outcomes: new Map() }
  const path = join(options.directory, `kill-${process.pid}-${granularity}-${logging}.pool`)
  let before: string | undefined
  try {
    for (let cycle = 0; cycle < options.cycles; cycle++) {
      const seed = random.word()
      const where = `cycle ${cycle}, seed ${seed}, ${granularity}, ${logging}, ${options.directory}`
      // Mostly while it works, sometimes while it starts.
      const wait = random.below(4) === 0 ? { start: 40 + random.below(80) } : { work: random.below(120) }
      const lines = await runVictim([options.writer, path, String(seed), granularity, logging], wait)
      const allowed = allowedDigests(lines, before)
      before = verify(path, options, allowed, where, counts)
      counts.cycles++
      counts.acknowledged += lines.filter((line) => line.startsWith('ack')).length
      options.progress?.()
    }
  } finally {
    rmSync(path, { force: true })
  }
  return counts
}

/** Runs a writer and kills it; returns the whole lines it has written. */
function runVictim(parameters: string[], wait: { start?: number; work?: number }): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, parameters, { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let errors = ''
    let timer: NodeJS.Timeout | undefined
    const killAfter = (delayMs: number): void => {
      timer ??= setTimeout(() => child.kill('SIGKILL'), delayMs)
    }
    if (wait.start !== undefined) killAfter(wait.start)
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      output += text
      if (wait.work !== undefined) killAfter(wait.work)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      if (signal === 'SIGKILL') resolve(output.split('\n').slice(0, -1))
      else reject(new Error(`the writer ended by itself (${code ?? signal ?? ''}): ${errors}`))
    })
  })
}

/** The last content acknowledged, and the one of a commit that had begun since. */
function allowedDigests(lines: readonly string[], before: string | undefined): (string | undefined)[] {
  let acknowledged = before
  let tried: string | undefined
  for (const line of lines) {
    const [word, digest] = line.split(' ')
    tried = word === 'try' ? digest : undefined
    if (word === 'ack') acknowledged = digest
  }
  return tried === undefined ? [acknowledged] : [acknowledged, tried]
}

function verify(
  path: string,
  options: KillOptions,
  allowed: readonly (string | undefined)[],
  where: string,
  counts: KillCounts,
): string {
  // The lock of the dead must be gone; a writer killed before it had made the pool leaves none.
  const engine = Engine.open(path, killTestOptions(options.granularity, options.logging))
  const { outcome } = engine.recovery
  counts.outcomes.set(outcome, (counts.outcomes.get(outcome) ?? 0) + 1)
  try {
    const { digest } = readContent(engine.memory, new Geometry(KILL_SEGMENT_SHIFT, KILL_LOG_PAGES))
    const first = allowed[0] === undefined
    if (!first && !allowed.includes(digest)) {
      throw new Error(`the pool holds neither what was acknowledged nor what was being committed`)
    }
    return digest
  } catch (error) {
    throw new Error(`${where}, recovery: ${outcome}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  } finally {
    // Left as another dead process would leave it: the next writer recovers again.
    if (options.random.below(2) === 0) engine.close()
    else engine.memory.close()
  }
}

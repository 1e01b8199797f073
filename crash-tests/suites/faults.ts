import { mkdtempSync, rmSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundle } from '../src/bundle.js'
import { runFaultProcess } from '../src/fault-process.js'
import type { FaultFailure } from '../src/fault-process.js'
import type { FaultRow } from '../src/fault-runner.js'
import { buildTestAddon, withAddon } from '../src/test-addon.js'
import { isMine } from './suite.js'
import type { SuiteOptions, SuiteRow } from './suite.js'

/** In memory where there is such a directory: what a disk does takes time and changes nothing about the calls. */
const PARENTS = ['/dev/shm', tmpdir()]
/** One process each, and one shard. */
const KINDS = ['page redo', 'page undo', 'cache-line undo', 'cache-line redo']

/**
 * Every system call and file function that opening, creating, recovering, growing, committing, checkpointing and closing
 * make fails in turn, once and for ever; reads and writes do half of their work.
 */
export async function* faults({ amount, seed, progress, shard }: SuiteOptions): AsyncGenerator<SuiteRow> {
  const addon = buildTestAddon()
  if ('missing' in addon) {
    yield { name: 'faults', result: `SKIPPED: ${addon.missing}` }
    return
  }
  const worker = await bundle('fault-worker.ts', 'fault-worker', [withAddon(addon.path)])
  try {
    for (let round = 0; round < (amount === 'long' ? Infinity : 1); round++) {
      for (const kind of KINDS.filter((_, number) => isMine(number, shard))) {
        const rows: FaultRow[] = []
        const directory = makeDirectory()
        const failures = await runFaultProcess({
          worker,
          directory,
          amount: amount === 'long' ? 'full' : amount,
          seed: seed + round,
          only: kind,
          onCase: (name) => progress?.(`faults: ${name}`),
          onRow: (row) => rows.push(row),
        })
        if (failures.length > 0) throw new Error(report(failures, seed + round))
        rmSync(directory, { recursive: true })
        yield summary(kind, rows)
      }
    }
  } finally {
    unlinkSync(worker)
  }
}

function makeDirectory(): string {
  for (const parent of PARENTS) {
    try {
      return mkdtempSync(join(parent, 'daxkv-faults-'))
    } catch {
      // the next one
    }
  }
  throw new Error(`none of ${PARENTS.join(', ')} can be written to`)
}

function summary(kind: string, rows: readonly FaultRow[]): SuiteRow {
  const outcomes = new Map<string, number>()
  const calls = new Set<string>()
  let cases = 0
  for (const row of rows) {
    cases += row.cases
    for (const [outcome, count] of Object.entries(row.outcomes)) {
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + count)
    }
    for (const call of Object.keys(row.calls)) calls.add(call)
  }
  const list = [...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', ')
  return {
    name: `faults, ${kind}`,
    figures: { faults: cases },
    result: `${cases} faults in ${calls.size} kinds of calls, ${rows.length} scenarios: ${list}`,
  }
}

function report(failures: readonly FaultFailure[], seed: number): string {
  const lines = failures.map(({ name, path, message }) => {
    const pool = path === undefined ? '' : `\n  pool: ${path}`
    return `${name}: ${message}${pool}\n  again: npm run crash-tests:replay -- --fault '${name}' --seed ${seed}`
  })
  return `${failures.length} cases went wrong\n${lines.join('\n')}`
}

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { OperandCounts } from './operands.js'

export interface OperandOptions {
  /** Bundle of operand-worker.ts. */
  readonly worker: string
  readonly seed: number
  readonly programs: number
  readonly directory: string
  readonly env?: NodeJS.ProcessEnv
}

/** A run of this many programs takes seconds; sanitizers and busy machines make minutes of it. */
const TIMEOUT_MS = 20 * 60_000

/** @throws Error when the executors differ, or the process of the fuzzer ends by itself. */
export function runOperands({ worker, seed, programs, directory, env }: OperandOptions): OperandCounts {
  const file = join(directory, 'operands.pool')
  const run = spawnSync(process.execPath, [worker, String(seed), String(programs), file], {
    encoding: 'utf8',
    env: env ?? process.env,
    timeout: TIMEOUT_MS,
    maxBuffer: 1 << 26,
  })
  if (run.status === 0) return JSON.parse(run.stdout) as OperandCounts
  throw new Error(
    `hostile programs, seed ${seed}, ended the process (${run.signal ?? run.status}):\n${run.stderr.slice(-6000)}`,
  )
}

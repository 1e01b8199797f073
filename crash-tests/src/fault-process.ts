import { spawn } from 'node:child_process'
import type { Amount } from './amounts.js'
import type { FaultRow } from './fault-runner.js'

export interface FaultFailure {
  readonly name: string
  /** The pool that the case left; undefined where the process died. */
  readonly path?: string
  readonly message: string
}

export interface FaultProcessOptions {
  /** Bundle of fault-worker.ts. */
  readonly worker: string
  readonly directory: string
  readonly amount: Amount
  readonly seed: number
  /** Only scenarios whose name begins so, or one case. */
  readonly only: string
  readonly onCase?: (name: string) => void
  readonly onRow: (row: FaultRow) => void
}

/** Longer than this no case takes by far, however busy the machine. */
const HANGING_AFTER_MS = 120_000

/**
 * Runs fault cases in a process of their own and returns the failures. A process that dies or hangs is one of them, under
 * the name of the case it was at.
 */
export function runFaultProcess(options: FaultProcessOptions): Promise<FaultFailure[]> {
  const { worker, directory, amount, seed, only } = options
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [worker, directory, amount, String(seed), only], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const failures: FaultFailure[] = []
    let current = 'before the first case'
    let rest = ''
    let errors = ''
    let hangs = false
    const watch = (): NodeJS.Timeout =>
      setTimeout(() => {
        hangs = true
        child.kill('SIGKILL')
      }, HANGING_AFTER_MS)
    let timer = watch()
    const take = (line: string): void => {
      const space = line.indexOf(' ')
      const value: unknown = JSON.parse(line.slice(space + 1))
      const word = line.slice(0, space)
      if (word === 'case') {
        current = value as string
        options.onCase?.(current)
      } else if (word === 'row') {
        options.onRow(value as FaultRow)
      } else {
        failures.push(value as FaultFailure)
      }
    }
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      clearTimeout(timer)
      timer = watch()
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      lines.forEach(take)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const how = hangs ? 'made no progress any more' : `ended by itself (${code ?? signal ?? ''})`
      if (hangs || code !== 0) failures.push({ name: current, message: `the process ${how}: ${errors}` })
      resolve(failures)
    })
  })
}

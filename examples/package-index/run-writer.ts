/** Starting a writer process, listening to what it acknowledges, and killing it when that is wanted. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface WriterRun {
  /** Numbers of the transactions it acknowledged, in their order. */
  readonly acknowledged: number[]
  readonly killed: boolean
  /** Time spent inside transactions; undefined when it was killed. */
  readonly busyMs: number | undefined
}

export interface KillPlan {
  /** The signal is sent when the acknowledgement of this transaction has been read. */
  readonly at: number
  /** The writer is at work then and may go on up to this transaction; the signal meets it anywhere in between. */
  readonly upTo: number
}

/** Runs a writer to its end, or kills it with SIGKILL in the middle of its work. */
export async function runWriter(pool: string, directory: string, kill?: KillPlan): Promise<WriterRun> {
  // The same loader as this process: compiled files or TypeScript.
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
  const script = fileURLToPath(new URL(`./writer${extension}`, import.meta.url))
  const writerArguments = [script, pool, directory, ...(kill === undefined ? [] : [String(kill.upTo)])]
  const writer = spawn(process.execPath, [...process.execArgv, ...writerArguments], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const acknowledged: number[] = []
  let busyMs: number | undefined
  let rest = ''
  writer.stdout.setEncoding('latin1').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? '' // without its line feed it is no acknowledgement
    for (const line of lines) {
      if (line.startsWith('busy ')) busyMs = Number(line.slice(5))
      else acknowledged.push(Number(line))
    }
    if (kill !== undefined && (acknowledged.at(-1) ?? 0) >= kill.at) writer.kill('SIGKILL')
  })
  // 'close' comes after the last byte of its output has been read.
  const [code, signal] = (await once(writer, 'close')) as [number | null, NodeJS.Signals | null]
  const killed = kill !== undefined && signal === 'SIGKILL'
  if (!killed && code !== 0) throw new Error(`the writer failed (${signal ?? `exit code ${code}`})`)
  return { acknowledged, killed, busyMs }
}

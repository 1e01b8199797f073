/** Starting a writer process, listening to what it acknowledges, and killing it when that is wanted. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** How many transactions a writer that will be killed may be ahead of what has been read from it. */
const WINDOW = 24

export interface WriterRun {
  /** Numbers of the transactions it acknowledged, in their order. */
  readonly acknowledged: number[]
  readonly killed: boolean
  /** Time spent inside transactions; undefined when it was killed. */
  readonly busyMs: number | undefined
}

/**
 * Runs a writer to its end, or kills it with SIGKILL as soon as it has acknowledged transaction `killAt`. It is then
 * at work: it may go on for some transactions after that one, and the signal meets it anywhere in them.
 */
export async function runWriter(pool: string, directory: string, killAt: number | undefined): Promise<WriterRun> {
  // The same loader as this process: compiled files or TypeScript.
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
  const script = fileURLToPath(new URL(`./writer${extension}`, import.meta.url))
  const writer = spawn(process.execPath, [...process.execArgv, script, pool, directory], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const acknowledged: number[] = []
  let busyMs: number | undefined
  let rest = ''
  let killed = false
  const allow = (tx: number): void => {
    if (!killed) writer.stdin.write(`${tx}\n`)
  }
  // It may die while we write to it.
  writer.stdin.on('error', () => undefined)
  writer.stdout.setEncoding('latin1').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? '' // without its line feed it is no acknowledgement
    for (const line of lines) {
      if (line.startsWith('busy ')) busyMs = Number(line.slice(5))
      else acknowledged.push(Number(line))
    }
    if (killAt === undefined) return
    const last = acknowledged.at(-1) ?? 0
    if (last >= killAt && !killed) killed = writer.kill('SIGKILL')
    else allow(last + WINDOW)
  })
  allow(killAt === undefined ? Number.MAX_SAFE_INTEGER : WINDOW)
  // 'close' comes after the last byte of its output has been read.
  const [code, signal] = (await once(writer, 'close')) as [number | null, NodeJS.Signals | null]
  if (signal !== 'SIGKILL' && code !== 0) throw new Error(`the writer failed (${signal ?? `exit code ${code}`})`)
  return { acknowledged, killed: signal === 'SIGKILL', busyMs }
}

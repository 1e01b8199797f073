import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import type { KillJob } from './kill-job.js'

/** A writer process: warm, then at work, then dead. */
export class Writer {
  /** Whole lines so far; a line that death has cut off is none. */
  readonly lines: string[] = []
  /** Settles when it has loaded everything. */
  readonly ready: Promise<void>
  /** Settles when it is dead and all it has written is read; rejects when it was not killed. */
  readonly dead: Promise<void>
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  #isReady: () => void = () => undefined
  #onOpen: (() => void) | undefined
  #rest = ''

  constructor(bundle: string) {
    this.#child = spawn(process.execPath, [bundle], { stdio: ['pipe', 'pipe', 'pipe'] })
    const { stdin, stdout, stderr } = this.#child
    this.ready = new Promise((resolve) => (this.#isReady = resolve))
    let errors = ''
    stdout.setEncoding('latin1').on('data', (text: string) => this.#take(text))
    stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    stdin.on('error', () => undefined) // it died before it had read its job
    this.dead = new Promise((resolve, reject) => {
      this.#child.on('error', reject)
      this.#child.on('close', (code, signal) => {
        this.#isReady()
        if (signal === 'SIGKILL') resolve()
        else reject(new Error(`the writer ended by itself (${code ?? signal ?? ''}): ${errors}`))
      })
    })
    // Looked at by whoever gives it a job; one without a job simply ends.
    this.dead.catch(() => undefined)
  }

  start(job: KillJob): void {
    this.#child.stdin.write(`${JSON.stringify(job)}\n`)
  }

  /** Calls back at the next pool that it opens. */
  onOpen(callback: () => void): void {
    this.#onOpen = callback
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** It gets no job: ends it without a word. */
  dismiss(): void {
    this.#child.kill('SIGKILL')
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line.endsWith(' ready')) {
        this.#isReady()
        continue
      }
      this.lines.push(line)
      if (!line.includes(' open ')) continue
      this.#onOpen?.()
      this.#onOpen = undefined
    }
  }
}

/** Keeps writers warm, so that a cycle does not wait for a process to start. */
export class Writers {
  readonly #warm: Writer[] = []

  constructor(
    private readonly bundle: string,
    private readonly count: number,
  ) {}

  async take(): Promise<Writer> {
    while (this.#warm.length <= this.count) this.#warm.push(new Writer(this.bundle))
    const writer = this.#warm.shift()
    if (writer === undefined) throw new Error('no writer')
    await writer.ready
    return writer
  }

  close(): void {
    for (const writer of this.#warm.splice(0)) writer.dismiss()
  }
}

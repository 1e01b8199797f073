import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import type { ChildMessage, CrashJob, Job, Measurement } from './jobs.js'
import type { NativePrograms } from './native-programs.js'
import { Unavailable } from './unavailable.js'

/** No single measurement takes this long; a hanging one must not hang the run. */
const TIMEOUT_MS = 15 * 60 * 1000
/** How long the crash writer goes on after its first writes before it is killed. */
const KILL_AFTER_MS = 60

/** Runs jobs, each in a fresh process, from the compiled files in `build`. */
export class JobRunner {
  constructor(
    private readonly build: string,
    private readonly native: NativePrograms,
  ) {}

  async run(job: Exclude<Job, CrashJob>): Promise<Measurement> {
    if (job.kind === 'floor') {
      const figures = await runToEnd(job, this.start(job))
      return { ...figures, metrics: { ...figures.metrics, ...this.native.floor() } }
    }
    return this.native.serves(job) ? this.native.run(job) : runToEnd(job, this.start(job))
  }

  /** Starts a writer, which is killed with SIGKILL while it writes, by itself or by this process. */
  runAndKill(job: CrashJob): Promise<void> {
    return killWhileWriting(job, this.start(job))
  }

  private start(job: Job): ChildProcess {
    // No options of this process, above all not its TypeScript loader.
    const child = fork(join(this.build, 'bench', 'child.js'), [], { execArgv: [] })
    child.send(job)
    return child
  }
}

function runToEnd(job: Job, child: ChildProcess): Promise<Measurement> {
  return new Promise((resolve, reject) => {
    let answer: ChildMessage | undefined
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
    child.on('message', (message) => {
      answer = message as ChildMessage
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      if (answer?.type === 'done' && code === 0) resolve(answer.measurement)
      else if (answer?.type === 'unavailable') reject(new Unavailable(answer.reason))
      else if (answer?.type === 'failed') reject(new Error(`${describe(job)}: ${answer.error}`))
      else reject(new Error(`${describe(job)}: process ended with ${signal ?? `exit code ${String(code)}`}`))
    })
  })
}

function killWhileWriting(job: CrashJob, child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let ready = job.puts !== undefined
    child.on('message', (message) => {
      const answer = message as ChildMessage
      if (answer.type === 'unavailable') reject(new Unavailable(answer.reason))
      if (answer.type === 'failed') reject(new Error(`${describe(job)}: ${answer.error}`))
      if (answer.type !== 'ready') return
      ready = true
      setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS)
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (ready && signal === 'SIGKILL') resolve()
      else reject(new Error(`${describe(job)}: ended by itself with ${signal ?? `exit code ${String(code)}`}`))
    })
  })
}

export function describe(job: Job): string {
  switch (job.kind) {
    case 'floor':
      return 'hardware floor'
    case 'micro':
      return `${job.subject.id} ${job.operation}`
    case 'pass':
      return `${job.subject.id} ${job.pass}`
    case 'ycsb':
      return `${job.subject.id} ycsb ${job.mix}`
    default:
      return `${job.subject.id} ${job.kind}`
  }
}

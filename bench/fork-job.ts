import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import type { ChildMessage, CrashJob, Job, Measurement } from './jobs.js'

/** No single measurement takes this long; a hanging one must not hang the run. */
const TIMEOUT_MS = 15 * 60 * 1000
/** How long the crash writer goes on after its first writes before it is killed. */
const KILL_AFTER_MS = 60

/** Runs jobs, each in a fresh process, from the compiled files in `build`. */
export class JobRunner {
  constructor(private readonly build: string) {}

  run(job: Exclude<Job, CrashJob>): Promise<Measurement> {
    return runToEnd(job, this.start(job))
  }

  /** Starts a writer and kills it with SIGKILL while it writes. */
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
      else if (answer?.type === 'failed') reject(new Error(`${describe(job)}: ${answer.error}`))
      else reject(new Error(`${describe(job)}: process ended with ${signal ?? `exit code ${String(code)}`}`))
    })
  })
}

function killWhileWriting(job: CrashJob, child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let ready = false
    child.on('message', (message) => {
      const answer = message as ChildMessage
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
  if (job.kind === 'floor') return 'hardware floor'
  const what = job.kind === 'micro' ? job.operation : job.kind === 'pass' ? job.pass : job.kind
  return `${job.subject.id} ${what}`
}

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { SuiteRow } from '../suites/suite.js'
import { Census } from './census.js'
import type { ShardFailure, ShardMessage, ShardTask } from './suite-messages.js'

export interface RunnerHooks {
  row(task: ShardTask, row: SuiteRow, durationMs: number): void
  done(task: ShardTask, durationMs: number): void
  failed(task: ShardTask, failure: ShardFailure, durationMs: number): void
  progress(text: string): void
}

/**
 * Spreads shards over processes. A process that dies takes only the shard it was at with it, which has failed then; the
 * next shard gets a new one.
 */
export class SuiteRunner {
  /** Images of all processes together. */
  readonly census = new Census()
  readonly #waiting: ShardTask[]
  readonly #total: number
  readonly #hooks: RunnerHooks
  #finished = 0

  /** `entry`: module that calls `serveShards` when started with the argument `--serve`. */
  constructor(
    readonly entry: string,
    tasks: readonly ShardTask[],
    hooks: RunnerHooks,
  ) {
    this.#waiting = [...tasks]
    this.#total = tasks.length
    this.#hooks = hooks
  }

  /** Returns when all shards are done or have failed. */
  async run(jobs: number): Promise<void> {
    await Promise.all(Array.from({ length: Math.min(jobs, this.#total) }, () => this.#work()))
  }

  async #work(): Promise<void> {
    let child: ChildProcess | undefined
    for (let task = this.#waiting.shift(); task !== undefined; task = this.#waiting.shift()) {
      child = await this.#doShard(task, child ?? this.#start())
      this.#finished++
    }
    child?.disconnect()
  }

  #start(): ChildProcess {
    return fork(this.entry, ['--serve'], { serialization: 'advanced' })
  }

  /** Returns the process if it can do more. */
  #doShard(task: ShardTask, child: ChildProcess): Promise<ChildProcess | undefined> {
    return new Promise((resolve) => {
      const begin = performance.now()
      const finish = (result: ChildProcess | undefined): void => {
        child.removeAllListeners()
        resolve(result)
      }
      child.on('message', (message: ShardMessage) => {
        if ('fresh' in message) this.census.addAll(message.fresh)
        switch (message.kind) {
          case 'ready':
            child.send(task)
            break
          case 'progress':
            this.#hooks.progress(this.#progressText(message.text))
            break
          case 'row':
            this.#hooks.row(task, message.row, message.durationMs)
            break
          case 'done':
            this.#hooks.done(task, message.durationMs)
            finish(child)
            break
          case 'failed':
            this.#hooks.failed(task, message.failure, message.durationMs)
            finish(child)
            break
        }
      })
      child.on('exit', (code, signal) => {
        const message = `the process that ran it ended with ${signal ?? `code ${code ?? 'unknown'}`}`
        this.#hooks.failed(task, { message }, performance.now() - begin)
        finish(undefined)
      })
      if (served.has(child)) child.send(task)
      served.add(child)
    })
  }

  #progressText(text: string): string {
    return `${this.#finished} of ${this.#total} parts, ${this.census.distinct.toLocaleString('en')} distinct images | ${text}`
  }
}

/** Processes that have said that they are ready. */
const served = new WeakSet<ChildProcess>()

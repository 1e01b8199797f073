import { ready } from '../../src/pmem/xxh64.js'
import type { Suite } from '../suites/suite.js'
import { Census } from './census.js'
import { CrashViolation } from './explorer.js'
import type { ShardFailure, ShardMessage, ShardTask } from './suite-messages.js'

/** The life of a process that does shards for main.ts: one after another, until it is told to go. */
export async function serveShards(suites: Readonly<Record<string, Suite>>): Promise<void> {
  const census = new Census()
  await ready
  process.on('message', (task: ShardTask) => void doShard(suites[task.suite], task, census))
  // When the parent is gone nobody wants the results.
  process.on('disconnect', () => process.exit())
  send({ kind: 'ready' })
}

async function doShard(suite: Suite, task: ShardTask, census: Census): Promise<void> {
  const begin = performance.now()
  const { amount, seed, index, count } = task
  let last = begin
  try {
    const shard = { index, count }
    for await (const row of suite({ amount, seed, shard, census, progress: reportProgress })) {
      const now = performance.now()
      send({ kind: 'row', row, durationMs: now - last, fresh: census.takeFresh() })
      last = now
    }
    send({ kind: 'done', durationMs: performance.now() - begin, fresh: census.takeFresh() })
  } catch (error) {
    const durationMs = performance.now() - begin
    send({ kind: 'failed', durationMs, failure: describeFailure(error), fresh: census.takeFresh() })
  }
}

function describeFailure(error: unknown): ShardFailure {
  if (!(error instanceof Error)) return { message: String(error) }
  return {
    message: error.message,
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(error instanceof CrashViolation ? { where: error.where } : {}),
    ...(error instanceof CrashViolation && error.replay !== undefined ? { replay: error.replay } : {}),
  }
}

let shownAt = 0

function reportProgress(text: string): void {
  const now = performance.now()
  if (now - shownAt < 200) return
  shownAt = now
  send({ kind: 'progress', text })
}

function send(message: ShardMessage): void {
  process.send?.(message)
}

/** Does the job that the host has given to the guest, task by task. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import type { Disk, Task, Turn } from '../protocol.js'
import { readJob, report, result } from './channel.js'
import { directoryOf, format, mountDisk, unmountAndCheck } from './disks.js'
import { matrix } from './matrix.js'
import { compare } from './compare.js'
import { flakey, logWrites } from './mapped-devices.js'
import { countRecords, naiveWriters } from './naive.js'
import { rules } from './rules.js'
import { verify } from './verifier.js'
import { write } from './writer.js'

const mounted = new Set<number>()

async function perform(task: Task): Promise<void> {
  switch (task.task) {
    case 'format':
      return format(task.disk)
    case 'write':
      for (const turn of task.turns) {
        mount(turn.disk)
        await write(turn)
      }
      return
    case 'write-by-calls':
      mount(task.turn.disk)
      return writeByCalls(task.turn)
    case 'verify': {
      mount(task.disk)
      for (const mode of task.modes) verify(directoryOf(task.disk), task.image, mode)
      mounted.delete(task.disk.index)
      const problem = unmountAndCheck(task.disk)
      return result(`fsck ${task.image}`, problem === '', problem)
    }
    case 'naive':
      mount(task.disk)
      return naiveWriters(task.disk, task.kinds, task.records)
    case 'count':
      mount(task.disk)
      return countRecords(task.disk, task.kind, task.image)
    case 'matrix':
      return matrix(task.set)
    case 'rules':
      mount(task.disk)
      return rules(task.disk)
    case 'log-writes':
      return logWrites(task.seed, task.steps, task.stepsEachMark)
    case 'flakey':
      return flakey(task.seed)
    case 'compare':
      mount(task.disk)
      return compare(directoryOf(task.disk), task.puts)
    case 'wait':
      report({ kind: 'waiting' })
      await new Promise((resolve) => setTimeout(resolve, 3_600_000))
      return
  }
}

/** The writer again, in a process whose system calls native/preload-steps.c stops. */
function writeByCalls(turn: Turn): void {
  const job = '/tmp/by-calls.json'
  writeFileSync(job, JSON.stringify([{ task: 'write', turns: [turn] }]))
  const env = { ...process.env, LD_PRELOAD: '/lab/preload-steps.so', DAXKV_VM_JOB: job }
  const { status } = spawnSync(process.execPath, ['/lab/guest.mjs'], { env, stdio: 'inherit' })
  if (status !== 0) throw new Error(`the writer ended with ${String(status)}`)
}

function mount(disk: Disk): void {
  if (mounted.has(disk.index)) return
  // By the process that started this one
  if (process.env['LD_PRELOAD'] !== undefined) return
  mountDisk(disk)
  mounted.add(disk.index)
}

try {
  for (const task of readJob()) await perform(task)
  report({ kind: 'done' })
} catch (error) {
  report({ kind: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  process.exitCode = 1
}

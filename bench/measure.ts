/** A run: builds what it needs, measures the workloads one after another, and leaves no store behind. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { compileForChildren } from './compile.js'
import { JobRunner } from './fork-job.js'
import { describeMachine, machineLines } from './machine.js'
import { NativePrograms } from './native-programs.js'
import type { BenchOptions } from './options.js'
import { profileWorkload } from './profile.js'
import { resultDocument, type ResultDocument } from './result-document.js'
import { runWorkload, type RunSettings, type WorkloadResult } from './run.js'
import { StoreFiles } from './store-files.js'
import type { Workload } from './workload.js'

type Print = (line: string) => void

/** The goal rows shall be done by then. */
const GOAL_RUN_MS = 10 * 60 * 1000

export async function measureAll(
  chosen: readonly Workload[],
  options: BenchOptions,
  repository: string,
  print: Print,
  progress: Print,
): Promise<ResultDocument> {
  const { keys, rounds, clock } = options
  const machine = describeMachine(options.directory, options.diskDirectory, repository)
  for (const line of machineLines(machine)) print(line)
  print(`${keys.toLocaleString('en-US')} keys, ${String(rounds)} rounds, ${clock} clock`)
  const started = new Date()
  const results: WorkloadResult[] = []
  await withSettings(options, repository, progress, async (settings) => {
    // A run that is behind its schedule leaves out rounds beyond the third, workload by workload.
    const dueMs = (index: number): number => started.getTime() + (GOAL_RUN_MS * (index + 1)) / chosen.length
    for (const [index, workload] of chosen.entries()) {
      const late = (): boolean => !options.full && Date.now() > dueMs(index)
      const result = await runWorkload(workload, { ...settings, late })
      results.push(result)
      const seconds = (result.elapsedMs / 1000).toFixed(1)
      progress(`${String(index + 1)}/${String(chosen.length)} ${workload.id} took ${seconds} s`)
    }
  })
  const elapsedMs = Date.now() - started.getTime()
  return resultDocument({ started, elapsedMs, keys, rounds, clock, machine }, results)
}

export async function profileAll(
  chosen: readonly Workload[],
  options: BenchOptions,
  repository: string,
  print: Print,
): Promise<void> {
  await withSettings(options, repository, print, async (settings) => {
    for (const workload of chosen) {
      await profileWorkload(workload, settings, join(repository, 'bench', 'profiles'))
    }
  })
}

async function withSettings(
  options: BenchOptions,
  repository: string,
  report: Print,
  use: (settings: RunSettings) => Promise<void>,
): Promise<void> {
  const { keys, rounds } = options
  const build = compileForChildren(repository)
  const nativeBuild = join(repository, '.cache', 'bench-native')
  mkdirSync(nativeBuild, { recursive: true })
  const native = new NativePrograms(join(repository, 'bench', 'native'), nativeBuild, report)
  const jobs = new JobRunner(build, native)
  const files = new StoreFiles(options.directory, jobs, report)
  const diskFiles = new StoreFiles(options.diskDirectory, jobs, report)
  const removeFiles = (): void => {
    rmSync(build, { recursive: true, force: true })
    files.removeAll()
    diskFiles.removeAll()
  }
  const interrupted = (): never => {
    removeFiles()
    process.exit(130)
  }
  process.once('SIGINT', interrupted)
  try {
    await use({ keys, rounds, files, diskFiles, jobs, report })
  } finally {
    process.removeListener('SIGINT', interrupted)
    removeFiles()
  }
}

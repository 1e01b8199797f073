/**
 * `npm run bench`: measures daxkv against its peers and prints a table of ratios. How it measures, and what the figures
 * do not show, is in docs/benchmarks.md.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compileForChildren } from './compile.js'
import { JobRunner } from './fork-job.js'
import { describeMachine, machineLines } from './machine.js'
import { parseOptions, USAGE, UsageError, type BenchOptions } from './options.js'
import { profileWorkload } from './profile.js'
import { resultDocument } from './result-document.js'
import { disturbance, rowsOf } from './rows.js'
import { runWorkload, type RunSettings, type WorkloadResult } from './run.js'
import { StoreFiles } from './store-files.js'
import { formatTable } from './table.js'
import { workloads } from './workloads.js'
import type { Workload } from './workload.js'

/** Processes that have a processor whenever they want one stay well below this. */
const MOST_DISTURBANCE = 1.15

const repository = fileURLToPath(new URL('..', import.meta.url))

async function main(options: BenchOptions): Promise<boolean> {
  const chosen = choose(options.profile === undefined ? options.only : [options.profile])
  if (options.list) {
    for (const { id, rows } of chosen) print(`${id.padEnd(22)} ${rows.map((row) => row.title).join('; ')}`)
    return true
  }
  const machine = describeMachine(options.directory, options.diskDirectory)
  for (const line of machineLines(machine)) print(line)
  print(`${String(options.keys)} keys, ${String(options.rounds)} rounds, ${options.clock} clock`)

  const { keys, rounds } = options
  const build = compileForChildren(repository)
  const jobs = new JobRunner(build)
  const files = new StoreFiles(options.directory, keys, jobs, progress)
  const diskFiles = new StoreFiles(options.diskDirectory, keys, jobs, progress)
  const settings: RunSettings = { keys, rounds, files, diskFiles, jobs, report: progress }
  const removeFiles = (): void => {
    rmSync(build, { recursive: true, force: true })
    files.removeAll()
    diskFiles.removeAll()
  }
  process.once('SIGINT', () => {
    removeFiles()
    process.exit(130)
  })
  try {
    if (options.profile !== undefined) {
      for (const workload of chosen) {
        await profileWorkload(workload, { ...settings, report: print }, join(repository, 'bench', 'profiles'))
      }
      return true
    }
    return await measureAll(chosen, settings, options, machine)
  } finally {
    removeFiles()
  }
}

async function measureAll(
  chosen: readonly Workload[],
  settings: RunSettings,
  options: BenchOptions,
  machine: ReturnType<typeof describeMachine>,
): Promise<boolean> {
  const started = new Date()
  const results: WorkloadResult[] = []
  for (const workload of chosen) {
    const result = await runWorkload(workload, settings)
    results.push(result)
    progress(`${workload.id} took ${(result.elapsedMs / 1000).toFixed(1)} s`)
  }
  const rows = results.flatMap((result) => rowsOf(result, options.clock))
  print('')
  print(formatTable(rows, 'text'))
  print('')
  for (const note of new Set(results.flatMap(({ notes }) => [...notes.values()].flat()))) print(`daxkv: ${note}`)
  const factor = disturbance(results)
  if (factor > MOST_DISTURBANCE) {
    print(
      `Other work disturbed the run: it took ${factor.toFixed(2)} times the processor time it used. --clock cpu sees less of it.`,
    )
  }
  const failed = results.some(({ failures }) => failures.size > 0)
  const missed = rows.filter(({ verdict }) => verdict.startsWith('MISSED'))
  for (const { spec } of missed) print(`Goal missed: ${spec.title}.`)
  if (missed.length === 0 && !failed) print('No goal missed.')
  if (failed) print('Some measurements failed: see above.')

  const name = `${started.toISOString().replaceAll(':', '-')}.json`
  const path = options.jsonPath ?? join(repository, 'bench', 'results', name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify(resultDocument(started, options, machine, results, rows), null, 2)}\n`)
  print(`Took ${((Date.now() - started.getTime()) / 1000).toFixed(0)} s; written to ${path}`)
  return !failed
}

function choose(words: readonly string[]): readonly Workload[] {
  if (words.length === 0) return workloads
  // A word that is an id means that workload alone, else all that contain it.
  const chosen = workloads.filter(({ id }) =>
    words.some((word) => (workloads.some((workload) => workload.id === word) ? id === word : id.includes(word))),
  )
  if (chosen.length > 0) return chosen
  throw new UsageError(
    `no workload contains ${words.join(' or ')}; there are ${workloads.map(({ id }) => id).join(', ')}`,
  )
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function progress(line: string): void {
  process.stderr.write(`${line}\n`)
}

try {
  const options = parseOptions(process.argv.slice(2), repository)
  if (options.help) process.stdout.write(USAGE)
  else if (!(await main(options))) process.exitCode = 1
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n\n${USAGE}`)
  process.exitCode = 2
}

/**
 * Runs the crash tests, with a progress line, a summary and a report as JSON and as a page to look at.
 *
 *     npm run crash-tests -- [--suite NAME]... [--seed NUMBER] [--quick | --long] [--jobs NUMBER] [--report FILE]
 *     npm run crash-tests -- --replay FILE
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ready } from '../src/pmem/xxh64.js'
import { ROOT } from './src/bundle.js'
import { CrashViolation, Explorer } from './src/explorer.js'
import { readReplayFile, unpackImage } from './src/replay.js'
import { Summary } from './src/summary.js'
import type { ReportData } from './src/report-data.js'
import type { ShardTask } from './src/suite-messages.js'
import { serveShards } from './src/suite-process.js'
import { SuiteRunner } from './src/suite-runner.js'
import { clearProgress, printReport, showProgress } from './src/terminal.js'
import { ace } from './suites/ace.js'
import { commits } from './suites/commits.js'
import { faults } from './suites/faults.js'
import { hostile, replayHostile } from './suites/hostile.js'
import { kill } from './suites/kill.js'
import { mutants } from './suites/mutants.js'
import { recovery } from './suites/recovery.js'
import { sanitizers } from './suites/sanitizers.js'
import type { Suite } from './suites/suite.js'

/** The one that takes longest in one part comes first, so that no process is left alone with it at the end. */
const SUITES: Readonly<Record<string, Suite>> = { hostile, ace, commits, recovery, mutants, kill, faults, sanitizers }
/** Parts that a suite is divided into, so that the processes share it; 1 when not given. */
const SHARDS: Readonly<Record<string, number>> = { ace: 26, commits: 8, recovery: 11, mutants: 8, kill: 2, faults: 4 }

const RESULTS = join(ROOT, 'crash-tests', 'results')

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      suite: { type: 'string', multiple: true },
      seed: { type: 'string', default: '1' },
      quick: { type: 'boolean', default: false },
      long: { type: 'boolean', default: false },
      jobs: { type: 'string', default: String(availableParallelism()) },
      replay: { type: 'string' },
      report: { type: 'string' },
      serve: { type: 'boolean', default: false },
    },
  })
  if (values.serve) {
    await serveShards(SUITES)
    return 0
  }
  if (values.replay !== undefined) return (await replayHostile(values.replay)) ?? replay(values.replay)
  const [seed, jobs] = [Number(values.seed), Number(values.jobs)]
  const names = values.suite ?? Object.keys(SUITES)
  const unknown = names.find((name) => !(name in SUITES))
  const mistake =
    unknown !== undefined
      ? `no suite ${unknown}; there are ${Object.keys(SUITES).join(', ')}`
      : !Number.isSafeInteger(seed) || !Number.isInteger(jobs) || jobs < 1
        ? '--seed and --jobs take whole numbers'
        : values.quick && values.long
          ? '--quick or --long, not both'
          : undefined
  if (mistake !== undefined) {
    console.error(mistake)
    return 2
  }
  const amount = values.long ? 'long' : values.quick ? 'quick' : 'full'
  // Round after round with further seeds; the report is of the last one that was finished.
  const page = values.report ?? join(RESULTS, 'last-run.html')
  let status = await round(names, amount, seed, jobs, page)
  for (let next = seed + 1; values.long && status === 0; next++) status = await round(names, amount, next, jobs, page)
  return status
}

async function round(
  names: readonly string[],
  amount: ShardTask['amount'],
  seed: number,
  jobs: number,
  page: string,
): Promise<number> {
  const flags = amount === 'full' ? '' : ` --${amount}`
  const command = `npm run crash-tests -- ${names.map((name) => `--suite ${name}`).join(' ')} --seed ${seed}${flags}`
  const summary = new Summary({ amount, seed, jobs, command })
  const tasks = names.flatMap((suite) => {
    const count = SHARDS[suite] ?? 1
    return Array.from({ length: count }, (_, index): ShardTask => ({ suite, index, count, amount, seed }))
  })
  const runner = new SuiteRunner(fileURLToPath(import.meta.url), tasks, {
    row: ({ suite, count }, row, durationMs) => {
      summary.addRow(suite, row, durationMs)
      clearProgress()
      if (count === 1 || row.figures === undefined) console.log(`${row.name}: ${row.result}`)
    },
    done: ({ suite }, durationMs) => {
      summary.addTime(suite, durationMs)
    },
    failed: (task, failure, durationMs) => {
      summary.addTime(task.suite, durationMs)
      let again = `npm run crash-tests -- --suite ${task.suite} --seed ${seed}${flags}`
      let file: string | undefined
      if (failure.replay !== undefined) {
        file = writeResult(`violation-${summary.violations.length + 1}.json`, failure.replay)
        again = `npm run crash-tests -- --replay ${file}`
      }
      summary.addFailure(task.suite, seed, failure, again, file)
      clearProgress()
      console.error(`${task.suite} FAILED: ${failure.stack ?? failure.message}`)
      console.error(`again: ${again}`)
    },
    progress: showProgress,
  })
  await runner.run(jobs)
  clearProgress()
  const report = summary.report(runner.census.distinct)
  printReport(report)
  console.log(`report: ${writeResult('last-run.json', report)}`)
  const written = await writePage(page, report)
  return written && report.totals.suitesFailed === 0 ? 0 : 1
}

/** Recovers and judges the image of a replay file. */
async function replay(path: string): Promise<number> {
  const { image, allowed, where, granularity, logPages, logging } = readReplayFile(path)
  await ready
  const engineOptions = { logSizeBytes: logPages * 4096, ...(logging === undefined ? {} : { logging }) }
  try {
    new Explorer({ granularity, logPages, engineOptions: () => engineOptions }).replay(
      unpackImage(image),
      allowed,
      where,
    )
  } catch (error) {
    if (!(error instanceof CrashViolation)) throw error
    console.error(`still wrong: ${error.stack ?? error.message}`)
    return 1
  }
  console.log(`the image recovers to what it must:\n    ${where}`)
  return 0
}

/** A page that cannot be made must not hide what the run has found. */
async function writePage(path: string, report: ReportData): Promise<boolean> {
  try {
    const { writeHtmlReport } = await import('./report/html-report.js')
    await writeHtmlReport(path, report)
    console.log(`page: ${relative(process.cwd(), resolve(path))}`)
    return true
  } catch (error) {
    console.error(
      `the page was not written: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    )
    return false
  }
}

/** Returns the path, as a user in the root of the repository would write it. */
function writeResult(name: string, content: unknown): string {
  mkdirSync(RESULTS, { recursive: true })
  const path = join(RESULTS, name)
  writeFileSync(path, `${JSON.stringify(content, undefined, 2)}\n`)
  return relative(ROOT, path)
}

process.exitCode = await main()

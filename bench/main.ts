/**
 * `npm run bench`: measures daxkv against its peers, prints a table of ratios and draws charts. How it measures, and what
 * the figures do not show, is in docs/benchmarks.md.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compareResults, comparisonLines, hasRegression } from './compare.js'
import { parseOptions, USAGE, UsageError, type BenchOptions } from './options.js'
import { readResult, ResultFileError, resultText, type ResultDocument } from './result-document.js'
import { selectWorkloads } from './select.js'
import { formatTable } from './table.js'
import type { Workload } from './workload.js'
import { workloads } from './workloads/index.js'

/** Processes that have a processor whenever they want one stay well below this. */
const MOST_DISTURBANCE = 1.15

const repository = fileURLToPath(new URL('..', import.meta.url))

async function main(options: BenchOptions): Promise<boolean> {
  const { profile, from, compare, full, only, list } = options
  const chosen = selectWorkloads(workloads, profile === undefined ? only : [profile], full)
  if (list) {
    for (const { id, suite, rows } of chosen) {
      print(`${id.padEnd(22)} ${suite.padEnd(5)} ${[...new Set(rows.map((row) => row.title))].join('; ')}`)
    }
    return true
  }
  // Files that somebody named are read before an hour of measuring.
  const earlier = compare === undefined ? undefined : readResult(compare)
  if (profile !== undefined) {
    const { profileAll } = await import('./measure.js')
    await profileAll(chosen, options, repository, print)
    return true
  }
  const result = from === undefined ? await measure(chosen, options) : readResult(from)
  printResult(result)
  await writeReports(result, options)
  const failed = result.series.some(({ failures }) => Object.keys(failures).length > 0)
  if (failed) print('Some measurements failed: see above.')
  if (earlier === undefined) return !failed
  const comparison = compareResults(earlier, result)
  for (const line of comparisonLines(comparison)) print(line)
  return !failed && !hasRegression(comparison)
}

function printResult({ rows, series, disturbance, elapsedSeconds }: ResultDocument): void {
  print('')
  print(formatTable(rows, 'text'))
  print('')
  const notes = series.flatMap(({ notes: bySubject }) => Object.values(bySubject).flat())
  for (const note of new Set(notes)) print(`daxkv: ${note}`)
  const skipped = series.flatMap(({ skipped: bySubject }) => Object.entries(bySubject))
  for (const line of new Set(skipped.map(([id, reason]) => `Left out ${id}: ${reason}`))) print(line)
  if (disturbance > MOST_DISTURBANCE) {
    print(
      `Other work disturbed the run: it took ${disturbance.toFixed(2)} times the processor time it used. --clock cpu sees less of it.`,
    )
  }
  const goals = rows.filter(({ goal }) => goal !== undefined)
  const count = (word: string): number => goals.filter(({ verdict }) => verdict.startsWith(word)).length
  for (const { title, peerLabel } of goals.filter(({ verdict }) => verdict.startsWith('MISSED'))) {
    print(`Goal missed: ${title}${peerLabel === undefined ? '' : `, ${peerLabel}`}.`)
  }
  const open = goals.length - count('met') - count('MISSED')
  print(
    `${String(goals.length)} goals: ${String(count('met'))} met, ${String(count('MISSED'))} missed, ${String(open)} without an answer. Took ${String(elapsedSeconds)} s.`,
  )
}

// The compiler and the charts are loaded when they are needed: wrong options are answered at once.

async function measure(chosen: readonly Workload[], options: BenchOptions): Promise<ResultDocument> {
  const { measureAll } = await import('./measure.js')
  return measureAll(chosen, options, repository, print, progress)
}

/** Of a new run the result and its page; of an earlier one what was asked for. */
async function writeReports(result: ResultDocument, options: BenchOptions): Promise<void> {
  const { from, docs } = options
  const name = `${result.started.replaceAll(':', '-')}.json`
  const jsonPath = options.jsonPath ?? join(repository, 'bench', 'results', name)
  const besideJson = from === undefined ? jsonPath.replace(/(\.json)?$/, '.html') : undefined
  const htmlPath = options.htmlPath ?? besideJson
  if (from === undefined) writeText(jsonPath, resultText(result))
  if (htmlPath !== undefined) {
    const { reportPage } = await import('./report.js')
    writeText(htmlPath, reportPage(result))
  }
  if (!docs) return
  const { writeDocs } = await import('./docs-section.js')
  for (const path of writeDocs(result, repository)) print(`Written: ${path}`)
}

function writeText(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  print(`Written: ${path}`)
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
  if (error instanceof UsageError) process.stderr.write(`${error.message}\n\n${USAGE}`)
  else if (error instanceof ResultFileError) process.stderr.write(`${error.message}\n`)
  else throw error
  process.exitCode = 2
}

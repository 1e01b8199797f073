/**
 * Runs the crash tests, with a progress line and a summary.
 *
 *     npm run crash-tests -- [--suite NAME]... [--seed NUMBER] [--quick | --long]
 */
import { parseArgs } from 'node:util'
import { ready } from '../src/pmem/xxh64.js'
import { commits } from './suites/commits.js'
import { kill } from './suites/kill.js'
import { mutants } from './suites/mutants.js'
import { recovery } from './suites/recovery.js'
import type { SuiteOptions, SuiteRow } from './suites/suite.js'

type Suite = (options: SuiteOptions) => Iterable<SuiteRow> | AsyncIterable<SuiteRow>

const SUITES: Readonly<Record<string, Suite>> = { commits, recovery, mutants, kill }

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      suite: { type: 'string', multiple: true },
      seed: { type: 'string', default: '1' },
      quick: { type: 'boolean', default: false },
      long: { type: 'boolean', default: false },
    },
  })
  const names = values.suite ?? Object.keys(SUITES)
  const unknown = names.find((name) => !(name in SUITES))
  if (unknown !== undefined) {
    console.error(`no suite ${unknown}; there are ${Object.keys(SUITES).join(', ')}`)
    return 2
  }
  const amount = values.long ? 'long' : values.quick ? 'quick' : 'full'
  const begin = performance.now()
  const summary: (SuiteRow & { seconds: number })[] = []
  let failures = 0
  await ready
  for (const name of names) {
    let last = performance.now()
    try {
      for await (const row of SUITES[name]({ amount, seed: Number(values.seed), progress: showProgress })) {
        summary.push({ ...row, seconds: (performance.now() - last) / 1000 })
        last = performance.now()
        clearProgress()
        console.log(`${row.name}: ${row.result}`)
      }
    } catch (error) {
      failures++
      clearProgress()
      console.error(`${name} FAILED: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
      console.error(`again: npm run crash-tests -- --suite ${name} --seed ${values.seed} --${amount}`)
    }
  }
  printSummary(summary)
  const images = summary.reduce((sum, row) => sum + (row.images ?? 0), 0)
  const seconds = Math.round((performance.now() - begin) / 1000)
  console.log(`${images} distinct crash images, ${failures} suites failed, ${seconds} s`)
  return failures === 0 ? 0 : 1
}

function printSummary(rows: readonly (SuiteRow & { seconds: number })[]): void {
  const width = Math.max(10, ...rows.map(({ name }) => name.length))
  console.log(`\n${'suite'.padEnd(width)}  ${'images'.padStart(10)}  ${'seconds'.padStart(8)}`)
  for (const { name, images, seconds } of rows) {
    console.log(`${name.padEnd(width)}  ${String(images ?? '').padStart(10)}  ${seconds.toFixed(1).padStart(8)}`)
  }
}

let shownAt = 0

function showProgress(text: string): void {
  const now = performance.now()
  if (!process.stderr.isTTY || now - shownAt < 100) return
  shownAt = now
  process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns || 80) - 1)}`)
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
}

process.exitCode = await main()

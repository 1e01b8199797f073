/**
 * Puts a result into the repository: its table between two marks of docs/benchmarks.md, the course of commit latencies as an SVG
 * beside it, and the result itself as bench/baseline.json, to compare later runs with. So no figure is typed by hand.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { drawChart } from '../scripts/report-chart.js'
import { COLOURS, paletteCss } from '../scripts/report-palette.js'
import { timelineOption } from './charts/latency-charts.js'
import type { LatencyProfile } from './jobs.js'
import { machineLines } from './machine.js'
import { readResult, resultText, type ResultDocument } from './result-document.js'
import { formatTable } from './table.js'

export const BEGIN = '<!-- results: written by npm run bench -- --from FILE --docs -->'
export const END = '<!-- end of results -->'
export const DOCUMENT = 'docs/benchmarks.md'
export const BASELINE = 'bench/baseline.json'
export const PLOT = 'docs/images/commit-latency.svg'

const PLOT_WORKLOAD = 'checkpoint-latency'
const PLOT_SUBJECT = 'daxkv-detected'
const PLOT_SIZE = { width: 900, height: 320, narrow: false }
const MOST_DISTURBANCE = 1.15

/** Returns the paths of the files it wrote, relative to the repository. */
export function writeDocs(result: ResultDocument, repository: string): string[] {
  const documentPath = join(repository, DOCUMENT)
  const before = readFileSync(documentPath, 'utf8')
  writeFileSync(join(repository, BASELINE), resultText(result))
  // What is shown is what the file holds, rounded: a test makes it again from there.
  const kept = readResult(join(repository, BASELINE))
  writeFileSync(documentPath, replaceSection(before, docsSection(kept)))
  const plot = plotOf(kept)
  if (plot === undefined) return [DOCUMENT, BASELINE]
  mkdirSync(dirname(join(repository, PLOT)), { recursive: true })
  writeFileSync(join(repository, PLOT), plot)
  return [DOCUMENT, BASELINE, PLOT]
}

/** Replaces what stands between the marks. */
export function replaceSection(text: string, section: string): string {
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`${DOCUMENT} has no ${BEGIN} ... ${END}`)
  return `${text.slice(0, begin)}${BEGIN}\n\n${section}\n\n${text.slice(end)}`
}

/** The Markdown of a result, without the marks. */
export function docsSection(result: ResultDocument): string {
  const { keys, rounds, clock, machine, started, disturbance, elapsedSeconds, series } = result
  const goals = result.rows.filter(({ goal }) => goal !== undefined)
  const count = (word: string): number => goals.filter(({ verdict }) => verdict.startsWith(word)).length
  const notes = new Set(series.flatMap(({ notes: bySubject }) => Object.values(bySubject).flat()))
  const skipped = new Set(
    series.flatMap(({ skipped: bySubject }) => Object.entries(bySubject).map(([id, reason]) => `${id}: ${reason}`)),
  )
  const parts = [
    `Measured on ${started.slice(0, 10)} with ${keys.toLocaleString('en-US')} keys and up to ${String(rounds)} rounds, ${clock} clock, in ${String(elapsedSeconds)} s:`,
    machineLines(machine)
      .map((line) => `- ${line}`)
      .join('\n'),
    disturbance > MOST_DISTURBANCE
      ? `Other work disturbed the run: elapsed time was ${disturbance.toFixed(2)} times processor time.`
      : `Elapsed time was ${disturbance.toFixed(2)} times processor time: nothing else ran.`,
    `Of ${String(goals.length)} goals ${String(count('met'))} are met and ${String(count('MISSED'))} missed.`,
    formatTable(result.rows, 'markdown'),
    [...[...notes].map((note) => `- daxkv: ${note}`), ...[...skipped].map((line) => `- left out, ${line}`)].join('\n'),
  ]
  if (profileOf(result) !== undefined) {
    parts.push(
      `![Latency of durable puts on disk over time](images/commit-latency.svg)`,
      'Durable puts on disk, daxkv: the longest commit of each stretch of time; dashed lines are checkpoints, dotted ones growths of the file.',
    )
  }
  return parts.filter((part) => part !== '').join('\n\n')
}

function profileOf({ series }: ResultDocument): LatencyProfile | undefined {
  return series.find(({ workload }) => workload === PLOT_WORKLOAD)?.latencies[PLOT_SUBJECT]
}

/** The plot as a file of its own, with the page's colours in it. */
export function plotOf(result: ResultDocument): string | undefined {
  const profile = profileOf(result)
  if (profile === undefined) return undefined
  const drawing = drawChart({ ...timelineOption(profile, PLOT_SIZE), backgroundColor: COLOURS.page }, PLOT_SIZE).text
  return `${drawing.replace(/<svg [^>]*>/, (tag) => `${tag}<style>${paletteCss()}</style>`)}\n`
}

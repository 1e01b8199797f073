/** The page of a result: charts and the whole table, in one file that needs nothing else. */
import {
  badge,
  figures,
  html,
  type HtmlPart,
  renderPage,
  table,
  type ReportSection,
  type Tone,
} from '../scripts/report-page.js'
import { distributionChart, timelineChart } from './charts/latency-charts.js'
import { ratioChart } from './charts/ratio-chart.js'
import { sizeChart, sizeLines } from './charts/size-chart.js'
import { machineLines } from './machine.js'
import type { ResultDocument } from './result-document.js'
import type { Row, Verdict } from './rows.js'
import { LEAST_ROUNDS, MEANINGLESS_SPREAD } from './statistics.js'
import { cellsOf } from './table.js'

/** Beyond this a run's elapsed times are partly other programs'. */
const MOST_DISTURBANCE = 1.15

interface Family {
  readonly id: string
  readonly title: string
  readonly ids: RegExp
}

/** Charts of ratios: workloads whose id begins so, memory rows; disk rows have a chart of their own. */
const FAMILIES: readonly Family[] = [
  { id: 'writes', title: 'Durable writes', ids: /^(?:put|overwrite|delete|transaction|group|json)/ },
  { id: 'reads', title: 'Point reads', ids: /^get/ },
  { id: 'scans', title: 'Scans and ranges', ids: /^(?:scan|range|rows)/ },
  { id: 'ycsb', title: 'YCSB', ids: /^ycsb/ },
  { id: 'loads', title: 'Loads', ids: /^load/ },
  { id: 'opening', title: 'Opening', ids: /^(?:open|recovery)/ },
]

export function reportPage(result: ResultDocument): string {
  const { started, keys, rounds, clock, machine, elapsedSeconds } = result
  const sections = [
    ...ratioSections(result.rows),
    ...latencySections(result),
    ...sizeSections(result),
    tableSection(result),
    methodSection(result),
  ]
  return renderPage({
    title: 'daxkv benchmarks',
    lead: html`Every ratio compares daxkv with another store in the same run, on the same machine, with the same keys
    and values. ${overview(result.rows)}`,
    facts: [
      ['Measured', started.slice(0, 16).replace('T', ' ') + ' UTC'],
      ['Size', `${keys.toLocaleString('en-US')} keys`],
      ['Rounds', `up to ${String(rounds)}, ${clock} clock, ${String(elapsedSeconds)} s`],
      ['Commit', machine.commit === '' ? 'unknown' : machine.commit],
      ['Command', html`<code>npm run bench</code>`],
    ],
    sections,
  })
}

function overview(rows: readonly Row[]): HtmlPart {
  const goals = rows.filter(({ goal }) => goal !== undefined)
  if (goals.length === 0) return undefined
  const count = (word: string): number => goals.filter(({ verdict }) => verdict.startsWith(word)).length
  const [met, missed] = [count('met'), count('MISSED')]
  return figures([
    { value: met, label: 'goals met', tone: 'good' },
    { value: missed, label: 'goals missed', tone: missed === 0 ? 'plain' : 'bad' },
    { value: goals.length - met - missed, label: 'without an answer', tone: 'plain' },
  ])
}

function ratioSections(rows: readonly Row[]): ReportSection[] {
  const comparable = rows.filter(
    ({ ratio, metric }) => ratio?.quality === 'good' && !/^latency|Bytes|Memory/.test(metric),
  )
  const memory = FAMILIES.map(({ id, title, ids }) => ({
    id,
    title,
    lead: 'Stores in memory; daxkv with flushes and fences that the medium does not need (forced).',
    rows: comparable.filter(({ workload, onDisk }) => !onDisk && ids.test(workload)),
  }))
  const disk = {
    id: 'disk',
    title: 'Disk',
    lead: 'Stores on a device: every durable commit waits for it, by msync or fdatasync.',
    rows: comparable.filter(({ onDisk }) => onDisk),
  }
  return [...memory, disk]
    .filter(({ rows: ofFamily }) => ofFamily.length > 0)
    .map(({ id, title, lead, rows: ofFamily }) => ({
      id,
      title,
      lead,
      body: ratioChart(`Ratios of ${title.toLowerCase()}`, ofFamily),
    }))
}

function latencySections({ series }: ResultDocument): ReportSection[] {
  return series.flatMap(({ workload, chart, latencies }) => {
    const ids = Object.keys(latencies)
    if (chart?.kind !== 'latency' || ids.length === 0) return []
    const own = ids.filter((id) => id.startsWith('daxkv'))
    return [
      {
        id: workload,
        title: chart.title,
        lead: chart.lead,
        body: [
          distributionChart(`${chart.title}: latency by percentile`, latencies),
          own.map((id) => timelineChart(`${chart.title}: latency over time`, id, latencies[id])),
        ],
      },
    ]
  })
}

function sizeSections({ series }: ResultDocument): ReportSection[] {
  return series.flatMap((one) => {
    const { workload, chart } = one
    const lines = sizeLines(one)
    if (chart?.kind !== 'sizes' || lines.length === 0) return []
    return [
      {
        id: workload,
        title: chart.title,
        lead: chart.lead,
        body: sizeChart(chart.title, lines, chart.unit, chart.axis),
      },
    ]
  })
}

function tableSection({ rows }: ResultDocument): ReportSection {
  return {
    id: 'table',
    title: 'All figures',
    lead: 'Medians of the rounds. The ratio says how many times the peer costs what daxkv costs.',
    body: table(
      [
        { title: 'workload' },
        { title: 'subject' },
        { title: 'figure', align: 'right' },
        { title: 'peer' },
        { title: 'figure', align: 'right' },
        { title: 'ratio (interval)', align: 'right' },
        { title: 'goal', align: 'right' },
        { title: 'verdict' },
      ],
      rows.map((row) => {
        const cells = cellsOf(row)
        return [...cells.slice(0, -1), row.verdict === '' ? '' : badge(toneOf(row.verdict), row.verdict)]
      }),
      'all figures',
    ),
  }
}

function toneOf(verdict: Verdict): Tone {
  if (verdict.startsWith('met')) return 'good'
  if (verdict.startsWith('MISSED')) return 'bad'
  return verdict === '' ? 'plain' : 'warn'
}

function methodSection({ machine, series, disturbance }: ResultDocument): ReportSection {
  const left = (kind: 'skipped' | 'failures'): string[] => [
    ...new Set(series.flatMap((one) => Object.entries(one[kind]).map(([id, reason]) => `${id}: ${reason}`))),
  ]
  const notes = [...new Set(series.flatMap(({ notes: bySubject }) => Object.values(bySubject).flat()))]
  const list = (title: string, lines: readonly string[]): HtmlPart =>
    lines.length > 0 &&
    html`<h3>${title}</h3>
      <ul>
        ${lines.map((line) => html`<li>${line}</li>`)}
      </ul>`
  return {
    id: 'method',
    title: 'How it was measured',
    body: html`<p>
        Each figure comes from a fresh process with one engine in it, after warming up. The engines of a workload take
        turns, each round begins with another one, and a ratio is made from two figures of the same round. The interval
        is where the median lies with at least 90 % certainty from five rounds on. With fewer than ${LEAST_ROUNDS}
        rounds, or an interval whose ends differ by more than a factor of ${MEANINGLESS_SPREAD}, no ratio is given. A
        verdict needs the whole interval on one side of the goal; otherwise it says so.
      </p>
      ${
        disturbance > MOST_DISTURBANCE &&
        html`<p>
          ${badge('warn', 'disturbed')} Other work took the processor away: elapsed time was ${disturbance.toFixed(2)}
          times processor time.
        </p>`
      }
      ${list('Machine', machineLines(machine))} ${list('daxkv ran with', notes)} ${list('Left out', left('skipped'))}
      ${list('Failed', left('failures'))}`,
  }
}

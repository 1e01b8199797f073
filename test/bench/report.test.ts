import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { sizeLines } from '../../bench/charts/size-chart.js'
import { BASELINE, BEGIN, docsSection, DOCUMENT, END, PLOT, plotOf, replaceSection } from '../../bench/docs-section.js'
import type { LatencyProfile } from '../../bench/jobs.js'
import { reportPage } from '../../bench/report.js'
import { readResult, RESULT_VERSION, ResultFileError, resultText } from '../../bench/result-document.js'
import { workloads } from '../../bench/workloads/index.js'
import { browserMissing, inspectReport, LOOKS, openBrowser } from '../support/report-browser.js'
import { documentOf, resultOf } from './support.js'

const directory = mkdtempSync(join(tmpdir(), 'daxkv-bench-report-'))
after(() => rmSync(directory, { recursive: true, force: true }))

const latency: LatencyProfile = {
  percentiles: [
    [50, 110],
    [90, 180],
    [99, 420],
    [99.9, 2100],
    [100, 9000],
  ],
  timeline: Array.from({ length: 300 }, (_, i) => [i * 4, i % 50 === 0 ? 9000 : 120 + (i % 7) * 20]),
  growthsAtMs: [600],
  checkpointsAtMs: [0, 200, 400, 800],
}

/** What every workload of the full matrix would give if each subject cost what its place in the list says. */
const document = documentOf(
  workloads.map((workload) => {
    const subjects = workload.subjects.length === 0 ? ['machine'] : workload.subjects
    const metrics = [...new Set(workload.rows.map(({ metric }) => metric))]
    const series = Object.fromEntries(
      subjects.map((id, place) => {
        const cost = 1.7 ** place * (1 + workload.id.length)
        const rounds = [cost, cost * 1.05, cost * 1.1]
        const sizes = [1e4, 1e5, 1e6].map((size) => [
          `usPerOperation@${size}`,
          rounds.map((value) => value * Math.log10(size)),
        ])
        return [
          id,
          {
            ...Object.fromEntries(metrics.map((metric) => [metric, rounds])),
            ...(workload.chart?.kind === 'sizes' ? (Object.fromEntries(sizes) as object) : {}),
          },
        ]
      }),
    )
    const withLatency = workload.chart?.kind === 'latency'
    return resultOf(workload, series, {
      ...(withLatency ? { latencies: new Map(subjects.map((id) => [id, latency])) } : {}),
      notes: new Map([['daxkv', ['granularity cache-line (forced)']]]),
      skipped: new Map([['pmemobj', 'its library is missing <here>']]),
    })
  }),
)

describe('the page of a result', () => {
  const text = reportPage(document)
  const path = join(directory, 'report.html')
  writeFileSync(path, text)

  it('has a section for each family of ratios, each latency, each size, the table and the method', () => {
    const sections = [...text.matchAll(/<section id="([^"]+)"/g)].map((match) => match[1])
    const charts = workloads.filter(({ chart }) => chart !== undefined).map(({ id }) => id)
    const families = ['writes', 'reads', 'scans', 'ycsb', 'loads', 'opening', 'disk']
    assert.deepEqual([...sections].sort(), [...families, ...charts, 'table', 'method'].sort())
  })

  it('escapes what engines and libraries say', () => {
    assert.ok(text.includes('its library is missing &#60;here&#62;'))
  })

  it('shows every row in its table', () => {
    assert.equal((text.match(/<tr>/g) ?? []).length, document.rows.length + 1)
  })

  it('looks right in a browser, wide and narrow, light and dark', { skip: browserMissing() }, async () => {
    const browser = await openBrowser()
    try {
      for (const look of LOOKS) {
        const name = `${String(look.widthPx)} px, ${look.scheme}`
        const found = await inspectReport(browser, path, look)
        assert.deepEqual(found.complaints, [], name)
        assert.deepEqual(found.requests, [], name)
        assert.deepEqual(found.empty, [], name)
        assert.deepEqual(found.clipped, [], name)
        assert.deepEqual(found.sticksOut, [], name)
        assert.equal(found.overflowPx, 0, name)
        assert.ok(found.contrast.ratio >= 4.5, `${name}: ${JSON.stringify(found.contrast)}`)
        assert.ok(found.smallestText.px >= 11, `${name}: ${JSON.stringify(found.smallestText)}`)
      }
    } finally {
      await browser.close()
    }
  })
})

describe('a result file', () => {
  it('is read back as it was, rounded to six digits', () => {
    const path = join(directory, 'result.json')
    writeFileSync(path, resultText(document))
    const read = readResult(path)
    assert.equal(read.rows.length, document.rows.length)
    assert.equal(resultText(read), resultText(document))
    assert.equal(docsSection(read), docsSection(JSON.parse(resultText(document)) as typeof read))
  })

  it('of another version, or something else, is refused by name', () => {
    const path = join(directory, 'other.json')
    writeFileSync(path, JSON.stringify({ version: RESULT_VERSION + 1 }))
    assert.throws(() => readResult(path), ResultFileError)
    writeFileSync(path, JSON.stringify({ version: RESULT_VERSION }))
    assert.throws(() => readResult(path), /not a result/)
    assert.throws(() => readResult(join(directory, 'missing.json')), ResultFileError)
  })

  it('gives the lines of the size charts, smallest first', () => {
    const series = document.series.find(({ workload }) => workload === 'size-get-peers')
    assert.ok(series !== undefined)
    const lines = sizeLines(series)
    assert.deepEqual(
      lines.map(({ id }) => id),
      ['daxkv', 'lmdb', 'sqlite', 'lmdb-c'],
    )
    assert.deepEqual(
      lines[0].points.map(([size]) => size),
      [1e4, 1e5, 1e6],
    )
  })
})

describe('docs/benchmarks.md', () => {
  const repository = fileURLToPath(new URL('../..', import.meta.url))

  it('is changed between its marks only', () => {
    const text = `before\n${BEGIN}\nold\n${END}\nafter\n`
    assert.equal(replaceSection(text, 'new'), `before\n${BEGIN}\n\nnew\n\n${END}\nafter\n`)
    assert.throws(() => replaceSection('no marks', 'new'))
  })

  const skip = existsSync(join(repository, BASELINE)) ? false : `no ${BASELINE} yet: npm run bench -- --docs makes it`
  it('shows the table of bench/baseline.json, not figures that were typed', { skip }, () => {
    const text = readFileSync(join(repository, DOCUMENT), 'utf8')
    const baseline = readResult(join(repository, BASELINE))
    assert.equal(text, replaceSection(text, docsSection(baseline)))
    assert.equal(readFileSync(join(repository, PLOT), 'utf8'), plotOf(baseline))
  })
})

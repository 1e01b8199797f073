import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { measureCoverage } from '../../crash-tests/report/coverage.js'
import { type Drawings, renderReport } from '../../crash-tests/report/html-report.js'
import { staleLinesIn } from '../../crash-tests/report/page-map.js'
import { sabotage } from '../../crash-tests/report/sabotage.js'
import { recordCommit, recordTimeline } from '../../crash-tests/report/timeline.js'
import { packImage } from '../../crash-tests/src/replay.js'
import type { ReportData } from '../../crash-tests/src/report-data.js'
import { ready } from '../../src/pmem/xxh64.js'
import { browserMissing, inspectReport, LOOKS, openBrowser } from '../support/report-browser.js'

const directory = mkdtempSync(join(tmpdir(), 'daxkv-crash-report-'))
after(() => rmSync(directory, { recursive: true, force: true }))
const replayFile = join(directory, 'violation-1.json')

let drawings: Drawings
before(async () => {
  await ready
  const example = sabotage(1)
  drawings = {
    timelines: [recordTimeline('undo'), recordTimeline('redo')],
    coverage: measureCoverage(1),
    sabotage: example,
  }
  const replay = { version: 1, where: example.where, message: example.message, granularity: 'cache-line', logPages: 4 }
  writeFileSync(replayFile, JSON.stringify({ ...replay, allowed: ['0'], image: packImage(example.image) }))
})

const clean: ReportData = {
  schemaVersion: 1,
  startedAt: '2026-01-02T03:04:05.678Z',
  durationMs: 61_000,
  nodeVersion: 'v20.0.0',
  jobs: 2,
  amount: 'full',
  seed: 1,
  command: 'npm run crash-tests -- --seed 1',
  totals: {
    points: 5000,
    images: 1_300_000,
    distinctImages: 1_234_567,
    violations: 0,
    mutants: 2,
    mutantsCaught: 1,
    mutantsEquivalent: 1,
    mutantsSurvived: 0,
    suitesFailed: 0,
  },
  suites: [
    {
      name: 'commits',
      failed: false,
      durationMs: 60_000,
      rows: [{ name: 'commits, undo, page, seed 1', result: 'fine', images: 9, distinctImages: 8, durationMs: 5 }],
    },
  ],
  models: (['cache-line', 'byte', 'page', 'kill'] as const).map((model, index) => ({
    model,
    points: 1000 * (index + 1),
    images: 300_000 + index,
    distinctImages: 200_000 + index,
    violations: 0,
  })),
  mutants: [
    {
      name: 'no fence 1',
      protocol: 'A',
      rule: 'the record <before> the data',
      origin: 'rule',
      outcome: 'caught',
      caughtBy: 'power failure before fences',
      images: 12,
      durationMs: 3,
    },
    {
      name: 'no txid',
      protocol: 'all',
      rule: 'txids grow',
      origin: 'generated',
      outcome: 'equivalent',
      proof: 'epochs tell',
      images: 99,
      durationMs: 3,
    },
  ],
  violations: [],
  lints: { traces: 10, events: 2000, violations: { 'empty fence': 0 } },
}

const failed = (): ReportData => ({
  ...clean,
  totals: { ...clean.totals, violations: 1, suitesFailed: 1 },
  suites: [{ ...clean.suites[0], failed: true, error: 'the recovered content is wrong' }],
  violations: [
    {
      suite: 'commits',
      model: 'cache-line',
      message: 'the recovered content is wrong',
      where: drawings.sabotage.where,
      seed: 1,
      replayCommand: 'npm run crash-tests -- --replay crash-tests/results/violation-1.json',
      replayFile,
    },
  ],
})

const SECTIONS = ['overview', 'models', 'timeline', 'coverage', 'failures', 'mutants', 'suites', 'lints']

describe('the report of the crash tests', () => {
  it('shows what the run says', () => {
    const page = renderReport(clean, drawings)
    for (const text of ['1,234,567', '1 of 1', 'the record &#60;before&#62; the data', 'epochs tell', 'empty fence']) {
      assert.ok(page.includes(text), text)
    }
    assert.match(page, /none was wrong/)
    const bad = renderReport(failed(), drawings)
    assert.match(bad, /1 suites failed, with 1 violations/)
    assert.ok(bad.includes('--replay crash-tests/results/violation-1.json'))
    // The sabotaged commit, and the violation itself.
    assert.equal(bad.match(/class="pages"/g)?.length, 2)
  })

  it('draws each store, flush and fence of a recorded commit at its place', () => {
    const { events } = recordCommit('undo')
    const timeline = drawings.timelines[0]
    const { stores, nonTemporalStores, flushes, fences } = timeline
    assert.equal(timeline.events, events.count)
    assert.equal(stores.length + nonTemporalStores.length + flushes.length + fences.length, events.count)
    assert.deepEqual([fences.length, stores.length], [2, flushes.length])
    assert.ok(
      timeline.inDanger.every(({ to }) => fences.includes(to)),
      'an acknowledged undo commit leaves nothing in danger',
    )
    assert.ok(Object.values(timeline.images).every((counts) => counts.some((count) => count > 0)))
    assert.deepEqual(drawings.timelines[1].fences.length, 1)
  })

  it('finds every place that stores, and a crash point after each of its stores', () => {
    const { coverage } = drawings
    for (const place of ['commit.ts', 'redo-commit.ts', 'recovery.ts', 'open-pool.ts', 'extent.ts', 'growth.ts']) {
      assert.ok(
        coverage.some(({ site }) => site.includes(place)),
        place,
      )
    }
    for (const { site, operation, stores, unchanged, fences, crossed } of coverage) {
      assert.ok(crossed >= stores - unchanged + fences, `${site} ${operation}: ${crossed}`)
    }
  })

  it('reads the lines that were lost from the description of a crash', () => {
    const where = '[page] crash x (point 3, seed 1); line 7:3 holds torn version 1 of 2, page 9 holds version 0 of 1'
    const lines = staleLinesIn(where)
    assert.deepEqual(lines[0], { pageId: 7, line: 3 })
    assert.equal(lines.filter(({ pageId }) => pageId === 9).length, 64)
    assert.ok(drawings.sabotage.stale.length > 0)
  })

  it('is readable in a browser, wide and narrow, dark and light', { skip: browserMissing() }, async () => {
    const browser = await openBrowser()
    try {
      for (const [name, data] of Object.entries({ clean, failed: failed() })) {
        const path = join(directory, `${name}.html`)
        writeFileSync(path, renderReport(data, drawings))
        assert.ok(readFileSync(path).length < 1_000_000)
        for (const look of LOOKS) {
          const { contrast, smallestText, sections, ...faults } = await inspectReport(browser, path, look)
          const none = { complaints: [], requests: [], overflowPx: 0, sticksOut: [], clipped: [], empty: [] }
          assert.deepEqual(faults, none, `${name} ${look.widthPx} ${look.scheme}`)
          assert.deepEqual(sections, SECTIONS)
          assert.ok(contrast.ratio >= 4.5, `contrast ${contrast.ratio} of "${contrast.text}"`)
          assert.ok(smallestText.px >= 11, `"${smallestText.text}" has ${smallestText.px} pixels`)
        }
      }
    } finally {
      await browser.close()
    }
  })
})

/** The page that shows what a run of the crash tests has done; see docs/crash-testing.md. */
import { existsSync, writeFileSync } from 'node:fs'
import { ready } from '../../src/pmem/xxh64.js'
import type { Html, HtmlPart, ReportSection } from '../../scripts/report-page.js'
import { badge, details, figures, grouped, html, preformatted, renderPage, table } from '../../scripts/report-page.js'
import { readReplayFile, unpackImage } from '../src/replay.js'
import type { MutantReport, ReportData, SuiteReport, ViolationReport } from '../src/report-data.js'
import { modelChart, timelineChart } from './charts.js'
import { measureCoverage, type CoverageRow } from './coverage.js'
import { PAGE_MAP_STYLE, pageMap, staleLinesIn } from './page-map.js'
import { sabotage, type Sabotage } from './sabotage.js'
import { recordTimeline, type Timeline } from './timeline.js'

/** What the page draws beside the figures of the run: recorded when it is made, with the seed of the run. */
export interface Drawings {
  readonly timelines: readonly Timeline[]
  readonly coverage: readonly CoverageRow[]
  readonly sabotage: Sabotage
}

/** Writes the page of a run. Takes a few seconds for the recordings in it. */
export async function writeHtmlReport(path: string, data: ReportData): Promise<void> {
  await ready
  const drawings: Drawings = {
    timelines: [recordTimeline('undo'), recordTimeline('redo')],
    coverage: measureCoverage(data.seed),
    sabotage: sabotage(data.seed),
  }
  writeFileSync(path, renderReport(data, drawings))
}

export function renderReport(data: ReportData, drawings: Drawings): string {
  return renderPage({
    title: 'daxkv crash tests',
    lead: verdict(data),
    facts: [
      ['Started', data.startedAt.replace('T', ' ').replace(/\..*$/, ' UTC')],
      ['Took', seconds(data.durationMs)],
      ['Node.js', data.nodeVersion],
      ['Processes', data.jobs],
      ['Again', html`<code>${data.command}</code>`],
    ],
    sections: [
      overview(data),
      modelSection(data),
      timelineSection(drawings.timelines),
      coverageSection(drawings.coverage),
      failureSection(data, drawings.sabotage),
      mutantSection(data),
      suiteSection(data.suites),
      lintSection(data),
    ],
    style: PAGE_MAP_STYLE,
  })
}

function verdict({ totals }: ReportData): string {
  const { suitesFailed, violations, distinctImages } = totals
  if (suitesFailed > 0) {
    return `${suitesFailed} suites failed, with ${violations} violations: see the failures below.`
  }
  return `${grouped(distinctImages)} different states that a crash may leave were recovered and checked, and none was wrong.`
}

function overview({ totals }: ReportData): ReportSection {
  const found = totals.mutantsCaught
  const wanted = totals.mutants - totals.mutantsEquivalent
  return {
    id: 'overview',
    title: 'Overview',
    body: figures([
      { value: grouped(totals.distinctImages), label: 'distinct crash images' },
      { value: grouped(totals.points), label: 'crash points' },
      { value: grouped(totals.violations), label: 'violations', tone: totals.violations === 0 ? 'good' : 'bad' },
      {
        value: totals.mutants === 0 ? 'not run' : `${found} of ${wanted}`,
        label: 'mutants caught',
        tone: totals.mutants === 0 ? 'warn' : totals.mutantsSurvived === 0 ? 'good' : 'bad',
      },
      { value: totals.suitesFailed, label: 'suites failed', tone: totals.suitesFailed === 0 ? 'good' : 'bad' },
    ]),
  }
}

function modelSection({ models }: ReportData): ReportSection {
  const rows = models.map(({ model, points, images, distinctImages, violations }) => [
    model,
    ...[points, images, distinctImages, violations].map(grouped),
  ])
  return {
    id: 'models',
    title: 'States explored by model',
    lead:
      'A model says what a crash takes: cache-line, power failure; byte, power failure of a machine that saves its caches; ' +
      'page, power failure over a page cache; kill, the process only.',
    body:
      models.length === 0
        ? html`<p>No suite of this run explored images by model.</p>`
        : [
            modelChart(models),
            table([{ title: 'model' }, ...['crash points', 'images', 'distinct', 'violations'].map(right)], rows),
          ],
  }
}

function timelineSection(timelines: readonly Timeline[]): ReportSection {
  return {
    id: 'timeline',
    title: 'A commit, step by step',
    lead:
      'Recorded from the persist programs that production runs. An orange span is a line that a crash may lose, from its store to the fence ' +
      'that makes it durable; the bars below count the images that a crash may leave there and could not one event earlier, by model. With redo the lines in place ' +
      'stay in danger, because the durable record has them.',
    body: timelines.map(timelineChart),
  }
}

function coverageSection(rows: readonly CoverageRow[]): ReportSection {
  const missed = rows.filter(({ crossed, stores, unchanged, fences }) => crossed < stores - unchanged + fences)
  return {
    id: 'coverage',
    title: 'Coverage by call site',
    lead:
      'Where in the sources the stores, flushes and fences of the scripted workload come from, and after how many of them crashes were tried. ' +
      'A flush alone makes no new state possible (what it does shows at the next fence), nor does a store of the bytes that are there already.',
    body: [
      figures([
        { value: rows.length, label: 'source locations and operations' },
        {
          value: missed.length,
          label: 'with a store or fence that no crash point followed',
          tone: missed.length === 0 ? 'good' : 'warn',
        },
      ]),
      table(
        [
          { title: 'source location', code: true },
          { title: 'operation', code: true },
          { title: 'logging' },
          ...['stores', 'unchanged', 'flushes', 'fences', 'crossed', 'images'].map(right),
        ],
        rows.map(({ site, operation, logging, stores, unchanged, flushes, fences, crossed, images }) => [
          site,
          operation,
          logging,
          ...[stores, unchanged, flushes, fences, crossed, images].map(grouped),
        ]),
        'Coverage by call site',
      ),
    ],
  }
}

function failureSection({ violations, suites, totals }: ReportData, example: Sabotage): ReportSection {
  const failed = suites.filter(({ error }) => error !== undefined)
  const none = html`<p>${badge('good', 'none')} No recovered image was wrong, in ${grouped(totals.distinctImages)}.</p>`
  const shown = details(
    'What a failure looks like: a commit that was sabotaged on purpose',
    html`<p>Turned off for this drawing: ${example.rule}. The crash tests say:</p>
      ${preformatted(`${example.message}\n${shortened(example.where)}`)} ${pageMap(example)}`,
    violations.length === 0,
  )
  return {
    id: 'failures',
    title: 'Failures',
    body: [
      violations.length === 0 && failed.length === 0
        ? none
        : [...violations.map(violation), ...failed.map(failedSuite)],
      shown,
    ],
  }
}

function violation({ suite, model, message, where, replayCommand, replayFile }: ViolationReport): Html {
  const map =
    replayFile !== undefined && existsSync(replayFile) ? unpackImage(readReplayFile(replayFile).image) : undefined
  return html`<h3>${badge('bad', suite)} ${model ?? ''}</h3>
    ${preformatted(`${message}\n${shortened(where)}\nagain: ${replayCommand}`)}
    ${map !== undefined && pageMap({ image: map, stale: staleLinesIn(where) })}`
}

/** A line each for the crash and what was lost in it. */
function shortened(where: string): string {
  const [crash, lost = ''] = where.split('; ')
  const lines = lost.split(', ')
  const more = lines.length > MOST_LOST ? [`... and ${lines.length - MOST_LOST} more`] : []
  return [crash, ...lines.slice(0, MOST_LOST), ...more].join('\n  ')
}

const MOST_LOST = 8

function failedSuite({ name, error }: SuiteReport): Html {
  return html`<h3>${badge('bad', 'failed')} ${name}</h3>
    ${preformatted(error ?? '')}`
}

function mutantSection({ mutants, totals }: ReportData): ReportSection {
  const rows = mutants.map((mutant) => [
    outcomeBadge(mutant),
    mutant.name,
    mutant.rule,
    mutant.protocol,
    mutant.caughtBy ?? mutant.proof ?? '',
    grouped(mutant.images),
  ])
  return {
    id: 'mutants',
    title: 'Mutants',
    lead: 'Each rule of the commit protocol turned off, one at a time: the crash tests must notice, or say why nothing can.',
    body:
      totals.mutants === 0
        ? html`<p>No mutants were made in this run.</p>`
        : table(
            [
              { title: 'outcome' },
              { title: 'mutant' },
              { title: 'rule that it breaks' },
              { title: 'protocol' },
              { title: 'noticed by, or why nothing can' },
              right('images'),
            ],
            rows,
            'Mutants',
          ),
  }
}

function outcomeBadge({ outcome }: MutantReport): Html {
  return badge(outcome === 'survived' ? 'bad' : outcome === 'caught' ? 'good' : 'plain', outcome)
}

function suiteSection(suites: readonly SuiteReport[]): ReportSection {
  return {
    id: 'suites',
    title: 'Suites',
    body: suites.map(({ name, failed, durationMs, rows }) =>
      details(
        html`${badge(failed ? 'bad' : 'good', name)} ${grouped(rows.length)} rows, ${seconds(durationMs)} of work`,
        table(
          [{ title: 'row' }, { title: 'result' }, right('images'), right('distinct'), right('time')],
          rows.map((row) => [
            row.name,
            row.result,
            count(row.images),
            count(row.distinctImages),
            seconds(row.durationMs),
          ]),
          name,
        ),
        failed || suites.length === 1,
      ),
    ),
  }
}

function lintSection({ lints }: ReportData): ReportSection {
  const rows = Object.entries(lints.violations).map(([name, found]) => [name, grouped(found)])
  return {
    id: 'lints',
    title: 'Lints',
    lead: 'Rules that hold for every trace, whatever the crash: nothing flushed twice, no empty fence, exact budgets.',
    body:
      lints.traces === 0
        ? html`<p>No traces were linted in this run.</p>`
        : [
            figures([
              { value: grouped(lints.traces), label: 'traces' },
              { value: grouped(lints.events), label: 'events' },
            ]),
            table([{ title: 'lint' }, right('violations')], rows, 'Lints'),
          ],
  }
}

function right(title: string): { readonly title: HtmlPart; readonly align: 'right' } {
  return { title, align: 'right' }
}

function count(value: number | undefined): string {
  return value === undefined ? '' : grouped(value)
}

function seconds(ms: number): string {
  return ms >= 120_000 ? `${Math.round(ms / 60_000)} min` : `${(ms / 1000).toFixed(1)} s`
}

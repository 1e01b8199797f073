import type { ReportData } from './report-data.js'

let shownAt = 0

/** One line on the terminal, overwritten by the next; nothing where nobody looks. */
export function showProgress(text: string): void {
  const now = performance.now()
  if (!process.stderr.isTTY || now - shownAt < 100) return
  shownAt = now
  process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns || 80) - 1)}`)
}

export function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
}

/** The figures of a run, the mutants, and one line in the end. */
export function printReport(report: ReportData): void {
  const rows = report.suites.flatMap((suite) => suite.rows).filter(({ name }) => !name.startsWith('mutant: '))
  printTable(
    ['row', 'points', 'images', 'distinct', 'seconds'],
    rows.map(({ name, points, images, distinctImages, durationMs }) => [
      name,
      figure(points),
      figure(images),
      figure(distinctImages),
      (durationMs / 1000).toFixed(1),
    ]),
  )
  if (report.models.length > 0) {
    printTable(
      ['model', 'points', 'images', 'distinct', 'violations'],
      report.models.map((one) => [
        one.model,
        ...[one.points, one.images, one.distinctImages, one.violations].map(figure),
      ]),
    )
  }
  if (report.mutants.length > 0) {
    printTable(
      ['mutant', 'breaks the rule', 'outcome', 'by'],
      report.mutants.map(({ name, protocol, rule, outcome, caughtBy, proof }) => [
        name,
        `${protocol === 'all' ? '' : `${protocol}: `}${rule}`,
        outcome,
        caughtBy ?? proof ?? '',
      ]),
    )
  }
  const { totals, lints } = report
  console.log(
    `\n${figure(totals.distinctImages)} distinct crash images (${figure(totals.images)} made at ${figure(totals.points)} ` +
      `crash points), ${totals.violations} violations`,
  )
  if (lints.traces > 0) {
    const found = Object.values(lints.violations).reduce((sum, count) => sum + count, 0)
    console.log(`${figure(lints.events)} events of ${figure(lints.traces)} traces linted, ${found} findings`)
  }
  if (totals.mutants > 0) {
    console.log(
      `${totals.mutants} mutants: ${totals.mutantsCaught} caught, ${totals.mutantsEquivalent} equivalent, ` +
        `${totals.mutantsSurvived} survived`,
    )
  }
  console.log(
    `${totals.suitesFailed} suites failed, ${Math.round(report.durationMs / 1000)} s on ${report.jobs} processes`,
  )
}

function figure(count: number | undefined): string {
  return count === undefined ? '' : count.toLocaleString('en')
}

/** Columns as wide as their widest cell, the last one as it is. */
function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  if (rows.length === 0) return
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (/^[\d,.]*$/.test(cell) ? cell.padStart(widths[column]) : cell.padEnd(widths[column])))
      .join('  ')
      .trimEnd()
  console.log(`\n${line(head)}`)
  for (const row of rows) console.log(line(row))
}

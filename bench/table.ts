import { goalText, type Row } from './rows.js'

const HEADINGS = ['workload', 'subject', 'figure', 'peer', 'figure', 'ratio (interval)', 'goal', 'verdict'] as const
const LEFT_ALIGNED = new Set([0, 1, 3, 7])

/** The rows as lines of aligned text, or of a Markdown table. */
export function formatTable(rows: readonly Row[], style: 'text' | 'markdown'): string {
  const cells = [HEADINGS as readonly string[], ...rows.map(cellsOf)]
  const widths = HEADINGS.map((_, column) => Math.max(...cells.map((row) => row[column].length)))
  const lines = cells.map((row) => row.map((text, column) => pad(text, widths[column], column)))
  const rule = widths.map((width, column) =>
    style === 'text' || LEFT_ALIGNED.has(column) ? '-'.repeat(width) : '-'.repeat(width - 1) + ':',
  )
  lines.splice(1, 0, rule)
  return lines.map((row) => (style === 'text' ? row.join('  ').trimEnd() : `| ${row.join(' | ')} |`)).join('\n')
}

function pad(text: string, width: number, column: number): string {
  return LEFT_ALIGNED.has(column) ? text.padEnd(width) : text.padStart(width)
}

/** The texts of a row, in the order of the headings. */
export function cellsOf(row: Row): string[] {
  const { figure: ours, peerFigure: theirs, unit, peerLabel, subjectLabel, title, verdict } = row
  return [
    title,
    subjectLabel,
    withUnit(ours, unit),
    peerLabel ?? '',
    peerLabel === undefined ? '' : withUnit(theirs, unit),
    ratioText(row),
    goalText(row),
    verdict,
  ]
}

function withUnit(summary: Row['figure'], unit: Row['unit']): string {
  return summary === undefined ? '-' : `${figure(summary.median)} ${unit}`.trimEnd()
}

/** Rounds that say nothing give no number that could be quoted: the interval alone is shown. */
export function ratioText({ ratio }: Pick<Row, 'ratio'>): string {
  if (ratio === undefined) return ''
  const interval = `(${figure(ratio.low)}..${figure(ratio.high)})`
  switch (ratio.quality) {
    case 'good':
      return `${figure(ratio.median)} ${interval}`
    case 'noisy':
      return `too noisy ${interval}`
    case 'few rounds':
      return `too few rounds ${interval}`
  }
}

/** Three significant digits, four from 1,000 on. */
export function figure(value: number): string {
  if (value === 0) return '0'
  if (value >= 100) return value.toFixed(0)
  if (value >= 10) return value.toFixed(1)
  return value.toFixed(value >= 1 ? 2 : 3)
}

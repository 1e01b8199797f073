import type { Row } from './rows.js'
import { subjects } from './subjects.js'

const HEADINGS = ['workload', 'subject', 'figure', 'peer', 'figure', 'ratio (p10..p90)', 'goal', 'verdict'] as const
const LEFT_ALIGNED = new Set([0, 1, 3, 7])

/** The rows as lines of aligned text, or of a Markdown table. */
export function formatTable(rows: readonly Row[], style: 'text' | 'markdown'): string {
  const cells = [HEADINGS as readonly string[], ...rows.map(cellsOf)]
  const widths = HEADINGS.map((_, column) => Math.max(...cells.map((row) => row[column].length)))
  const lines = cells.map((row) => row.map((text, column) => pad(text, widths[column], column)))
  const rule = widths.map((width, column) =>
    style === 'text' ? '-'.repeat(width) : LEFT_ALIGNED.has(column) ? '-'.repeat(width) : '-'.repeat(width - 1) + ':',
  )
  lines.splice(1, 0, rule)
  return lines.map((row) => (style === 'text' ? row.join('  ').trimEnd() : `| ${row.join(' | ')} |`)).join('\n')
}

function pad(text: string, width: number, column: number): string {
  return LEFT_ALIGNED.has(column) ? text.padEnd(width) : text.padStart(width)
}

function cellsOf({ spec, ours, theirs, ratio, verdict }: Row): string[] {
  return [
    spec.title,
    labelOf(spec.subject),
    ours === undefined ? '-' : `${figure(ours.median)} ${spec.unit}`,
    spec.peer === undefined ? '' : labelOf(spec.peer),
    spec.peer === undefined ? '' : theirs === undefined ? '-' : `${figure(theirs.median)} ${spec.unit}`,
    ratioText(ratio),
    goalText(spec),
    verdict,
  ]
}

function ratioText(ratio: Row['ratio']): string {
  if (ratio === undefined) return ''
  const spread = `(${ratio.p10.toFixed(2)}..${ratio.p90.toFixed(2)})`
  // A number would be quoted; the spread alone cannot be.
  return ratio.meaningless ? `too noisy ${spread}` : `${ratio.median.toFixed(2)} ${spread}`
}

function goalText({ goal, unit }: Row['spec']): string {
  if (goal === undefined) return ''
  return goal.kind === 'ratio' ? `>= ${String(goal.atLeast)}x` : `<= ${String(goal.atMost)} ${unit}`
}

function labelOf(id: string): string {
  return subjects.get(id)?.label ?? id
}

/** Three significant digits. */
export function figure(value: number): string {
  if (value >= 100) return value.toFixed(0)
  if (value >= 10) return value.toFixed(1)
  return value.toFixed(value >= 1 ? 2 : 3)
}

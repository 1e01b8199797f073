/** Figures and columns for people. */

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** `1536` -> `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || Number.isInteger(value) ? value : value.toFixed(1)} ${BYTE_UNITS[unit]}`
}

/** `1234567` -> `1,234,567`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US')
}

/** `1 row`, `2 rows`. */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** Pads the cells of each column to the same width; a column whose cells are all figures is right-aligned. */
export function formatTable(rows: readonly (readonly string[])[], indent = ''): string[] {
  const columnCount = Math.max(0, ...rows.map((row) => row.length))
  const widths: number[] = []
  const figures: boolean[] = []
  for (let column = 0; column < columnCount; column++) {
    const cells = rows.map((row) => row[column] ?? '')
    widths.push(Math.max(...cells.map((cell) => cell.length)))
    // The first row may be a heading.
    figures.push(rows.length > 1 && cells.slice(1).every((cell) => /^[\d,.]+$/.test(cell)))
  }
  return rows.map((row) => {
    const cells = row.map((cell, column) =>
      figures[column] ? cell.padStart(widths[column]) : cell.padEnd(widths[column]),
    )
    return `${indent}${cells.join('  ')}`.trimEnd()
  })
}

/** Cuts a line to the width of a terminal; undefined leaves it whole. */
export function clip(text: string, columns: number | undefined): string {
  if (columns === undefined || text.length <= columns) return text
  return `${text.slice(0, Math.max(0, columns - 1))}…`
}

/** A label before a text that is broken between words; the lines after the first are indented to match. */
export function formatFact(label: string, text: string, labelWidth: number, columns = 100): string[] {
  const lines: string[] = []
  let line = label.padEnd(labelWidth)
  let empty = true
  for (const word of text.split(' ')) {
    if (!empty && line.length + 1 + word.length > columns) {
      lines.push(line)
      line = ' '.repeat(labelWidth)
      empty = true
    }
    line += ` ${word}`
    empty = false
  }
  return [...lines, line]
}

/** The few parts of Markdown the tests of the documentation read: tables and fenced code blocks. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** A document of the repository, named by its path. */
export interface Document {
  readonly path: string
  readonly text: string
}

export function readDocument(path: string): Document {
  return { path, text: readFileSync(join(root, path), 'utf8') }
}

/** README.md, CONTRIBUTING.md, the examples' page and everything in docs/. */
export function allDocuments(): Document[] {
  const docs = readdirSync(join(root, 'docs'), { recursive: true })
    .map((name) => relative(root, join(root, 'docs', String(name))))
    .filter((path) => path.endsWith('.md'))
  return ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'examples/README.md', ...docs.sort()].map(readDocument)
}

export interface Table {
  /** The last line before it that is not empty (a heading, a comment, a sentence); empty right behind another table. */
  readonly before: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** All tables of a text, in order. */
export function tables(text: string): Table[] {
  const found: Table[] = []
  const lines = text.split('\n')
  let before = ''
  for (let at = 0; at < lines.length; at++) {
    if (!lines[at].startsWith('|')) {
      if (lines[at].trim() !== '') before = lines[at].trim()
      continue
    }
    const start = at
    while (at + 1 < lines.length && lines[at + 1].startsWith('|')) at++
    const [columns, , ...rows] = lines.slice(start, at + 1).map(cells)
    found.push({ before, columns, rows })
    before = ''
  }
  return found
}

/** The only table with these columns. */
export function tableWithColumns(text: string, ...columns: string[]): Table {
  const matching = tables(text).filter((table) => table.columns.join() === columns.join())
  if (matching.length !== 1) throw new Error(`${matching.length} tables have the columns ${columns.join(', ')}`)
  return matching[0]
}

function cells(line: string): string[] {
  return line
    .replace(/^\||\|\s*$/g, '')
    .split('|')
    .map((cell) => cell.trim())
}

/** The text of a cell that is one piece of inline code, or undefined. */
export function codeOf(cell: string): string | undefined {
  return /^`([^`]+)`$/.exec(cell)?.[1]
}

export interface CodeBlock {
  /** What follows the opening fence, such as `ts runnable`. */
  readonly info: string
  readonly code: string
  /** Line of the document its code begins at, counted from 1. */
  readonly line: number
}

/** All fenced code blocks of a text, in order. */
export function codeBlocks(text: string): CodeBlock[] {
  const blocks: CodeBlock[] = []
  const lines = text.split('\n')
  for (let at = 0; at < lines.length; at++) {
    const fence = /^```(.*)$/.exec(lines[at])
    if (fence === null) continue
    const end = lines.indexOf('```', at + 1)
    if (end < 0) throw new Error(`the code block in line ${at + 1} has no end`)
    blocks.push({ info: fence[1].trim(), code: lines.slice(at + 1, end).join('\n') + '\n', line: at + 2 })
    at = end
  }
  return blocks
}

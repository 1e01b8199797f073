/** The tables of docs/format.md that draw a structure: `<!-- layout: NAME, SIZE bytes, PREFIX -->` and a table. */
import { readDocument, tables } from './markdown.js'

export interface Field {
  readonly offset: number
  readonly bytes: number
  readonly type: string
  readonly name: string
  /** As in the document, in backquotes; empty where there is none. */
  readonly constant: string
}

export interface Layout {
  readonly name: string
  readonly sizeBytes: number
  /** What the names of its offset constants begin with; empty where there are none. */
  readonly prefix: string
  readonly fields: readonly Field[]
}

export const formatDocument = readDocument('docs/format.md').text

export const layouts: ReadonlyMap<string, Layout> = new Map(
  tables(formatDocument).flatMap(({ before, rows }) => {
    const marker = /^<!-- layout: ([a-z ]+), (\d+) bytes(?:, )?([A-Z_]*) -->$/.exec(before)
    if (marker === null) return []
    const fields = rows.map(([offset, bytes, type, name, constant]) => ({
      offset: Number(offset),
      bytes: Number(bytes),
      type,
      name: name === '' ? type : name,
      constant,
    }))
    const layout = { name: marker[1], sizeBytes: Number(marker[2]), prefix: marker[3], fields }
    return [[layout.name, layout] as const]
  }),
)

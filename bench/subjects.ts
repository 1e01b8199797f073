/** The engines under test, each with its options. A subject is one engine with one set of options. */
import type { Shape } from './data.js'

export type EngineName = 'daxkv' | 'lmdb' | 'sqlite' | 'level' | 'json-file' | 'lmdb-c' | 'pmemobj' | 'floor'

export interface Subject {
  readonly id: string
  /** How it is called in the table. */
  readonly label: string
  readonly engine: EngineName
  /** Subjects of one format can use each other's files. */
  readonly format: string
  /** daxkv: forced; without it the medium decides. */
  readonly granularity?: 'byte' | 'cache-line' | 'page'
  readonly logging?: 'undo' | 'redo'
  readonly executor?: 'portable'
  readonly keyEncoding?: 'ordered' | 'utf8'
  /** daxkv, better-sqlite3, classic-level, lmdb: commits return before they are on the medium. */
  readonly relaxed?: boolean
  /** lmdb: map the file writable. */
  readonly useWritemap?: boolean
  /** lmdb: store the shapes of objects once. */
  readonly sharedStructures?: boolean
}

const DAXKV = { engine: 'daxkv', format: 'daxkv' } as const
const LMDB = { engine: 'lmdb', format: 'lmdb' } as const

const list: readonly Subject[] = [
  { id: 'daxkv', label: 'daxkv (cache-line, forced)', ...DAXKV, granularity: 'cache-line' },
  {
    id: 'daxkv-redo',
    label: 'daxkv (cache-line, forced, redo)',
    ...DAXKV,
    granularity: 'cache-line',
    logging: 'redo',
  },
  { id: 'daxkv-byte', label: 'daxkv (byte, forced)', ...DAXKV, granularity: 'byte' },
  { id: 'daxkv-page', label: 'daxkv (page, forced)', ...DAXKV, granularity: 'page' },
  { id: 'daxkv-page-undo', label: 'daxkv (page, forced, undo)', ...DAXKV, granularity: 'page', logging: 'undo' },
  { id: 'daxkv-portable', label: 'daxkv (portable executor)', ...DAXKV, executor: 'portable' },
  {
    id: 'daxkv-utf8',
    label: 'daxkv utf8 keys (cache-line, forced)',
    engine: 'daxkv',
    format: 'daxkv-utf8',
    granularity: 'cache-line',
    keyEncoding: 'utf8',
  },
  { id: 'daxkv-detected', label: 'daxkv (as detected)', ...DAXKV },
  { id: 'daxkv-relaxed', label: 'daxkv (as detected, relaxed)', ...DAXKV, relaxed: true },
  { id: 'lmdb', label: 'lmdb', ...LMDB },
  { id: 'lmdb-writemap', label: 'lmdb useWritemap', ...LMDB, useWritemap: true },
  { id: 'lmdb-nosync', label: 'lmdb noSync', ...LMDB, relaxed: true },
  {
    id: 'lmdb-shared',
    label: 'lmdb sharedStructuresKey',
    engine: 'lmdb',
    format: 'lmdb-shared',
    sharedStructures: true,
  },
  { id: 'sqlite', label: 'better-sqlite3 WAL FULL', engine: 'sqlite', format: 'sqlite' },
  { id: 'sqlite-normal', label: 'better-sqlite3 WAL NORMAL', engine: 'sqlite', format: 'sqlite', relaxed: true },
  { id: 'level', label: 'classic-level sync', engine: 'level', format: 'level' },
  { id: 'level-async', label: 'classic-level async', engine: 'level', format: 'level', relaxed: true },
  { id: 'json-file', label: 'Map + JSON file', engine: 'json-file', format: 'json-file' },
  { id: 'lmdb-c', label: 'C LMDB WRITEMAP', engine: 'lmdb-c', format: 'lmdb-c' },
  { id: 'pmemobj', label: 'C libpmemobj', engine: 'pmemobj', format: 'pmemobj' },
  { id: 'msync-floor', label: 'one msync of one page', engine: 'floor', format: 'floor' },
]

export const subjects: ReadonlyMap<string, Subject> = new Map(list.map((subject) => [subject.id, subject]))

export function subjectOf(id: string): Subject {
  const subject = subjects.get(id)
  if (subject === undefined) throw new Error(`no subject called ${id}`)
  return subject
}

/** What an engine is opened with. */
export interface OpenRequest extends Shape {
  readonly subject: Subject
  readonly path: string
  /** daxkv: size of the log of a new pool. */
  readonly logSizeBytes?: number
}

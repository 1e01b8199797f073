/** The engines under test, each with its options. A subject is one engine with one set of options. */
import type { ValueKind } from './data.js'

export interface Subject {
  readonly id: string
  /** How it is called in the table. */
  readonly label: string
  readonly engine: 'daxkv' | 'lmdb' | 'sqlite' | 'level'
  /** Subjects of one format can use each other's files. */
  readonly format: string
  /** Forced; without it the medium decides. */
  readonly granularity?: 'byte' | 'cache-line' | 'page'
  readonly keyEncoding?: 'ordered' | 'utf8'
  readonly useWritemap?: boolean
  readonly sharedStructures?: boolean
}

const list: readonly Subject[] = [
  { id: 'daxkv', label: 'daxkv (cache-line, forced)', engine: 'daxkv', format: 'daxkv', granularity: 'cache-line' },
  {
    id: 'daxkv-utf8',
    label: 'daxkv utf8 keys (cache-line, forced)',
    engine: 'daxkv',
    format: 'daxkv-utf8',
    granularity: 'cache-line',
    keyEncoding: 'utf8',
  },
  { id: 'daxkv-detected', label: 'daxkv (as detected)', engine: 'daxkv', format: 'daxkv' },
  { id: 'lmdb', label: 'lmdb', engine: 'lmdb', format: 'lmdb' },
  { id: 'lmdb-writemap', label: 'lmdb useWritemap', engine: 'lmdb', format: 'lmdb', useWritemap: true },
  {
    id: 'lmdb-shared',
    label: 'lmdb sharedStructuresKey',
    engine: 'lmdb',
    format: 'lmdb-shared',
    sharedStructures: true,
  },
  { id: 'sqlite', label: 'better-sqlite3 WAL FULL', engine: 'sqlite', format: 'sqlite' },
  { id: 'level', label: 'classic-level sync', engine: 'level', format: 'level' },
]

export const subjects: ReadonlyMap<string, Subject> = new Map(list.map((subject) => [subject.id, subject]))

export function subjectOf(id: string): Subject {
  const subject = subjects.get(id)
  if (subject === undefined) throw new Error(`no subject called ${id}`)
  return subject
}

/** What an engine is opened with. */
export interface OpenRequest {
  readonly subject: Subject
  readonly path: string
  readonly values: ValueKind
}

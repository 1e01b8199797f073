import type { StoreHandle } from '../../../src/api/store.js'

/** What a pool holds as its user sees it: by keyspace, by printed key, the printed value. */
export type Content = ReadonlyMap<string, ReadonlyMap<string, string>>

/** A key or value as a string that tells apart what a program would tell apart. */
export function printed(value: unknown): string {
  if (value instanceof Uint8Array)
    return `b${Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1')}`
  if (typeof value === 'string') return `s${value}`
  return `j${JSON.stringify(value, replaceSpecial)}`
}

/** What damage may turn a value into need not be JSON. */
function replaceSpecial(_name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `bigint ${value}`
  if (typeof value === 'number' && !Number.isFinite(value)) return `number ${value}`
  if (value instanceof Map) return ['Map', ...value]
  if (value instanceof Set) return ['Set', ...value]
  return value
}

/** Reads everything. */
export function contentOf(store: StoreHandle): Content {
  const content = new Map<string, ReadonlyMap<string, string>>()
  for (const { name } of store.keyspaces()) {
    const entries = new Map<string, string>()
    const keyspace = name === '' ? store : store.keyspace<never, unknown>(name)
    for (const [key, value] of keyspace.range()) entries.set(printed(key), printed(value))
    content.set(name, entries)
  }
  return content
}

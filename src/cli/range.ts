import type { Command } from 'commander'
import type { AnyKey, RangeOptions } from '../index.js'
import {
  type AnyKeyspace,
  addBaseOptions,
  addKeyspaceOptions,
  addReadOptions,
  existingKeyspace,
  openForReading,
  parseCount,
  type ReadOptions,
} from './common.js'
import { clip } from './layout.js'
import { Output } from './output.js'
import { stringifyTagged, toTagged } from './tagged-json.js'
import { parseKey, showKey, showValue, TEXTS_HELP } from './texts.js'

const BOUNDS = ['gt', 'gte', 'lt', 'lte', 'prefix'] as const

interface RangeCommandOptions extends ReadOptions {
  readonly gt?: string
  readonly gte?: string
  readonly lt?: string
  readonly lte?: string
  readonly prefix?: string
  readonly reverse?: true
  readonly limit?: number
  readonly offset?: number
  readonly keys?: true
  readonly count?: true
}

export function addRange(program: Command): void {
  const command = program
    .command('range')
    .description('print rows in the order of their keys')
    .argument('<pool>', 'pool file')
  addKeyspaceOptions(command, false)
  command
    .option('--gt <key>', 'only keys after this one')
    .option('--gte <key>', 'only this key and keys after it')
    .option('--lt <key>', 'only keys before this one')
    .option('--lte <key>', 'only this key and keys before it')
    .option('--prefix <key>', 'only keys that begin with this (a text, or an array of first elements)')
    .option('-r, --reverse', 'from the last key to the first')
    .option('-n, --limit <rows>', 'at most this many rows', parseCount)
    .option('--offset <rows>', 'pass over this many rows first', parseCount)
    .option('--keys', 'print keys only')
    .option('--count', 'print the number of rows only')
  addBaseOptions(addReadOptions(command))
    .addHelpText(
      'after',
      `
Prints a row a line, key and value separated by a tab; on a terminal lines are cut to its width. With --json:
{"key": ..., "value": ...}, which daxkv load understands.

${TEXTS_HELP}

Examples:
  $ daxkv range orders.pool --keyspace users --prefix a --limit 10
  $ daxkv range orders.pool --gte '["2026-11", 0]' --lt '["2026-12", 0]' --json
  $ daxkv range orders.pool --reverse --limit 1
  $ daxkv range orders.pool --keyspace users --count`,
    )
    .action(range)
}

async function range(pool: string, options: RangeCommandOptions): Promise<void> {
  using store = openForReading(pool, options)
  const keyspace = existingKeyspace(store, options)
  const selection = selectionOf(keyspace, options)
  const output = new Output(process.stdout)
  if (options.count === true) {
    const count = keyspace.count(selection)
    output.line(options.json === true ? JSON.stringify({ count }) : String(count))
  } else if (options.keys === true) {
    for (const key of keyspace.keys(selection)) {
      const text = options.json === true ? JSON.stringify({ key: toTagged(key) }) : showKey(key, keyspace.keyEncoding)
      if (output.line(text)) await output.flush()
    }
  } else {
    for (const [key, value] of keyspace.range(selection)) {
      const text =
        options.json === true
          ? stringifyTagged({ key, value })
          : rowText(showKey(key, keyspace.keyEncoding), showValue(value, keyspace.valueEncoding), output.columns)
      if (output.line(text)) await output.flush()
    }
  }
  await output.flush()
}

function rowText(key: string, value: string, columns: number | undefined): string {
  return columns === undefined ? `${key}\t${value}` : clip(`${key}  ${value}`, columns)
}

function selectionOf(keyspace: AnyKeyspace, options: RangeCommandOptions): RangeOptions<AnyKey> {
  const bounds = BOUNDS.flatMap((name) => {
    const text = options[name]
    return text === undefined ? [] : [[name, parseKey(text, keyspace.keyEncoding)] as const]
  })
  return {
    ...Object.fromEntries(bounds),
    reverse: options.reverse ?? false,
    ...(options.limit === undefined ? {} : { limit: options.limit }),
    ...(options.offset === undefined ? {} : { offset: options.offset }),
  }
}

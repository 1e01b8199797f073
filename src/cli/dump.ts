import type { Command } from 'commander'
import {
  type AnyKeyspace,
  addBaseOptions,
  addReadOptions,
  existingKeyspace,
  openForReading,
  type ReadOptions,
} from './common.js'
import { Output } from './output.js'
import { stringifyTagged } from './tagged-json.js'

export function addDump(program: Command): void {
  const command = program
    .command('dump')
    .description('print whole keyspaces as JSON lines, which load reads back')
    .argument('<pool>', 'pool file')
    .option('-k, --keyspace <name>', 'only this keyspace ("" for the one without a name); default: all of them')
  addBaseOptions(addReadOptions(command))
    .addHelpText(
      'after',
      `
With --keyspace, a line a row: {"key": ..., "value": ...}. Without, each keyspace begins with a line that declares it,
{"keyspace": name, "keyEncoding": ..., "valueEncoding": ...}, and the rows of named ones say where they belong.
What JSON has no word for is written as {"$daxkv": type, "data": ...}: nothing is lost on the way through load.

Examples:
  $ daxkv dump orders.pool > orders.jsonl
  $ daxkv dump orders.pool | daxkv load copy.pool -
  $ daxkv dump orders.pool --keyspace users | jq .value.name`,
    )
    .action(dump)
}

async function dump(pool: string, options: ReadOptions): Promise<void> {
  using store = openForReading(pool, options)
  const output = new Output(process.stdout)
  if (options.keyspace !== undefined) {
    await dumpRows(existingKeyspace(store, options), {}, output)
    return
  }
  for (const { name, keyEncoding, valueEncoding } of store.keyspaces()) {
    output.line(JSON.stringify({ keyspace: name, keyEncoding, valueEncoding }))
    await dumpRows(existingKeyspace(store, { keyspace: name }), name === '' ? {} : { keyspace: name }, output)
  }
}

async function dumpRows(keyspace: AnyKeyspace, head: { keyspace?: string }, output: Output): Promise<void> {
  for (const [key, value] of keyspace.range()) {
    if (output.line(stringifyTagged({ ...head, key, value }))) await output.flush()
  }
  await output.flush()
}

import type { Command } from 'commander'
import { CliError } from './cli-error.js'
import {
  type AnyKeyspace,
  addBaseOptions,
  addKeyspaceOptions,
  addReadOptions,
  describeKeyspace,
  existingKeyspace,
  openForReading,
  type ReadOptions,
} from './common.js'
import { Output } from './output.js'
import { stringifyTagged, toTagged } from './tagged-json.js'
import { parseKey, showKey, showValue, TEXTS_HELP } from './texts.js'

interface GetOptions extends ReadOptions {
  readonly raw?: true
}

export function addGet(program: Command): void {
  const command = program
    .command('get')
    .description('print the value of a key')
    .argument('<pool>', 'pool file')
    .argument('<key>', 'key')
  addKeyspaceOptions(command, false)
  command.option('--raw', 'print the stored bytes as they are')
  addBaseOptions(addReadOptions(command))
    .addHelpText(
      'after',
      `
${TEXTS_HELP}

Exit status 1 when there is no such key.

Examples:
  $ daxkv get orders.pool ada --keyspace users
  $ daxkv get orders.pool '["2026-11-20", 17]' --json
  $ daxkv get photos.pool cat.png --raw > cat.png`,
    )
    .action(get)
}

async function get(pool: string, keyText: string, options: GetOptions): Promise<void> {
  using store = openForReading(pool, options)
  const keyspace = existingKeyspace(store, options)
  const key = parseKey(keyText, keyspace.keyEncoding)
  const output = new Output(process.stdout)
  if (options.raw === true) {
    await output.write(keyspace.getBinary(key) ?? absent(keyspace, keyText))
    return
  }
  const value = keyspace.get(key)
  if (options.json === true) {
    const row = { key: toTagged(key), found: value !== undefined }
    output.line(JSON.stringify(value === undefined ? row : { ...row, value: toTagged(value) }))
    await output.flush()
    if (value === undefined) absent(keyspace, keyText)
    return
  }
  if (value === undefined) absent(keyspace, keyText)
  await output.write(display(value, keyspace, output.columns !== undefined))
}

/** A single value needs no quotes, and bytes go out as bytes unless a person is looking. */
function display(value: unknown, keyspace: AnyKeyspace, onTerminal: boolean): string | Uint8Array {
  if (typeof value === 'string') return `${value}\n`
  if (keyspace.valueEncoding !== 'binary') return `${stringifyTagged(value, 2)}\n`
  return onTerminal ? `${showValue(value, 'binary')}\n` : (value as Buffer)
}

function absent(keyspace: AnyKeyspace, keyText: string): never {
  const key = showKey(parseKey(keyText, keyspace.keyEncoding), keyspace.keyEncoding)
  throw new CliError('KEY_NOT_FOUND', `no key ${key} in ${describeKeyspace(keyspace.name)}`)
}

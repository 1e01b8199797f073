import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { CliError } from './cli-error.js'
import {
  addBaseOptions,
  addKeyspaceOptions,
  addWriteOptions,
  keyspaceForWriting,
  openForWriting,
  type WriteOptions,
} from './common.js'
import { Output } from './output.js'
import { toTagged } from './tagged-json.js'
import { parseKey, parseValue, showKey, TEXTS_HELP } from './texts.js'

interface PutOptions extends WriteOptions {
  readonly file?: string
  readonly ifAbsent?: true
}

export function addPut(program: Command): void {
  const command = program
    .command('put')
    .description('set the value of a key; creates the pool if there is none')
    .argument('<pool>', 'pool file')
    .argument('<key>', 'key')
    .argument('[value]', 'value; - reads it from standard input')
  addKeyspaceOptions(command, true)
  command
    .option('-f, --file <path>', 'read the value from a file')
    .option('--if-absent', 'only if the key does not exist (exit status 1 if it does)')
  addBaseOptions(addWriteOptions(command))
    .addHelpText(
      'after',
      `
${TEXTS_HELP}
        A value from a file or standard input follows the same rules; binary keyspaces store its bytes.

When the command ends with status 0, the value is durable (see daxkv info: persistence).

Examples:
  $ daxkv put orders.pool ada '{"name": "Ada"}' --keyspace users
  $ daxkv put orders.pool '["2026-11-20", 17]' 12.50
  $ daxkv put photos.pool cat.png --file cat.png --key-encoding utf8 --value-encoding binary`,
    )
    .action(put)
}

async function put(pool: string, keyText: string, valueText: string | undefined, options: PutOptions): Promise<void> {
  // Read before the pool is opened: nobody is locked out while we wait for input.
  const input = readInput(valueText, options.file)
  using store = openForWriting(pool, options)
  const keyspace = keyspaceForWriting(store, options.keyspace ?? '', options)
  const key = parseKey(keyText, keyspace.keyEncoding)
  const value = typeof input === 'string' ? parseValue(input, keyspace.valueEncoding) : fromBytes(input, keyspace)
  let stored = true
  if (options.ifAbsent === true) stored = keyspace.putIfAbsent(key, value)
  else keyspace.put(key, value)
  if (options.json === true) {
    const output = new Output(process.stdout)
    output.line(JSON.stringify({ key: toTagged(key), stored }))
    await output.flush()
  }
  if (!stored) throw new CliError('KEY_EXISTS', `key ${showKey(key, keyspace.keyEncoding)} exists already`)
}

function readInput(valueText: string | undefined, file: string | undefined): string | Buffer {
  if (valueText !== undefined && file !== undefined) throw new CliError('USAGE', 'give a value or --file, not both')
  if (valueText !== undefined && valueText !== '-') return valueText
  if (valueText === undefined && file === undefined) {
    throw new CliError('USAGE', 'a value is missing: give it as an argument, with --file, or - for standard input')
  }
  try {
    return readFileSync(file ?? 0)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new CliError('BAD_INPUT', `cannot read the value: ${reason}`, error)
  }
}

function fromBytes(bytes: Buffer, keyspace: { readonly valueEncoding: Parameters<typeof parseValue>[1] }): unknown {
  if (keyspace.valueEncoding === 'binary') return bytes
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new CliError('BAD_INPUT', 'the value is not UTF-8 text; only binary keyspaces take other bytes', error)
  }
  // The line end an editor or echo adds is not part of a number or a word; text keyspaces keep every character.
  return parseValue(keyspace.valueEncoding === 'string' ? text : text.replace(/\r?\n$/, ''), keyspace.valueEncoding)
}

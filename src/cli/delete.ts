import type { Command } from 'commander'
import { CliError } from './cli-error.js'
import {
  addBaseOptions,
  addKeyspaceOptions,
  type BaseOptions,
  describeKeyspace,
  existingKeyspace,
  type KeyspaceChoice,
  openForWriting,
} from './common.js'
import { Output } from './output.js'
import { toTagged } from './tagged-json.js'
import { parseKey, showKey, TEXTS_HELP } from './texts.js'

export function addDelete(program: Command): void {
  const command = program
    .command('delete')
    .description('remove keys, in one transaction')
    .argument('<pool>', 'pool file')
    .argument('<key...>', 'keys')
  addKeyspaceOptions(command, false)
  addBaseOptions(command)
    .addHelpText(
      'after',
      `
${TEXTS_HELP}

Exit status 1 when one of the keys was not there; the others are removed all the same.

Examples:
  $ daxkv delete orders.pool ada --keyspace users
  $ daxkv delete orders.pool 17 18 19`,
    )
    .action(remove)
}

async function remove(pool: string, keyTexts: string[], options: BaseOptions & KeyspaceChoice): Promise<void> {
  using store = openForWriting(pool, { ...options, create: false })
  const keyspace = existingKeyspace(store, options)
  const keys = keyTexts.map((text) => parseKey(text, keyspace.keyEncoding))
  const deleted = store.transaction(() => keys.map((key) => keyspace.delete(key)))
  if (options.json === true) {
    const output = new Output(process.stdout)
    keys.forEach((key, i) => output.line(JSON.stringify({ key: toTagged(key), deleted: deleted[i] })))
    await output.flush()
  }
  const absent = keys.filter((_key, i) => !deleted[i]).map((key) => showKey(key, keyspace.keyEncoding))
  if (absent.length > 0)
    throw new CliError('KEY_NOT_FOUND', `no key ${absent.join(', ')} in ${describeKeyspace(keyspace.name)}`)
}

import type { Command } from 'commander'
import type { Store } from '../index.js'
import {
  addBaseOptions,
  addReadOptions,
  describeRecovery,
  openForReading,
  type ReadOptions,
  showKeyspace,
} from './common.js'
import { formatBytes, formatCount, formatFact, formatTable } from './layout.js'
import { Output } from './output.js'

const PAGE_BYTES = 4096

export function addInfo(program: Command): void {
  const command = program
    .command('info')
    .description('identity, persistence, sizes, keyspaces and last recovery of a pool')
    .argument('<pool>', 'pool file')
  addBaseOptions(addReadOptions(command))
    .addHelpText(
      'after',
      `
Examples:
  $ daxkv info orders.pool
  $ daxkv info orders.pool --json | jq .keyspaces`,
    )
    .action(info)
}

async function info(pool: string, options: ReadOptions): Promise<void> {
  using store = openForReading(pool, options)
  const output = new Output(process.stdout)
  if (options.json === true) {
    const { path, persistence } = store
    output.line(JSON.stringify({ path, persistence, stats: store.stats(), keyspaces: store.keyspaces() }))
  } else {
    for (const line of describe(store, output.columns)) output.line(line)
  }
  await output.flush()
}

function describe(store: Store, columns: number | undefined): string[] {
  const stats = store.stats()
  const { persistence } = store
  const usedBytes = stats.allocatedPages * PAGE_BYTES
  const share = Math.round((100 * stats.allocatedPages) / stats.capacityPages)
  const facts: [string, string][] = [
    ['pool', store.path],
    ['identity', `${stats.uuid}, format ${stats.formatVersion}, created ${stats.createdAt.toISOString()}`],
    ['size', `${formatBytes(stats.capacityBytes)}, ${formatBytes(usedBytes)} of it in use (${share} %)`],
    ['log', formatBytes(stats.logPages * PAGE_BYTES)],
    ['transactions', formatCount(stats.txid)],
    ['last close', lastClose(store)],
    ['persistence', `${persistence.granularity}${persistence.forced ? ' (FORCED: void against power loss)' : ''}`],
    ['', persistence.reason],
    [
      '',
      `flush ${persistence.flushInstruction}, domain ${persistence.persistenceDomain}, MAP_SYNC ${yes(persistence.mapSync)}`,
    ],
  ]
  const keyspaces = store
    .keyspaces()
    .map((info) => [showKeyspace(info.name), info.keyEncoding, info.valueEncoding, formatCount(info.entries)])
  return [
    ...facts.flatMap(([name, value]) => formatFact(name, value, 12, columns)),
    '',
    ...formatTable([['KEYSPACE', 'KEYS', 'VALUES', 'ENTRIES'], ...keyspaces]),
  ]
}

function lastClose(store: Store): string {
  const recovery = describeRecovery(store)
  return recovery === undefined ? 'clean' : `not clean; ${recovery}`
}

function yes(value: boolean): string {
  return value ? 'yes' : 'no'
}

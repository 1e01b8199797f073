import type { Command } from 'commander'
import type { Store } from '../index.js'
import { addBaseOptions, addReadOptions, openForReading, type ReadOptions, showKeyspace } from './common.js'
import { formatBytes, formatCount, formatTable } from './layout.js'
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
    for (const line of describe(store)) output.line(line)
  }
  await output.flush()
}

function describe(store: Store): string[] {
  const stats = store.stats()
  const { persistence } = store
  const usedBytes = stats.allocatedPages * PAGE_BYTES
  const share = Math.round((100 * stats.allocatedPages) / stats.capacityPages)
  const facts: [string, string][] = [
    ['pool', store.path],
    ['size', `${formatBytes(stats.capacityBytes)}, ${formatBytes(usedBytes)} of it in use (${share} %)`],
    ['log', formatBytes(stats.logPages * PAGE_BYTES)],
    ['transactions', formatCount(stats.txid)],
    ['shutdown', describeRecovery(store)],
    ['persistence', `${persistence.granularity}${persistence.forced ? ' (FORCED: void against power loss)' : ''}`],
    ['', persistence.reason],
    ['', `flush ${persistence.flushInstruction}, domain ${persistence.persistenceDomain}, MAP_SYNC ${yes(persistence.mapSync)}`],
  ]
  const keyspaces = store
    .keyspaces()
    .map((info) => [showKeyspace(info.name), info.keyEncoding, info.valueEncoding, formatCount(info.entries)])
  return [
    ...facts.map(([name, value]) => `${name.padEnd(13)} ${value}`),
    '',
    ...formatTable([['KEYSPACE', 'KEYS', 'VALUES', 'ENTRIES'], ...keyspaces]),
  ]
}

function describeRecovery(store: Store): string {
  const { outcome, txid, lines } = store.stats().recovery
  switch (outcome) {
    case 'clean':
      return 'clean'
    case 'nothing':
      return 'not clean; no transaction was under way, nothing to repair'
    case 'finished':
      return `not clean; transaction ${txid} was complete, ${lines} cache lines made durable again`
    case 'rolled-back':
      return `not clean; transaction ${txid} was torn and has been rolled back, ${lines} cache lines restored`
    case 'replayed':
      return `not clean; the log up to transaction ${txid} was applied again, ${lines} cache lines stored`
  }
}

function yes(value: boolean): string {
  return value ? 'yes' : 'no'
}

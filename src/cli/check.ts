import type { Command } from 'commander'
import type { CheckProblem, CheckReport } from '../index.js'
import { CliError } from './cli-error.js'
import { addBaseOptions, addReadOptions, openForReading, type ReadOptions, showKeyspace } from './common.js'
import { formatCount, formatTable, plural } from './layout.js'
import { Output } from './output.js'

export function addCheck(program: Command): void {
  const command = program
    .command('check')
    .description('walk the whole pool and report damage')
    .argument('<pool>', 'pool file')
  addBaseOptions(addReadOptions(command))
    .addHelpText(
      'after',
      `
Reads every page in use: checksums, structure and order of the trees, entry counts, and that every page is reachable
exactly once or free. Changes nothing (except with --recover). Exit status 3 when the pool is damaged.

Examples:
  $ daxkv check orders.pool
  $ daxkv check orders.pool --json | jq '.problems[].message'`,
    )
    .action(check)
}

async function check(pool: string, options: ReadOptions): Promise<void> {
  using store = openForReading(pool, options)
  const report = store.check()
  const output = new Output(process.stdout)
  const lines = options.json === true ? [JSON.stringify({ path: pool, ...report })] : describe(report)
  for (const line of lines) output.line(line)
  await output.flush()
  if (!report.ok) {
    throw new CliError(
      'DAMAGED',
      `${pool}: ${plural(report.problems.length, 'problem')}; restore the pool from a backup`,
    )
  }
}

function describe(report: CheckReport): string[] {
  const { pages } = report
  return [
    ...formatTable([
      ['PAGES', formatCount(pages.capacity)],
      ['reserved', formatCount(pages.reserved)],
      ['trees', formatCount(pages.tree)],
      ['large values', formatCount(pages.extent)],
      ['free', formatCount(pages.free)],
    ]),
    '',
    ...formatTable([
      ['KEYSPACE', 'ENTRIES'],
      ...report.keyspaces.map((info) => [showKeyspace(info.name), formatCount(info.entries)]),
    ]),
    '',
    ...(report.ok ? ['no damage'] : report.problems.map(describeProblem)),
  ]
}

function describeProblem({ message, keyspace, pageId, offset }: CheckProblem): string {
  const where = [
    ...(keyspace === undefined ? [] : [`keyspace ${showKeyspace(keyspace)}`]),
    ...(pageId === undefined ? [] : [`page ${pageId}`]),
    ...(offset === undefined ? [] : [`offset ${offset}`]),
  ]
  return `damage: ${message}${where.length === 0 ? '' : ` (${where.join(', ')})`}`
}

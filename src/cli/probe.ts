import type { Command } from 'commander'
import { type ProbeReport, probePath } from '../index.js'
import { addBaseOptions, type BaseOptions } from './common.js'
import { EXIT_NEGATIVE } from './exit-codes.js'
import { formatBytes, formatFact, plural } from './layout.js'
import { Output } from './output.js'

export function addProbe(program: Command): void {
  const command = program
    .command('probe')
    .description('say whether a file system is good for flushes without fsync, and why or why not')
    .argument('<path>', 'a directory, or a pool or other file')
  addBaseOptions(command)
    .addHelpText(
      'after',
      `
Asks the kernel for MAP_SYNC on the file itself (in a directory: on a temporary file, removed again), the only answer
that counts. Exit status 0 when a commit needs no system call there, 1 when it needs msync.

Examples:
  $ daxkv probe /mnt/pmem
  $ daxkv probe orders.pool --json | jq .granularity`,
    )
    .action(probe)
}

async function probe(path: string, options: BaseOptions): Promise<void> {
  const report = probePath(path)
  const good = report.granularity !== 'page'
  const output = new Output(process.stdout)
  const lines = options.json === true ? [JSON.stringify({ good, ...report })] : describe(report, good, output.columns)
  for (const line of lines) output.line(line)
  await output.flush()
  // An answer, not an error: nothing on standard error.
  if (!good) process.exitCode = EXIT_NEGATIVE
}

function describe(report: ProbeReport, good: boolean, columns: number | undefined): string[] {
  const { unsafeRanges } = report
  const unsafeBytes = unsafeRanges.reduce((sum, range) => sum + range.length, 0)
  const facts: [string, string][] = [
    ['path', `${report.path} (${report.target} on ${report.fileSystem})`],
    ['granularity', report.granularity],
    ['why', report.reason],
    ['MAP_SYNC', report.mapSync ? 'granted' : `refused (${report.mapSyncErrno ?? 'unknown'})`],
    ['DAX', report.statxDax === undefined ? 'the file system does not say' : report.statxDax ? 'yes' : 'no'],
    ['flush', `${report.flushInstruction}, persistence domain ${report.persistenceDomain}`],
  ]
  if (unsafeRanges.length > 0) {
    const ranges = `${plural(unsafeRanges.length, 'range')} of ${formatBytes(unsafeBytes)}`
    facts.push(['layout', `holes, unwritten or shared extents: ${ranges}; opening the pool for writing repairs them`])
  }
  return [
    `${good ? 'yes' : 'no'}: flushes ${good ? 'are enough' : 'alone are not enough'} here`,
    ...formatFact('', report.verdict, 0, columns).map((line) => line.trim()),
    '',
    ...facts.flatMap(([name, value]) => formatFact(name, value, 11, columns)),
  ]
}

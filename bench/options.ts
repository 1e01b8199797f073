import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

/** `wall`: elapsed time. `cpu`: time the work had a processor, for machines with other work. */
export type Clock = 'wall' | 'cpu'

export interface BenchOptions {
  /** The whole matrix instead of the goal rows. */
  readonly full: boolean
  /** Only workloads whose id is or contains one of these; all of the suite when empty. */
  readonly only: readonly string[]
  /** Entries of the data sets. */
  readonly keys: number
  /** Rounds of each workload. */
  readonly rounds: number
  /** Where the stores of the memory rows are made: memory, so that no disk is measured. */
  readonly directory: string
  /** Where the stores of the disk rows are made. */
  readonly diskDirectory: string
  /** What the ratios of the memory rows are made of. */
  readonly clock: Clock
  /** Where the result goes; default a new file under `bench/results`. */
  readonly jsonPath: string | undefined
  /** Where the page goes; default beside the result. */
  readonly htmlPath: string | undefined
  /** Report on this result instead of measuring. */
  readonly from: string | undefined
  /** Fail on regressions against this result. */
  readonly compare: string | undefined
  /** Put table and plot of the result into docs/benchmarks.md, and the result into bench/baseline.json. */
  readonly docs: boolean
  /** Profile this workload instead of measuring. */
  readonly profile: string | undefined
  readonly list: boolean
  readonly help: boolean
}

export const DEFAULT_KEYS = 1_000_000
export const DEFAULT_ROUNDS = 5
/** `--quick` shows that everything runs; its figures mean nothing. */
export const QUICK_KEYS = 5000
export const QUICK_ROUNDS = 1
/** Below this the batches of a workload would be empty. */
const LEAST_KEYS = 1000
/** Data sets beyond this do not fit a development machine's memory twice over. */
const MOST_KEYS = 50_000_000

export const USAGE = `npm run bench -- [options]

  (none)            the goal rows at ${DEFAULT_KEYS.toLocaleString('en-US')} keys, in at most ten minutes
  --full            the whole matrix of engines, workloads and sizes; takes an hour or more
  --quick           the goal rows at ${String(QUICK_KEYS)} keys, one round: shows that everything runs, figures mean nothing
  --only W[,W...]   only workloads whose id is or contains W (may be repeated)
  --keys N          entries of the data sets (default ${String(DEFAULT_KEYS)})
  --rounds N        rounds of each workload, at most (default ${String(DEFAULT_ROUNDS)})
  --dir PATH        where stores are made (default /dev/shm, else the temporary directory)
  --disk-dir PATH   where the stores of the disk rows are made (default .cache/bench)
  --clock wall|cpu  elapsed time (default), or processor time where other work disturbs; disk rows always elapsed
  --json FILE       where the result is written (default bench/results/<time>.json)
  --html FILE       where the page with the charts is written (default beside the result)
  --compare FILE    compare with an earlier result and fail on regressions beyond the noise of both
  --from FILE       do not measure: table, page and comparison of this result
  --docs            also put the result's table into docs/benchmarks.md and the result into bench/baseline.json
  --profile W       profile daxkv in workload W instead: writes bench/profiles/*.cpuprofile and prints the top functions
  --list            the workloads and their rows
  --help            this text

Exit code 0 when everything ran, also when a goal is missed; 1 when a measurement failed or --compare found a
regression (or could not compare); 2 for wrong options.
`

export class UsageError extends Error {}

export function parseOptions(argv: readonly string[], repository: string): BenchOptions {
  const values = parsed(argv)
  const quick = values.quick ?? false
  return {
    full: values.full ?? false,
    only: (values.only ?? []).flatMap((list) => list.split(',')).filter((word) => word !== ''),
    keys: integer('--keys', values.keys, quick ? QUICK_KEYS : DEFAULT_KEYS, LEAST_KEYS, MOST_KEYS),
    rounds: integer('--rounds', values.rounds, quick ? QUICK_ROUNDS : DEFAULT_ROUNDS, 1, 100),
    directory: values.dir ?? (existsSync('/dev/shm') ? '/dev/shm' : tmpdir()),
    diskDirectory: values['disk-dir'] ?? join(repository, '.cache', 'bench'),
    clock: clock(values.clock),
    jsonPath: values.json,
    htmlPath: values.html,
    from: values.from,
    compare: values.compare,
    docs: values.docs ?? false,
    profile: values.profile,
    list: values.list ?? false,
    help: values.help ?? false,
  }
}

function parsed(argv: readonly string[]): ReturnType<typeof parse>['values'] {
  try {
    return parse(argv).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

const parse = (argv: readonly string[]) =>
  parseArgs({
    args: [...argv],
    options: {
      full: { type: 'boolean' },
      quick: { type: 'boolean' },
      only: { type: 'string', multiple: true },
      keys: { type: 'string' },
      rounds: { type: 'string' },
      dir: { type: 'string' },
      'disk-dir': { type: 'string' },
      clock: { type: 'string' },
      json: { type: 'string' },
      html: { type: 'string' },
      from: { type: 'string' },
      compare: { type: 'string' },
      docs: { type: 'boolean' },
      profile: { type: 'string' },
      list: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })

function clock(text: string | undefined): Clock {
  if (text === undefined || text === 'wall' || text === 'cpu') return text ?? 'wall'
  throw new UsageError(`--clock takes wall or cpu, got ${text}`)
}

function integer(name: string, text: string | undefined, fallback: number, least: number, most: number): number {
  if (text === undefined) return fallback
  // 1e6 and 1_000_000 are what people type here.
  const value = Number(text.replaceAll('_', ''))
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new UsageError(`${name} takes an integer from ${String(least)} to ${String(most)}, got ${text}`)
  }
  return value
}

/**
 * The C programs of bench/native: native peers and the processor's floor. They are compiled when first needed; where the
 * compiler or a library is missing, what they measure is left out, with one line that says what to install.
 */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { sizeOf } from './drivers/load.js'
import type { BaseMetric, CrashJob, FloorJob, Job, Measurement, Operation } from './jobs.js'
import { quantile } from './statistics.js'
import { Unavailable } from './unavailable.js'

type NativePeer = 'lmdb-c' | 'pmemobj'
type ProgramName = NativePeer | 'floor'

interface Program {
  readonly sources: readonly string[]
  readonly libraries: readonly string[]
  /** Debian package of the library. */
  readonly debianPackage?: string
  /** Operations of the driver `micro` it knows. */
  readonly operations: readonly Operation[]
}

const PROGRAMS: Readonly<Record<ProgramName, Program>> = {
  'lmdb-c': {
    sources: ['driver.c', 'lmdb.c'],
    libraries: ['-llmdb'],
    debianPackage: 'liblmdb-dev',
    operations: ['put', 'transaction', 'remove', 'view', 'miss', 'range'],
  },
  pmemobj: {
    sources: ['driver.c', 'pmemobj.c'],
    libraries: ['-lpmemobj'],
    debianPackage: 'libpmemobj-dev',
    operations: ['put', 'transaction', 'view', 'miss', 'range'],
  },
  floor: { sources: ['floor.c'], libraries: [], operations: [] },
}
const COMPILER = 'cc'
const MOST_OUTPUT_BYTES = 64 * 2 ** 20
const FLUSH_INSTRUCTIONS = ['clwb', 'clflushopt', 'clflush'] as const
const FLOOR_METRICS = ['fenceUs', 'fenceTenLinesUs', 'streamFenceUs'] as const

/** What a driver prints. */
interface DriverOutput {
  readonly wallUs: number
  readonly cpuUs: number
  readonly checksum: number
  readonly count: number
  readonly batchUs: readonly number[]
}

export class NativePrograms {
  private readonly compiled = new Map<ProgramName, string | Unavailable>()

  /**
   * @param sourceDirectory bench/native of the repository
   * @param build where the programs are put
   */
  constructor(
    private readonly sourceDirectory: string,
    private readonly build: string,
    private readonly report: (line: string) => void,
  ) {}

  serves(job: Exclude<Job, FloorJob | CrashJob>): boolean {
    return job.subject.engine === 'lmdb-c' || job.subject.engine === 'pmemobj'
  }

  /** @throws Unavailable where the program cannot be had, or does not know the job. */
  async run(job: Exclude<Job, FloorJob | CrashJob>): Promise<Measurement> {
    const peer = job.subject.engine as NativePeer
    const known = job.kind === 'micro' ? PROGRAMS[peer].operations.includes(job.operation) : isKnownKind(job.kind)
    if (!known || job.keyKind !== 'string' || job.values !== 'binary') {
      throw new Unavailable(`${job.subject.label}: its driver does not measure this`)
    }
    const program = this.program(peer)
    const parameters = Object.entries(job).filter(([, value]) => typeof value !== 'object')
    const given = Object.fromEntries([['rows', 1], ...parameters]) as Record<string, string | number>
    const { stdout } = await promisify(execFile)(
      program,
      Object.entries(given).map(([name, value]) => `${name}=${String(value)}`),
      {
        maxBuffer: MOST_OUTPUT_BYTES,
        // The library would ask the file system, which is no persistent memory: as with forceGranularity.
        env: { ...process.env, PMEM_IS_PMEM_FORCE: '1' },
      },
    )
    return measurementOf(job, JSON.parse(stdout) as DriverOutput)
  }

  /** Flush and fence of the processor; empty where it cannot be measured. */
  floor(): Partial<Record<BaseMetric, number>> {
    let program: string
    try {
      program = this.program('floor')
    } catch (error) {
      if (error instanceof Unavailable) return {}
      throw error
    }
    const { status, stdout } = spawnSync(program, [`flush=${flushInstruction()}`], { encoding: 'utf8' })
    if (status !== 0) return {}
    const figures = JSON.parse(stdout) as Record<string, number>
    return Object.fromEntries(FLOOR_METRICS.map((metric) => [metric, figures[metric]]))
  }

  private program(name: ProgramName): string {
    let outcome = this.compiled.get(name)
    if (outcome === undefined) {
      outcome = this.compile(name)
      this.compiled.set(name, outcome)
      if (outcome instanceof Unavailable) this.report(`left out: ${outcome.message}`)
    }
    if (outcome instanceof Unavailable) throw outcome
    return outcome
  }

  private compile(name: ProgramName): string | Unavailable {
    const { sources, libraries, debianPackage } = PROGRAMS[name]
    const output = join(this.build, name)
    const inputs = sources.map((source) => join(this.sourceDirectory, source))
    if (existsSync(output) && inputs.every((input) => statSync(input).mtimeMs < statSync(output).mtimeMs)) return output
    const { error, status, stderr } = spawnSync(
      COMPILER,
      ['-O2', '-std=gnu11', '-o', output, ...inputs, ...libraries],
      {
        encoding: 'utf8',
      },
    )
    if (error !== undefined) return new Unavailable(`${name}: no C compiler (Debian: apt-get install gcc libc6-dev)`)
    if (status === 0) return output
    const missing = /fatal error: \S+\.h: No such file|cannot find -l/.test(stderr)
    return new Unavailable(
      missing && debianPackage !== undefined
        ? `${name}: its library is missing (Debian: apt-get install ${debianPackage})`
        : `${name}: does not compile: ${stderr.split('\n').find((line) => line.includes('error')) ?? stderr.trim()}`,
    )
  }
}

function isKnownKind(kind: Job['kind']): boolean {
  return kind === 'load' || kind === 'pass'
}

function measurementOf(job: Exclude<Job, FloorJob | CrashJob>, output: DriverOutput): Measurement {
  const { wallUs, cpuUs, batchUs, checksum, count } = output
  if (job.kind === 'load') {
    if (count !== job.keys)
      throw new Error(`${job.subject.id}: ${String(count)} entries after loading ${String(job.keys)}`)
    const fileBytesPerKey = sizeOf(job.path) / job.keys
    return { metrics: { usPerRow: wallUs / job.keys, cpuUsPerRow: cpuUs / job.keys, fileBytesPerKey } }
  }
  if (job.kind === 'micro') {
    const perBatch = job.operationsPerBatch * (job.operation === 'transaction' ? (job.rows ?? 1) : 1)
    const operations = job.batches * perBatch
    return {
      metrics: {
        usPerOperation: wallUs / operations,
        cpuUsPerOperation: cpuUs / operations,
        usPerOperationP50: quantile(batchUs, 0.5) / perBatch,
        usPerOperationP99: quantile(batchUs, 0.99) / perBatch,
      },
      checksum,
    }
  }
  if (job.kind !== 'pass') throw new Error(`${job.subject.id}: no driver for ${job.kind}`)
  const rows = job.keys * job.repeats
  return { metrics: { usPerRow: wallUs / rows, cpuUsPerRow: cpuUs / rows }, checksum }
}

/** The best the processor has; the same choice as the addon's. */
function flushInstruction(): (typeof FLUSH_INSTRUCTIONS)[number] {
  try {
    const words = new Set(readFileSync('/proc/cpuinfo', 'utf8').split(/\s+/))
    return FLUSH_INSTRUCTIONS.find((name) => words.has(name)) ?? 'clflush'
  } catch {
    return 'clflush'
  }
}

/** What the figures were measured on. Nothing that names a machine or a person. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, statfsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os'

const FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x01021994, 'tmpfs'],
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x794c7630, 'overlayfs'],
])

const PACKAGES = ['lmdb', 'better-sqlite3', 'classic-level', 'msgpackr', 'tinybench'] as const
const FLAGS = ['clwb', 'clflushopt', 'clflush', 'hypervisor'] as const
const CLOCK_SOURCE = '/sys/devices/system/clocksource/clocksource0/current_clocksource'
const HUGE_PAGES = '/sys/kernel/mm/transparent_hugepage/shmem_enabled'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  /** Of the processor: which flush instructions there are, and whether this is a virtual machine. */
  readonly cpuFlags: readonly string[]
  readonly memoryGib: number
  readonly system: string
  readonly node: string
  readonly versions: Readonly<Record<string, string>>
  readonly memoryFileSystem: string
  readonly diskFileSystem: string
  /** What the kernel reads the time from: reading some sources costs a microsecond. */
  readonly clockSource: string
  /** Whether tmpfs uses huge pages. */
  readonly sharedHugePages: string
  /** Commit that was measured, with `+` when files had been changed; empty outside a checkout. */
  readonly commit: string
  /** Of the last minute before the run: other work disturbs. */
  readonly load: number
}

export function describeMachine(directory: string, diskDirectory: string, repository: string): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    cpuFlags: cpuFlags(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.version,
    versions: Object.fromEntries(PACKAGES.map((name) => [name, versionOf(name)])),
    memoryFileSystem: fileSystemOf(directory),
    diskFileSystem: fileSystemOf(diskDirectory),
    clockSource: textOf(CLOCK_SOURCE),
    // The kernel marks the choice in use: `always [never] advise`.
    sharedHugePages: /\[(\w+)\]/.exec(textOf(HUGE_PAGES))?.[1] ?? 'unknown',
    commit: commitOf(repository),
    load: Number(loadavg()[0].toFixed(2)),
  }
}

export function machineLines(machine: Machine): string[] {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`)
  return [
    `${machine.cpu}, ${String(machine.cores)} cores, ${String(machine.memoryGib)} GiB, ${machine.cpuFlags.join(' ')}`,
    `${machine.system}, Node ${machine.node}; ${versions.join(', ')}`,
    `stores on ${machine.memoryFileSystem}, disk rows on ${machine.diskFileSystem}; clock ${machine.clockSource}, huge pages of tmpfs: ${machine.sharedHugePages}`,
    `commit ${machine.commit === '' ? 'unknown' : machine.commit}; load before the run ${String(machine.load)}`,
  ]
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return 'unknown'
  }
}

function commitOf(repository: string): string {
  const git = (...words: string[]): string =>
    execFileSync('git', ['-C', repository, ...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    return (
      git('rev-parse', '--short=10', 'HEAD') +
      (git('status', '--porcelain', 'src', 'native', 'bench') === '' ? '' : '+')
    )
  } catch {
    return ''
  }
}

function cpuFlags(): string[] {
  try {
    const words = new Set(readFileSync('/proc/cpuinfo', 'utf8').split(/\s+/))
    return FLAGS.filter((flag) => words.has(flag))
  } catch {
    return []
  }
}

function versionOf(name: string): string {
  // Some packages do not export their package.json: it is found beside the entry point.
  const require = createRequire(import.meta.url)
  for (const directory of require.resolve.paths(name) ?? []) {
    try {
      return (JSON.parse(readFileSync(`${directory}/${name}/package.json`, 'utf8')) as { version: string }).version
    } catch {
      continue
    }
  }
  return 'unknown'
}

function fileSystemOf(directory: string): string {
  mkdirSync(directory, { recursive: true })
  const magic = statfsSync(directory).type
  return FILE_SYSTEMS.get(magic) ?? `file system 0x${magic.toString(16)}`
}

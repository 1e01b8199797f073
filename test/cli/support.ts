import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'
import { open } from 'daxkv'
import { buildSync } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** As deep below the root as src/cli and dist/cli, where the command line looks for package.json. */
const bundle = join(root, '.cache', 'cli-test', `main-${process.pid}.mjs`)

// Bundled from the sources once a test file: with tsx every one of the many processes would compile them again.
buildSync({
  entryPoints: [join(root, 'src/cli/main.ts')],
  outfile: bundle,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  packages: 'external',
  // The loader of the addon is CommonJS and asks for these.
  banner: {
    js:
      `const require = (await import('node:module')).createRequire(import.meta.url)\n` +
      `const __dirname = (await import('node:url')).fileURLToPath(new URL('.', import.meta.url))`,
  },
})
after(() => rmSync(bundle))

export interface CliResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command line from its sources, as a process of its own. */
export function daxkv(...args: string[]): CliResult {
  return daxkvWithInput('', ...args)
}

export function daxkvWithInput(input: string | Uint8Array, ...args: string[]): CliResult {
  const { status, stdout, stderr } = spawnSync(process.execPath, cliArguments(args), {
    cwd: root,
    input,
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

/** What must be given to node to run the command line. */
export function cliArguments(args: readonly string[]): string[] {
  return [bundle, ...args]
}

/** The rows of JSON lines. */
export function jsonLines(text: string): unknown[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown)
}

/** A directory that is removed when the tests of the file are done. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'daxkv-cli-test-'))
  after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** What the command line calls the size of a new pool in this directory: it depends on the medium. */
export function newPoolSize(directory: string): string {
  using store = open(join(directory, 'size.pool'))
  const { granularity } = store.persistence
  // Under granularity page the log is a ring, and longer.
  const mebibytes = granularity === 'page' ? 24 : 8
  assert.equal(store.stats().capacityBytes, mebibytes * 1024 * 1024)
  return `${mebibytes} MiB`
}

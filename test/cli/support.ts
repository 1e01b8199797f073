import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

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
  return ['--import', 'tsx', join(root, 'src/cli/main.ts'), ...args]
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

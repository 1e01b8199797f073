import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ResultDocument } from '../../bench/result-document.js'

const MAIN = fileURLToPath(new URL('../../bench/main.ts', import.meta.url))
/** Of result files; removed at the end. */
export const directory = mkdtempSync(join(tmpdir(), 'daxkv-bench-test-'))
/** All stores in memory: what is tested is the harness, and a device would only make it wait. */
export const stores = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'daxkv-bench-test-stores-'))
after(() => {
  rmSync(directory, { recursive: true })
  rmSync(stores, { recursive: true })
})

export interface Run {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** `npm run bench` with these options. */
export function bench(...options: string[]): Run {
  return spawnSync(process.execPath, ['--import', 'tsx', MAIN, ...options], { encoding: 'utf8' })
}

/** The same, with its result. */
export function measure(name: string, ...options: string[]): Run & { readonly result: ResultDocument } {
  const json = join(directory, `${name}.json`)
  const run = bench(...options, '--dir', stores, '--disk-dir', stores, '--json', json)
  assert.ok(existsSync(json), run.stderr)
  return { ...run, result: JSON.parse(readFileSync(json, 'utf8')) as ResultDocument }
}

export function failuresOf({ series }: ResultDocument): string[] {
  return series.flatMap(({ failures }) => Object.values(failures))
}

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { subjects } from '../../bench/subjects.js'
import { workloads } from '../../bench/workloads.js'

const MAIN = fileURLToPath(new URL('../../bench/main.ts', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'daxkv-bench-test-'))
after(() => {
  rmSync(directory, { recursive: true })
})

function bench(...options: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['--import', 'tsx', MAIN, ...options], { encoding: 'utf8' })
}

interface ResultFile {
  readonly keys: number
  readonly rows: readonly { readonly title: string; readonly verdict: string; readonly ratio: unknown }[]
  readonly series: readonly { readonly subjects: Record<string, Record<string, readonly number[]>> }[]
}

test('every row belongs to a subject that its workload measures', () => {
  for (const { id, subjects: measured, rows } of workloads) {
    for (const { subject, peer } of rows) {
      if (measured.length === 0) continue
      assert.ok(measured.includes(subject), `${id}: ${subject}`)
      if (peer !== undefined) assert.ok(measured.includes(peer), `${id}: ${peer}`)
    }
    for (const name of measured) assert.ok(subjects.has(name), `${id}: ${name}`)
  }
})

test('a small run measures both engines in each round, prints the table and leaves only the result', () => {
  const json = join(directory, 'result.json')
  const stores = join(directory, 'stores')
  const run = bench(
    '--only',
    'get-miss',
    '--keys',
    '2000',
    '--rounds',
    '2',
    '--dir',
    stores,
    '--disk-dir',
    stores,
    '--json',
    json,
  )
  assert.equal(run.status, 0, run.stderr)
  assert.match(run.stdout, /get, miss +daxkv \(cache-line, forced\)/)
  const result = JSON.parse(readFileSync(json, 'utf8')) as ResultFile
  assert.equal(result.keys, 2000)
  assert.equal(result.rows.length, 1)
  for (const id of ['daxkv', 'lmdb']) assert.equal(result.series[0].subjects[id]['usPerOperation'].length, 2)
  assert.deepEqual(readdirSync(stores), [])
})

test('an unknown workload and an unknown option exit with 2 and the usage', () => {
  for (const options of [['--only', 'nothing-like-it'], ['--fast']]) {
    const run = bench(...options)
    assert.equal(run.status, 2)
    assert.match(run.stderr, /--only W/)
  }
})

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { bench, directory, failuresOf, measure, stores } from './bench-process.js'

test('a small run measures both engines in each round, prints the table, and leaves result and page only', () => {
  const { status, stdout, stderr, result } = measure('small', '--only', 'get-miss', '--keys', '2000', '--rounds', '2')
  assert.equal(status, 0, stderr)
  assert.match(stdout, /get, miss +daxkv \(cache-line, forced\).*too few rounds/)
  assert.equal(result.keys, 2000)
  assert.equal(result.rows.length, 1)
  for (const id of ['daxkv', 'lmdb']) assert.equal(result.series[0].subjects[id].usPerOperation?.length, 2)
  assert.match(readFileSync(join(directory, 'small.html'), 'utf8'), /^<!doctype html>/)
  assert.deepEqual(readdirSync(stores), [])
})

test('what only the full matrix has is measured when it is named', () => {
  const named = [
    'put-binary-key',
    'put-value-4kib',
    'get-string',
    'range-100-reverse',
    'group-1000-memory',
    'json-file',
  ]
  const { status, stderr, result } = measure('named', '--quick', '--keys', '2000', '--only', named.join(','))
  assert.equal(status, 0, stderr)
  assert.deepEqual(failuresOf(result), [])
  assert.deepEqual(result.series.map(({ workload }) => workload).sort(), [...named].sort())
})

test('a result can be reported and compared without measuring, and a regression fails', () => {
  const { result } = measure('base', '--only', 'overwrite', '--keys', '2000', '--rounds', '1')
  const base = join(directory, 'base.json')
  const same = bench('--from', base, '--compare', base, '--html', join(directory, 'again.html'))
  assert.equal(same.status, 0, same.stderr)
  assert.match(same.stdout, /0 regressions/)
  assert.ok(existsSync(join(directory, 'again.html')))

  const worse = structuredClone(result) as unknown as { rows: { metric: string; figure?: Record<string, number> }[] }
  for (const { metric, figure } of worse.rows) {
    if (metric !== 'fencesPerCommit' || figure === undefined) continue
    for (const name of ['median', 'low', 'high']) figure[name] = (figure[name] ?? 0) + 1
  }
  writeFileSync(join(directory, 'worse.json'), JSON.stringify(worse))
  const compared = bench('--from', join(directory, 'worse.json'), '--compare', base)
  assert.equal(compared.status, 1)
  assert.match(compared.stdout, /regression +fences a durable overwrite/)
})

test('an unknown workload, an unknown option and a missing file exit with 2 and say so', () => {
  for (const options of [['--only', 'nothing-like-it'], ['--fast']]) {
    const run = bench(...options)
    assert.equal(run.status, 2)
    assert.match(run.stderr, /--only W/)
  }
  const missing = bench('--from', join(directory, 'no-such.json'))
  assert.equal(missing.status, 2)
  assert.match(missing.stderr, /no-such\.json/)
})

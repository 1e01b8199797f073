import assert from 'node:assert/strict'
import { test } from 'node:test'
import { workloads } from '../../bench/workloads/index.js'
import { failuresOf, measure } from './bench-process.js'

test('the quick run measures every goal row, or says what this machine or version does not have', () => {
  const { status, stdout, stderr, result } = measure('quick', '--quick', '--keys', '2000')
  assert.equal(status, 0, `${stdout}\n${stderr}`)
  assert.deepEqual(failuresOf(result), [])
  const goalRows = workloads.filter(({ suite }) => suite === 'goal').flatMap(({ rows }) => rows)
  assert.equal(result.rows.length, goalRows.length)
  for (const { title, subject, figure, verdict, metric } of result.rows) {
    // No checkpoint comes about in so few commits; only x86-64 with a compiler has the floor of the processor.
    const optional = metric.startsWith('checkpoint') || /fence/i.test(metric)
    assert.ok(figure !== undefined || optional || verdict === 'left out', `${title}, ${subject}: ${verdict}`)
    if (figure !== undefined)
      assert.ok(Number.isFinite(figure.median) && figure.median >= 0, `${title}: ${figure.median}`)
  }
  const own = result.rows.filter(({ subject }) => subject === 'daxkv')
  assert.ok(own.length > 30 && own.every(({ verdict }) => verdict !== 'not measured'))
})

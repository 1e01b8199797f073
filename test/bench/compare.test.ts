import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareResults, comparisonLines, hasRegression, type Change } from '../../bench/compare.js'
import type { RowSpec } from '../../bench/workload.js'
import { documentOf, getResult, limitRow, resultOf, workloadOf } from './support.js'

const rounds = (...values: number[]): number[] => values

/** How the row `get` changes when lmdb costs the first rounds before, the second after. */
function changeOf(before: number[], after: number[], ours = [1, 1, 1]): Change {
  const comparison = compareResults(documentOf([getResult(ours, before)]), documentOf([getResult(ours, after)]))
  assert.equal(comparison.rows.length, 1)
  return comparison.rows[0].change
}

test('a ratio that fell by more than both runs vary is a regression, the reverse an improvement', () => {
  assert.equal(changeOf(rounds(3, 3.1, 3.2), rounds(2, 2.1, 2.2)), 'regression')
  assert.equal(changeOf(rounds(2, 2.1, 2.2), rounds(3, 3.1, 3.2)), 'improvement')
})

test('a change within the noise of either run is none', () => {
  assert.equal(changeOf(rounds(2.5, 3.1, 3.3), rounds(2, 2.2, 2.6)), 'same')
  assert.equal(changeOf(rounds(3, 3.01, 3.02), rounds(2.9, 2.91, 2.92)), 'same')
})

test('ratios that are too noisy to be printed are not compared', () => {
  assert.equal(changeOf(rounds(1, 3, 9), rounds(1, 1, 1)), 'not comparable')
})

test('a figure without a peer may move with the machine, a size or a count may not', () => {
  const change = (row: RowSpec, before: number, after: number): Change => {
    const document = (value: number): ReturnType<typeof documentOf> =>
      documentOf([resultOf(workloadOf([row]), { daxkv: { [row.metric]: [value, value, value] } })])
    return compareResults(document(before), document(after)).rows[0].change
  }
  assert.equal(change(limitRow, 2, 2.5), 'same')
  assert.equal(change(limitRow, 2, 2.7), 'regression')
  assert.equal(change({ ...limitRow, metric: 'fencesPerCommit', unit: '' }, 2, 2.1), 'regression')
  assert.equal(change({ ...limitRow, metric: 'usedBytesPerKey', unit: 'B' }, 126, 127), 'same')
})

test('runs of other sizes or clocks are not compared, which counts as a failure', () => {
  const document = documentOf([getResult([1, 1, 1], [2, 2, 2])])
  for (const other of [
    { ...document, keys: 5 },
    { ...document, clock: 'cpu' as const },
  ]) {
    const comparison = compareResults(other, document)
    assert.equal(hasRegression(comparison), true)
    assert.match(comparisonLines(comparison)[0], /^Not compared: /)
  }
})

test('the lines name each regression with both figures, rows of one run only, and the counts', () => {
  const extra = resultOf(workloadOf([{ ...limitRow, title: 'new row' }], 'extra'), { daxkv: { openMs: [1, 1, 1] } })
  const comparison = compareResults(
    documentOf([getResult([1, 1, 1], [3, 3, 3])]),
    documentOf([getResult([1, 1, 1], [2, 2, 2]), extra]),
  )
  const lines = comparisonLines(comparison)
  assert.match(lines[0], /^regression +get \(daxkv .*\/ lmdb\): 3\.00x -> 2\.00x, costs 1\.50 times as much$/)
  assert.ok(lines.includes('only in one of the runs: extra: new row'))
  assert.match(lines.at(-1) ?? '', /Compared 1 rows: 1 regressions, 0 improvements/)
  assert.equal(hasRegression(comparison), true)
})

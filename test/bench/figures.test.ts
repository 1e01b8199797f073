import assert from 'node:assert/strict'
import { test } from 'node:test'
import { selfTimes } from '../../bench/profile.js'
import { disturbance, rowsOf, verdictOf } from '../../bench/rows.js'
import type { WorkloadResult } from '../../bench/run.js'
import { median, pairedRatio, quantile, summarise } from '../../bench/statistics.js'
import { figure, formatTable } from '../../bench/table.js'
import type { RowSpec, Workload } from '../../bench/workload.js'

const ratioRow: RowSpec = {
  title: 'get',
  metric: 'usPerOperation',
  unit: 'us',
  subject: 'daxkv',
  peer: 'lmdb',
  goal: { kind: 'ratio', atLeast: 2 },
}
const limitRow: RowSpec = {
  title: 'open',
  metric: 'openMs',
  unit: 'ms',
  subject: 'daxkv',
  goal: { kind: 'limit', atMost: 3 },
}

function resultOf(daxkv: number[], lmdb: number[]): WorkloadResult {
  const workload: Workload = {
    id: 'get',
    subjects: ['daxkv', 'lmdb'],
    rows: [ratioRow],
    measure: () => Promise.reject(new Error('not run')),
  }
  const series = new Map([
    ['daxkv', new Map([['usPerOperation' as const, daxkv]])],
    ['lmdb', new Map([['usPerOperation' as const, lmdb]])],
  ])
  return { workload, series, notes: new Map(), failures: new Map(), elapsedMs: 1 }
}

test('quantiles interpolate between samples', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 2, 3]), 2.5)
  assert.equal(quantile([10, 20], 0.25), 12.5)
  assert.throws(() => median([]), RangeError)
})

test('a machine that slows down during the run does not change a paired ratio', () => {
  const ratio = pairedRatio([1, 2, 4, 8], [3, 6, 12, 24])
  assert.equal(ratio.median, 3)
  assert.equal(ratio.meaningless, false)
})

test('a ratio whose rounds disagree is not printed as a number', () => {
  const rows = rowsOf(resultOf([1, 1, 1], [1, 3, 9]), 'wall')
  assert.equal(rows[0].verdict, 'UNCLEAR')
  assert.match(formatTable(rows, 'text'), /too noisy/)
})

test('verdicts follow the median and say when the rounds lie on both sides', () => {
  const verdict = (theirs: number[]): string => rowsOf(resultOf([1, 1, 1], theirs), 'wall')[0].verdict
  assert.equal(verdict([2.1, 2.2, 2.3]), 'met')
  assert.equal(verdict([1.9, 2.2, 2.3]), 'met (noise)')
  assert.equal(verdict([1.7, 1.9, 2.2]), 'MISSED (noise)')
  assert.equal(verdict([1.1, 1.2, 1.3]), 'MISSED')
  assert.equal(verdictOf(limitRow, summarise([2.9, 2.8]), undefined), 'met')
  assert.equal(verdictOf(limitRow, summarise([3.1, 3.2]), undefined), 'MISSED')
  assert.equal(verdictOf(limitRow, undefined, undefined), 'no figure')
})

test('the Markdown table has one line for each row and names goal and verdict', () => {
  const lines = formatTable(rowsOf(resultOf([1], [2.5]), 'wall'), 'markdown').split('\n')
  assert.equal(lines.length, 3)
  assert.match(lines[2], /\| get .*2\.50.*>= 2x.*met/)
})

test('figures have three significant digits', () => {
  assert.deepEqual([0.12345, 1.2345, 12.345, 123.45].map(figure), ['0.123', '1.23', '12.3', '123'])
})

test('self time is added up by function', () => {
  const frame = (functionName: string): { functionName: string; url: string; lineNumber: number } => ({
    functionName,
    url: 'file:///somewhere/src/tree/node.ts',
    lineNumber: 9,
  })
  const times = selfTimes({
    nodes: [
      { id: 1, callFrame: frame('find') },
      { id: 2, callFrame: frame('insert') },
      { id: 3, callFrame: frame('find') },
    ],
    samples: [1, 2, 3],
    timeDeltas: [10, 20, 70],
  })
  assert.deepEqual(times, [
    { name: 'find src/tree/node.ts:10', share: 0.8 },
    { name: 'insert src/tree/node.ts:10', share: 0.2 },
  ])
})

test('with the other clock the rows are made of processor time, and the difference is seen as disturbance', () => {
  const wallOnly = resultOf([4, 4], [8, 8])
  const series = new Map(
    [...wallOnly.series].map(([id, metrics]) => [id, new Map([...metrics, ['cpuUsPerOperation' as const, [2, 2]]])]),
  )
  const result = { ...wallOnly, series }
  assert.equal(rowsOf(result, 'wall')[0].ratio?.median, 2)
  assert.equal(rowsOf(result, 'cpu')[0].ratio?.median, 1)
  assert.equal(disturbance([result]), 3)
  assert.equal(disturbance([wallOnly]), 1)
})

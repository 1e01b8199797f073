import assert from 'node:assert/strict'
import { test } from 'node:test'
import { selfTimes } from '../../bench/profile.js'
import { disturbance, goalText, rowsOf, verdictOf } from '../../bench/rows.js'
import { summarise } from '../../bench/statistics.js'
import { figure, formatTable } from '../../bench/table.js'
import { getResult, limitRow, ratioRow, resultOf, workloadOf } from './support.js'

test('a ratio whose rounds disagree, or are too few, is not printed as a number', () => {
  const noisy = rowsOf(getResult([1, 1, 1], [1, 3, 9]), 'wall')
  assert.equal(noisy[0].verdict, 'UNCLEAR')
  assert.match(formatTable(noisy, 'text'), /too noisy \(1\.00\.\.9\.00\)/)
  const few = rowsOf(getResult([1, 1], [3, 3]), 'wall')
  assert.equal(few[0].verdict, 'UNCLEAR')
  assert.match(formatTable(few, 'text'), /too few rounds \(3\.00\.\.3\.00\)/)
})

test('rounds that disagree but all lie on one side of the goal still answer it', () => {
  assert.equal(rowsOf(getResult([1, 1, 1], [3, 6, 9]), 'wall')[0].verdict, 'met')
  assert.equal(rowsOf(getResult([1, 1, 1], [0.3, 0.6, 0.9]), 'wall')[0].verdict, 'MISSED')
})

test('verdicts follow the median and say when the rounds lie on both sides', () => {
  const verdict = (theirs: number[]): string => rowsOf(getResult([1, 1, 1], theirs), 'wall')[0].verdict
  assert.equal(verdict([2.1, 2.2, 2.3]), 'met')
  assert.equal(verdict([1.9, 2.2, 2.3]), 'met (noise)')
  assert.equal(verdict([1.7, 1.9, 2.2]), 'MISSED (noise)')
  assert.equal(verdict([1.1, 1.2, 1.3]), 'MISSED')
  assert.equal(verdictOf(limitRow, summarise([2.9, 2.8]), undefined, false), 'met')
  assert.equal(verdictOf(limitRow, summarise([3.1, 3.2]), undefined, false), 'MISSED')
  assert.equal(verdictOf(limitRow, undefined, undefined, false), 'not measured')
  assert.equal(verdictOf(limitRow, undefined, undefined, true), 'left out')
})

test('a floor may cost less by the factor of the goal only', () => {
  const row = { ...ratioRow, peer: 'msync-floor', goal: { kind: 'multiple', atMost: 1.25 } } as const
  const verdict = (ours: number): string =>
    rowsOf(
      resultOf(workloadOf([row]), {
        daxkv: { usPerOperation: [ours, ours, ours] },
        'msync-floor': { usPerOperation: [100, 100, 100] },
      }),
      'wall',
    )[0].verdict
  assert.equal(verdict(120), 'met')
  assert.equal(verdict(130), 'MISSED')
  assert.equal(goalText(row), 'costs <= 1.25x')
})

test('of several peers the one that costs least is taken, and is named', () => {
  const row = { ...ratioRow, peer: ['lmdb', 'sqlite', 'level'] }
  const result = resultOf(workloadOf([row]), {
    daxkv: { usPerOperation: [1, 1, 1] },
    lmdb: { usPerOperation: [9, 9, 9] },
    sqlite: { usPerOperation: [4, 4, 4] },
  })
  const [{ peer, ratio }] = rowsOf(result, 'wall')
  assert.equal(peer, 'sqlite')
  assert.equal(ratio?.median, 4)
})

test('a subject that was left out is told from one that failed', () => {
  const without = (over: object): string =>
    rowsOf(resultOf(workloadOf([ratioRow]), { daxkv: { usPerOperation: [1, 1, 1] } }, over), 'wall')[0].verdict
  assert.equal(without({ skipped: new Map([['lmdb', 'not installed']]) }), 'left out')
  assert.equal(without({ failures: new Map([['lmdb', 'broke']]) }), 'not measured')
})

test('the Markdown table has one line for each row and names goal and verdict', () => {
  const lines = formatTable(rowsOf(getResult([1, 1, 1], [2.5, 2.5, 2.5]), 'wall'), 'markdown').split('\n')
  assert.equal(lines.length, 3)
  assert.match(lines[2], /\| get .*2\.50.*>= 2x.*met/)
})

test('figures have three significant digits', () => {
  assert.deepEqual([0, 0.12345, 1.2345, 12.345, 123.45].map(figure), ['0', '0.123', '1.23', '12.3', '123'])
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
  const wall = resultOf(workloadOf([ratioRow]), {
    daxkv: { usPerOperation: [4, 4, 4] },
    lmdb: { usPerOperation: [8, 8, 8] },
  })
  const both = resultOf(workloadOf([ratioRow]), {
    daxkv: { usPerOperation: [4, 4, 4], cpuUsPerOperation: [2, 2, 2] },
    lmdb: { usPerOperation: [8, 8, 8], cpuUsPerOperation: [2, 2, 2] },
  })
  assert.equal(rowsOf(both, 'wall')[0].ratio?.median, 2)
  assert.equal(rowsOf(both, 'cpu')[0].ratio?.median, 1)
  assert.equal(disturbance([both]), 3)
  assert.equal(disturbance([wall]), 1)
})

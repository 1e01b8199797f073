import assert from 'node:assert/strict'
import { test } from 'node:test'
import { median, medianInterval, pairedRatio, quantile, summarise } from '../../bench/statistics.js'

test('quantiles interpolate between samples', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 2, 3]), 2.5)
  assert.equal(quantile([10, 20], 0.25), 12.5)
  assert.throws(() => median([]), RangeError)
  assert.throws(() => medianInterval([]), RangeError)
})

test('the interval of a median is all rounds while they are few, and is drawn in when there are enough', () => {
  const rounds = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1)
  for (const count of [1, 2, 3, 5, 7]) assert.deepEqual(medianInterval(rounds(count)), { low: 1, high: count })
  // P(at most one of 8 on one side) = 9/256 on each side: 93 % remain. Of 7 rounds only 87.5 % would.
  assert.deepEqual(medianInterval(rounds(8)), { low: 2, high: 7 })
  assert.deepEqual(medianInterval([8, 1, 7, 2, 6, 3, 5, 4]), { low: 2, high: 7 })
  // 21 rounds: 1 - 2 * P(Bin(21, 1/2) <= 6) = 92 %, with 7 only 81 %.
  assert.deepEqual(medianInterval(rounds(21)), { low: 7, high: 15 })
})

test('the interval covers the true median as often as it promises', () => {
  // A generator with a skewed distribution, seeded: the same rounds at every run.
  let state = 12345
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  const trueMedian = Math.log(2)
  const runs = 4000
  let covered = 0
  for (let run = 0; run < runs; run++) {
    const { low, high } = medianInterval(Array.from({ length: 9 }, () => -Math.log(1 - random())))
    if (low <= trueMedian && trueMedian <= high) covered++
  }
  // Nine rounds, one left out on each side: 1 - 2 * 10/512 = 96 %.
  assert.ok(covered / runs > 0.94 && covered / runs < 0.98, `${covered} of ${runs}`)
})

test('a machine that slows down during the run does not change a paired ratio', () => {
  const ratio = pairedRatio([1, 2, 4, 8], [3, 6, 12, 24])
  assert.equal(ratio.median, 3)
  assert.equal(ratio.quality, 'good')
})

test('a ratio is good only with enough rounds that agree', () => {
  assert.equal(pairedRatio([1, 1], [2, 2]).quality, 'few rounds')
  assert.equal(pairedRatio([1, 1, 1], [2, 2, 2.9]).quality, 'good')
  assert.equal(pairedRatio([1, 1, 1], [2, 2, 3.1]).quality, 'noisy')
  assert.throws(() => pairedRatio([1], [1, 2]), RangeError)
})

test('a summary keeps its rounds in their order', () => {
  assert.deepEqual(summarise([3, 1, 2]), { median: 2, low: 1, high: 3, rounds: [3, 1, 2] })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_KEYS, DEFAULT_ROUNDS, parseOptions, UsageError } from '../../bench/options.js'

test('without options the goal rows are measured at their size', () => {
  const options = parseOptions([], '/repository')
  assert.equal(options.keys, DEFAULT_KEYS)
  assert.equal(options.rounds, DEFAULT_ROUNDS)
  assert.deepEqual(options.only, [])
  assert.equal(options.diskDirectory, '/repository/.cache/bench')
})

test('options are taken over, lists with commas are split, numbers may be written as people write them', () => {
  const options = parseOptions(['--only', 'get,scan', '--only', 'load', '--keys', '1e5', '--rounds', '3'], '/r')
  assert.deepEqual(options.only, ['get', 'scan', 'load'])
  assert.equal(options.keys, 100_000)
  assert.equal(options.rounds, 3)
  assert.equal(parseOptions(['--keys', '2_000_000'], '/r').keys, 2_000_000)
})

test('wrong options are refused with limit and actual value', () => {
  assert.throws(() => parseOptions(['--keys', '10'], '/r'), /--keys takes an integer from 1000 to \d+, got 10/)
  assert.throws(() => parseOptions(['--rounds', 'many'], '/r'), UsageError)
  assert.throws(() => parseOptions(['--rouds', '3'], '/r'), UsageError)
})

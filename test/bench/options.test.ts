import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  DEFAULT_KEYS,
  DEFAULT_ROUNDS,
  parseOptions,
  QUICK_KEYS,
  QUICK_ROUNDS,
  UsageError,
} from '../../bench/options.js'

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

test('a quick run is small, and every part of it can still be set', () => {
  const quick = parseOptions(['--quick'], '/r')
  assert.equal(quick.keys, QUICK_KEYS)
  assert.equal(quick.rounds, QUICK_ROUNDS)
  assert.equal(parseOptions(['--quick', '--keys', '20000', '--rounds', '2'], '/r').keys, 20_000)
  assert.equal(parseOptions(['--full'], '/r').full, true)
})

test('files to read and write are taken as they are', () => {
  const options = parseOptions(['--from', 'a.json', '--compare', 'b.json', '--html', 'c.html', '--docs'], '/r')
  assert.deepEqual(
    [options.from, options.compare, options.htmlPath, options.docs],
    ['a.json', 'b.json', 'c.html', true],
  )
  assert.throws(() => parseOptions(['--clock', 'moon'], '/r'), /--clock takes wall or cpu, got moon/)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../../bench/options.js'
import { selectWorkloads } from '../../bench/select.js'
import { subjects } from '../../bench/subjects.js'
import { workloads } from '../../bench/workloads/index.js'
import { sizesOf } from '../../bench/workloads/sizes.js'

const ids = (words: readonly string[], full = false): string[] =>
  selectWorkloads(workloads, words, full).map(({ id }) => id)

test('without words the goal rows are measured, with full everything', () => {
  assert.deepEqual(
    ids([]),
    workloads.filter(({ suite }) => suite === 'goal').map(({ id }) => id),
  )
  assert.equal(ids([], true).length, workloads.length)
})

test('a word that is an id means that workload alone, also outside the goal rows', () => {
  assert.deepEqual(ids(['scan']), ['scan'])
  assert.deepEqual(ids(['scan-reverse']), ['scan-reverse'])
  assert.deepEqual(ids(['json-file', 'delete']), ['delete', 'json-file'])
})

test('any other word means the goal rows that contain it, or all where none does', () => {
  assert.deepEqual(ids(['ycsb']), ['ycsb-a', 'ycsb-b', 'ycsb-c', 'ycsb-e', 'ycsb-f'])
  assert.equal(ids(['ycsb'], true).length, 6)
  assert.deepEqual(ids(['group-1-']), ['group-1-disk'])
  assert.throws(() => ids(['nothing-like-it']), UsageError)
})

test('ids are unique, and every row belongs to a subject that its workload measures', () => {
  assert.equal(new Set(workloads.map(({ id }) => id)).size, workloads.length)
  for (const { id, subjects: measured, rows } of workloads) {
    assert.ok(rows.length > 0, id)
    for (const { subject, peer } of rows) {
      if (measured.length === 0) continue
      assert.ok(measured.includes(subject), `${id}: ${subject}`)
      for (const one of peer === undefined ? [] : [peer].flat()) assert.ok(measured.includes(one), `${id}: ${one}`)
    }
    for (const name of measured) assert.ok(subjects.has(name), `${id}: ${name}`)
  }
})

test('every row can be told from the others of its workload by title, subject, peer and metric', () => {
  for (const { id, rows } of workloads) {
    const keys = rows.map(({ title, subject, peer, metric }) => [title, subject, peer, metric].join('|'))
    assert.equal(new Set(keys).size, keys.length, id)
  }
})

test('sizes go from a hundredth to ten times the keys, never below a thousand', () => {
  assert.deepEqual(sizesOf(1_000_000), [10_000, 100_000, 1_000_000, 10_000_000])
  assert.deepEqual(sizesOf(5000), [1000, 5000, 50_000])
})

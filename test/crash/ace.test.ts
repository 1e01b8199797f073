import assert from 'node:assert/strict'
import { test } from 'node:test'
import { aceSequences } from '../../crash-tests/src/ace.js'
import { Census } from '../../crash-tests/src/census.js'
import { ace } from '../../crash-tests/suites/ace.js'
import { ready } from '../../src/pmem/xxh64.js'

await ready

test('there are 12 + 144 + 1,728 sequences of up to three operations', () => {
  assert.deepEqual(
    [1, 2, 3].map((length) => [...aceSequences(length)].length),
    [12, 144, 1728],
  )
  assert.equal(new Set([...aceSequences(3)].map((sequence) => sequence.join())).size, 1728)
})

test('short sequences of operations survive crashes under every protocol, in its models', (t) => {
  const census = new Census()
  let rows = 0
  for (const { name, points, generated, images } of ace({ amount: 'quick', seed: 1, census })) {
    assert.ok((points ?? 0) > 0 && (images ?? 0) > 0, name)
    if (rows++ % 13 === 0)
      t.diagnostic(`${name}: ${points ?? 0} points, ${generated ?? 0} images, ${images ?? 0} distinct`)
  }
  // Each of twelve operations to begin with, and random ones, in four, three and two models.
  assert.equal(rows, (12 + 1) * (4 + 3 + 2))
  t.diagnostic(`${census.distinct} distinct images`)
  assert.ok(census.distinct > 20_000, `${census.distinct} images`)
})

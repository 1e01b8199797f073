import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commits } from '../../crash-tests/suites/commits.js'
import { ready } from '../../src/pmem/xxh64.js'

await ready

test('a crash before and after every operation of every commit loses nothing that was acknowledged', () => {
  let images = 0
  for (const row of commits({ amount: 'quick', seed: 1 })) images += row.images ?? 0
  assert.ok(images >= 100_000, `only ${images} distinct crash images`)
})

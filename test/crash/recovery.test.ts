import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recovery } from '../../crash-tests/suites/recovery.js'
import { ready } from '../../src/pmem/xxh64.js'

await ready

test('a crash of the recovery, of its recovery, and of the work after it loses nothing', () => {
  let images = 0
  for (const row of recovery({ amount: 'quick', seed: 1 })) images += row.images ?? 0
  assert.ok(images >= 10_000, `only ${images} distinct crash images`)
})

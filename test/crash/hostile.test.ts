import { test } from 'node:test'
import { hostile } from '../../crash-tests/suites/hostile.js'
import { ready } from '../../src/pmem/xxh64.js'

await ready

test('damaged and forged pools give errors or correct data, and every flipped bit is found', async (t) => {
  for await (const row of hostile({ amount: 'quick', seed: 1 })) t.diagnostic(`${row.name}: ${row.result}`)
})

import { test } from 'node:test'
import { faults } from '../../crash-tests/suites/faults.js'
import { ready } from '../../src/pmem/xxh64.js'

await ready

test('every call that fails gives a documented error, leaks nothing and loses nothing', async (t) => {
  for await (const row of faults({ amount: 'quick', seed: 1 })) t.diagnostic(`${row.name}: ${row.result}`)
})

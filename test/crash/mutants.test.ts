import { test } from 'node:test'
import { mutants } from '../../crash-tests/suites/mutants.js'
import { ready } from '../../src/pmem/xxh64.js'

await ready

test('every rule and every step of the protocols that is turned off is noticed', async (t) => {
  for await (const row of mutants({ amount: 'quick', seed: 1 })) t.diagnostic(`${row.name}: ${row.result}`)
})

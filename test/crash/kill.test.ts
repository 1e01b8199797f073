import { test } from 'node:test'
import { kill } from '../../crash-tests/suites/kill.js'
import { ready } from '../../src/pmem/xxh64.js'

await ready

test('a writer killed at any time leaves what it was told to be durable', async (t) => {
  for await (const row of kill({ amount: 'quick', seed: 1 })) t.diagnostic(`${row.name}: ${row.result}`)
})

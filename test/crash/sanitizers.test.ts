import { test } from 'node:test'
import { sanitizers } from '../../crash-tests/suites/sanitizers.js'
import { ready } from '../../src/pmem/xxh64.js'

await ready

test('the addon runs under AddressSanitizer and UBSan without a report', async (t) => {
  for await (const row of sanitizers({ amount: 'quick', seed: 1 })) {
    if (row.result.startsWith('skipped')) t.skip(row.result)
    else t.diagnostic(`${row.name}: ${row.result}`)
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { xxh64InTypeScript } from '../../src/pmem/xxh64-typescript.js'
import { referenceHash } from './simulated-support.js'

test('the hash for the first moments of a process is XXH64', () => {
  const word = fc.integer({ min: 0, max: 0xffff_ffff })
  const out = new Uint32Array(2)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(7), word, word, (bytes, start, lo, hi) => {
      const part = bytes.subarray(start)
      xxh64InTypeScript(part, lo, hi, out)
      assert.equal((BigInt(out[1]) << 32n) | BigInt(out[0]), referenceHash(part, lo, hi))
    }),
    { numRuns: 500 },
  )
})

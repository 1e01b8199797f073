/**
 * Random operations on a store and on an ordered map must answer the same: all calls, nested transactions with aborts,
 * all encodings, reopening in between (cleanly, and as after a kill), deep trees of long keys.
 *
 * A failure prints seed and path. To run it again:
 *     DAXKV_MODEL_SEED=<seed> DAXKV_MODEL_PATH=<path> node --import tsx --test test/model/store.test.ts
 * For a longer run: DAXKV_MODEL_RUNS=<cases for each pair of encodings>.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { KeyEncoding, ValueEncoding } from '../../src/index.js'
import { operations } from './operations.js'
import { portablePool, simulatedPool } from './reopenable.js'
import { Runner } from './runner.js'

const seed = Number(process.env['DAXKV_MODEL_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const path = process.env['DAXKV_MODEL_PATH']
const numRuns = Number(process.env['DAXKV_MODEL_RUNS'] ?? 80)

/** `page`: commits go through the redo ring, in simulated memory; `portable`: the same in a file. */
const PAIRS: readonly (readonly [KeyEncoding, ValueEncoding, 'cache-line' | 'page' | 'portable'])[] = [
  ['ordered', 'msgpack', 'cache-line'],
  ['ordered', 'msgpack', 'page'],
  ['utf8', 'json', 'cache-line'],
  ['binary', 'binary', 'cache-line'],
  ['binary', 'binary', 'page'],
  ['uint32', 'string', 'cache-line'],
  ['utf8', 'string', 'page'],
  ['utf8', 'msgpack', 'cache-line'],
  ['ordered', 'msgpack', 'portable'],
  ['binary', 'binary', 'portable'],
]

/** Each case makes files and waits for the file system. */
const PORTABLE_SHARE = 4

let total = 0

for (const [keyEncoding, valueEncoding, kind] of PAIRS) {
  test(`a store of ${keyEncoding} keys and ${valueEncoding} values under ${kind} behaves like an ordered map`, (t) => {
    t.diagnostic(`seed ${seed}`)
    let count = 0
    const property = fc.property(operations, (list) => {
      const pool = kind === 'portable' ? portablePool() : simulatedPool(kind)
      try {
        const runner = new Runner(keyEncoding, valueEncoding, pool)
        runner.run(list)
        runner.finish()
        count += runner.count
      } finally {
        pool.dispose()
      }
    })
    const runs = kind === 'portable' ? Math.ceil(numRuns / PORTABLE_SHARE) : numRuns
    fc.assert(property, { seed, numRuns: runs, ...(path === undefined ? {} : { path, endOnFailure: true }) })
    t.diagnostic(`${count} operations`)
    total += count
  })
}

test('the default run is long enough', { skip: path !== undefined && 'one case is run again' }, () => {
  assert.ok(total >= (100_000 * numRuns) / 80, `${total} operations`)
})

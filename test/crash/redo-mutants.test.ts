/** The crash enumeration must notice every rule of protocol C that is broken, or it would not notice that a rule got lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  catchRedoMutant,
  isAnchor,
  mutantMemory,
  recordWith,
  REDO_MUTANTS,
} from '../../crash-tests/src/redo-mutants.js'
import type { Operation } from '../../crash-tests/src/redo-mutants.js'
import { OP_CHECKSUM_FRESH, OP_FENCE, OP_FLUSH } from '../../src/pmem/program.js'
import { ready } from '../../src/pmem/xxh64.js'

await ready

for (const mutant of REDO_MUTANTS) {
  test(mutant.rule, () => {
    mutant.explore(1, false)
    assert.ok(catchRedoMutant(mutant), 'the mutant survived')
  })
}

test('the first program of an open stores every valid anchor copy again and makes it durable', () => {
  const seen: Operation[][] = []
  const memory = mutantMemory((operations) => {
    seen.push(operations)
    return operations
  })
  recordWith({ memory, script: ['createKeyspace', 'putNew', 'reopen'], steps: 3 }, 1)
  const opens = seen.filter((operations) => operations.length === 3 && operations.slice(0, 2).every(isAnchor))
  assert.equal(opens.length, 1, 'the second open finds two copies')
  assert.deepEqual(opens[0][2], [OP_FENCE])
  assert.ok(seen.some((operations) => operations.some(([code]) => code === OP_CHECKSUM_FRESH || code === OP_FLUSH)))
})

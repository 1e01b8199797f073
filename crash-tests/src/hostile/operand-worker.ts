/**
 * Gives hostile programs to both executors; a process of its own, so that a native crash ends nothing else.
 *
 *     node operand-worker.mjs SEED PROGRAMS FILE
 */
import { writeSync } from 'node:fs'
import { ready } from '../../../src/pmem/xxh64.js'
import { OperandFuzzer } from './operands.js'

const [seed, programs, file] = process.argv.slice(2)
await ready
const counts = { accepted: 0, refused: 0 }
// Three in a row, one in each granularity.
for (let round = 0; round < 3; round++) {
  const fuzzer = new OperandFuzzer(Number(seed) * 3 + round, file)
  for (let index = 0; index * 3 < Number(programs); index++) {
    if (index % 64 === 0) writeSync(2, `seed ${seed}, round ${round}, programs from ${index} on\n`)
    fuzzer.run(index)
  }
  counts.accepted += fuzzer.counts.accepted
  counts.refused += fuzzer.counts.refused
  fuzzer.close()
}
writeSync(1, `${JSON.stringify(counts)}\n`)

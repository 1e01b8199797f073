import { ready } from '../src/pmem/xxh64.js'
import { recordWorkload } from './src/recording.js'
import { Explorer } from './src/explorer.js'
import { exploreNested } from './src/nested.js'
await ready
const [steps, every, seed] = process.argv.slice(2).map(Number)
const recs = recordWorkload({ seed: seed ?? 1, steps, stepsPerTrace: 2 })
const ex = new Explorer()
const small = { exhaustiveLimit: 8, samples: 4 }
for (const o of [
  { first: "cache-line", second: "cache-line", depth: 2, every: every * 50, everySecond: 200 },
  { first: 'kill', second: 'cache-line', depth: 1, every },
  { first: 'kill', second: 'cache-line', depth: 1, every, syncIsFence: true },
  { first: 'kill', second: 'cache-line', depth: 1, every: every * 20, transactions: 3, syncIsFence: true },
  { first: 'page', second: 'page', depth: 2, every: every * 50, everySecond: 200 },
  { first: 'byte', second: "byte", depth: 1, every: every * 50 },
  { first: 'kill', second: "kill", depth: 1, every: every * 4 },
] as const) {
  const t = performance.now(), c = process.cpuUsage()
  const before = ex.counts.distinct
  let rec = 0, im = 0
  for (const r of recs) { const n = exploreNested(ex, r, { ...o, firstOptions: small, secondOptions: small }); rec += n.recoveries; im += n.images }
  const cpu = process.cpuUsage(c)
  console.log(JSON.stringify(o), (performance.now() - t) | 0, ((cpu.user + cpu.system) / 1000) | 0, { rec, im, distinct: ex.counts.distinct - before })
}
console.log(ex.counts)

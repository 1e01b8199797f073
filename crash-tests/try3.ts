import { ready } from '../src/pmem/xxh64.js'
import { recordWorkload } from './src/recording.js'
import { Explorer } from './src/explorer.js'
await ready
const [steps, samples, seed] = process.argv.slice(2).map(Number)
const t0 = performance.now()
const recs = recordWorkload({ seed: seed ?? 1, steps, stepsPerTrace: 16 })
console.log('record', performance.now() - t0, recs.reduce((s, r) => s + r.trace.events.count, 0))
const ex = new Explorer()
for (const model of ['cache-line', 'byte', 'kill', 'page'] as const) {
  const t = performance.now(), c = process.cpuUsage()
  const before = { ...ex.counts }
  for (const r of recs) ex.explore(r, { model, exhaustiveLimit: samples * 2, samples })
  const cpu = process.cpuUsage(c)
  console.log(model, performance.now() - t, cpu.user / 1000 + cpu.system / 1000, ex.counts.images - before.images, ex.counts.distinct - before.distinct)
}
console.log(ex.counts, process.memoryUsage())

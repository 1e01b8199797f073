import { ready } from '../src/pmem/xxh64.js'
import { recordWorkload } from './src/recording.js'
import { crashImages } from './src/crash-states.js'
await ready
const recs = recordWorkload({ seed: 1, steps: 40, stepsPerTrace: 16 })
for (const model of ['cache-line', 'byte', 'cache-line'] as const) {
  const c = process.cpuUsage(); let n = 0
  for (const r of recs) for (const s of crashImages(r.trace, { model, exhaustiveLimit: 12, samples: 6 })) { n++; void s.fingerprint }
  const cpu = process.cpuUsage(c)
  console.log(model, n, (cpu.user + cpu.system) / 1000)
}

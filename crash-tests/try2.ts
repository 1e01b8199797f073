import { ready } from '../src/pmem/xxh64.js'
import { recordWorkload } from './src/recording.js'
import { EVENT_STORE_NON_TEMPORAL } from '../src/pmem/event-log.js'
await ready
for (const seed of [1, 2, 3, 4]) {
const recs = recordWorkload({ seed, steps: 16, stepsPerTrace: 1, script: ['createKeyspace','ascendingRun','ascendingRun','deleteMost','ascendingRun','largeValue','reopen','overwriteSame','nestedLargeValues','ascendingRun','ascendingRun','ascendingRun','hugeValue','hugeValue','clear','putNew'] })
console.log(recs.map(r => { const e = r.trace.events; let nt = 0, log = 0; for (let i = 0; i < e.count; i++) if (e.kind(i) === EVENT_STORE_NON_TEMPORAL) { nt++; if (e.pageId(i) >= 6 && e.pageId(i) < 10) log++ } return `${e.count}/${log}/${r.trace.image.length / 4096}` }).join(' '))
}

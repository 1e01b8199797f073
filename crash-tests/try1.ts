import { ready } from '../src/pmem/xxh64.js'
import { RecordingMemory } from './src/replay-memory.js'
import { Workload, SEGMENT_SHIFT, LOG_PAGES } from './src/workload.js'
import { Random } from './src/random.js'
import { readContent } from './src/content.js'
import { Geometry } from '../src/pool/geometry.js'
await ready
for (let seed = 1; seed <= Number(process.argv[2] ?? 5); seed++) {
  const memory = new RecordingMemory({ sizeBytes: 24 * 4096, segmentShift: SEGMENT_SHIFT })
  const w = new Workload({ memory }, { random: new Random(seed) })
  const g = new Geometry(SEGMENT_SHIFT, LOG_PAGES)
  let n = 0, kind = ''
  try {
    for (; n < 300; n++) {
      kind = w.step()
      const c = readContent(memory, g)
      if (c.digest !== w.model.digest) throw new Error('digest differs')
    }
  } catch (e) { console.log('seed', seed, 'step', n, kind, String(e)) }
}

import { ready } from '/work/main/src/pmem/xxh64.js'
import { RecordingMemory } from '/work/main/crash-tests/src/replay-memory.js'
import { Workload, SEGMENT_SHIFT, LOG_PAGES } from '/work/main/crash-tests/src/workload.js'
import { Random } from '/work/main/crash-tests/src/random.js'
import { readContent } from '/work/main/crash-tests/src/content.js'
import { Geometry } from '/work/main/src/pool/geometry.js'
await ready
for (let seed = 1; seed <= Number(process.argv[2] ?? 5); seed++) {
  const memory = new RecordingMemory({ sizeBytes: 40 * 4096, segmentShift: SEGMENT_SHIFT, record: true })
  const w = new Workload({ memory }, { random: new Random(seed) })
  const g = new Geometry(SEGMENT_SHIFT, LOG_PAGES)
  let n = 0
  const t = performance.now()
  let kind = ''
  let digests = new Set()
  try {
    for (; n < 300; n++) {
      kind = w.step()
      const c = readContent(memory, g)
      digests.add(c.digest)
      if (c.digest !== w.model.digest) throw new Error('digest differs')
    }
  } catch (e) { console.log('seed', seed, 'step', n, kind, e) }
  console.log(seed, n, performance.now() - t, memory.trace().events.count, memory.sizeBytes / 4096, w.model.bytes, digests.size, JSON.stringify(Object.fromEntries(w.done)))
}

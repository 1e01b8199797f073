import { ready } from '../src/pmem/xxh64.js'
import { RecordingMemory } from './src/replay-memory.js'
import { openEngine, SEGMENT_SHIFT, LOG_PAGES } from './src/workload.js'
import { Random } from './src/random.js'
import { readContent } from './src/content.js'
import { Geometry } from '../src/pool/geometry.js'
import { Tree } from '../src/tree/tree.js'
import { Catalog } from '../src/tree/catalog.js'
await ready
const memory = new RecordingMemory({ sizeBytes: 60 * 4096, segmentShift: SEGMENT_SHIFT, record: true })
const e = openEngine(memory, new Random(1))
e.begin()
const id = e.nextKeyspaceId()
const rootPage = Tree.create(e, id)
new Catalog(e, e.catalogPage()).put('keyspace 1', { id, rootPage, keyEncoding: 0, valueEncoding: 0 })
e.commit()
const tree = new Tree(e, rootPage, id)
const put = (k: string, b: Buffer) => { const key = Buffer.from(k); tree.put(key, key.length, b) }
e.begin()
put('x', Buffer.alloc(5000, 1))
e.begin()
put('x', Buffer.alloc(5000, 2))
put('y', Buffer.alloc(5000, 3))
e.abort()
e.commit()
try { console.log(readContent(memory, new Geometry(SEGMENT_SHIFT, LOG_PAGES))) } catch (er) { console.log(String(er)) }
// growth
const before = e.stats().capacityPages
for (let i = 0; i < 6; i++) { e.begin(); put('big' + i, Buffer.alloc(40000, 2)); e.commit(); console.log(before, e.stats().capacityPages) }

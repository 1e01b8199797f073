/**
 * Writes the golden pools of this version: `node --import tsx test/golden/make.ts`. Run it once per format version and
 * commit the result; never regenerate the files of an earlier one.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { storeOn } from '../../src/api/open.js'
import type { Store } from '../../src/index.js'
import { FORMAT_VERSION } from '../../src/pool/format.js'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { Engine } from '../../src/tx/engine.js'
import { fill } from './content.js'

const directory = new URL(`v${FORMAT_VERSION}/`, import.meta.url)
mkdirSync(directory, { recursive: true })

function write(name: string, image: Uint8Array): void {
  writeFileSync(new URL(`${name}.pool.gz`, directory), gzipSync(image, { level: 9 }))
  process.stdout.write(`${name}: ${image.length} bytes\n`)
}

/** Simulated memory whose last image survives the close. */
class Kept extends SimulatedMemory {
  last: Uint8Array = new Uint8Array(0)
  override close(): void {
    this.last = this.image()
    super.close()
  }
}

function makeMemory(): Kept {
  return new Kept({ sizeBytes: 512 * 1024, segmentShift: 8, record: true })
}
const open = (memory: Kept): Store => storeOn(Engine.open('golden', { memory, logSizeBytes: 16 * 1024 })) as Store

const clean = makeMemory()
const store = open(clean)
fill(store)
write('killed', clean.image()) // the last transaction's record is still alive
store.keyspace('texts').delete('no such key')
store.close()
write('clean', clean.last)

// Torn: a transaction over two keyspaces stopped in the middle of storing its lines.
const torn = makeMemory()
const broken = open(torn)
fill(broken)
torn.startRecording()
broken.transaction(() => {
  broken.keyspace('numbers').put(1, { torn: true })
  broken.keyspace('texts').put('torn', 'must not be seen')
})
const count = torn.trace().events.count
const again = makeMemory()
const second = open(again)
fill(second)
again.startRecording()
again.failAfterEvents(count - 4)
try {
  second.transaction(() => {
    second.keyspace('numbers').put(1, { torn: true })
    second.keyspace('texts').put('torn', 'must not be seen')
  })
} catch {
  // as meant
}
write('torn', again.image())

/** Small pools, workloads and images for the crash tests of the redo log. */
import { Explorer } from './explorer.js'
import { Random } from './random.js'
import { RecordingMemory } from './replay-memory.js'
import { openEngine, SEGMENT_SHIFT } from './workload.js'
import type { Granularity } from '../../src/pmem/persistent-memory.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import { Catalog } from '../../src/tree/catalog.js'
import { Cursor } from '../../src/tree/cursor.js'
import { Tree } from '../../src/tree/tree.js'
import type { Engine, EngineOptions } from '../../src/tx/engine.js'

export const LOG_PAGES = 12

export function engineOptions(logging: 'undo' | 'redo' = 'redo', logPages = LOG_PAGES): EngineOptions {
  return { logSizeBytes: logPages * PAGE_BYTES, logging }
}

/** Recovers with redo and undo by turns: the open procedure is the mode switch. */
export function explorerOfBoth(granularity: Granularity = 'page', logPages = LOG_PAGES): Explorer {
  return new Explorer({
    granularity,
    logPages,
    engineOptions: (image) => engineOptions(image % 2 === 0 ? 'redo' : 'undo', logPages),
  })
}

export function recordingMemory(pages = 64, memory: typeof RecordingMemory = RecordingMemory): RecordingMemory {
  return new memory({ sizeBytes: pages * PAGE_BYTES, segmentShift: SEGMENT_SHIFT, granularity: 'page', record: true })
}

/** An engine with one tree, and the keys and values it must hold. */
export class SmallStore {
  engine: Engine
  readonly expected = new Map<string, string>()
  #tree: Tree
  readonly #key = Buffer.alloc(64)

  constructor(
    readonly memory: RecordingMemory,
    readonly options: EngineOptions = engineOptions(),
    seed = 1,
  ) {
    this.engine = openEngine(memory, new Random(seed), 8, options)
    const found = new Catalog(this.engine, this.engine.catalogPage()).list()
    if (found.length > 0) {
      this.#tree = new Tree(this.engine, found[0].record.rootPage, found[0].record.id)
      for (const [key, value] of this.entries()) this.expected.set(key, value)
      return
    }
    this.engine.begin()
    const id = this.engine.nextKeyspaceId()
    const rootPage = Tree.create(this.engine, id)
    const catalog = new Catalog(this.engine, this.engine.catalogPage())
    catalog.put('keyspace 1', { id, rootPage, keyEncoding: 0, valueEncoding: 0 })
    this.engine.commit()
    this.#tree = new Tree(this.engine, rootPage, id)
  }

  /** One transaction that puts these keys, each with a value of that many equal letters. */
  put(...puts: [key: string, letter: string, length: number][]): void {
    this.engine.begin()
    for (const [key, letter, length] of puts) this.stagePut(key, letter, length)
    this.engine.commit()
    for (const [key, letter, length] of puts) this.expected.set(key, `${letter}${length}`)
  }

  stagePut(key: string, letter: string, length: number): void {
    this.#tree.put(this.#key, this.#key.write(key, 0, 'latin1'), Buffer.alloc(length, letter))
  }

  delete(key: string): void {
    this.engine.begin()
    this.#tree.delete(this.#key, this.#key.write(key, 0, 'latin1'))
    this.engine.commit()
    this.expected.delete(key)
  }

  /** Keys with first letter and length of their values; throws when a value is not made of one letter. */
  entries(): Map<string, string> {
    const found = new Map<string, string>()
    const cursor = new Cursor(this.#tree)
    cursor.seek({})
    while (cursor.next()) {
      const { u8 } = cursor.valueView
      const value = u8.subarray(cursor.valueStart, cursor.valueStart + cursor.valueLength)
      if (value.some((byte) => byte !== value[0])) throw new Error('a value is a mixture of two')
      const letter = String.fromCharCode(value[0])
      found.set(cursor.key.toString('latin1', 0, cursor.keyLength), `${letter}${value.length}`)
    }
    return found
  }
}

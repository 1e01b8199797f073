/** The sound pools that hostile files are made from: small, and with some of everything. */
import { storeOn } from '../../../src/api/open.js'
import type { StoreHandle } from '../../../src/api/store.js'
import { EVENT_FENCE, EVENT_STORE } from '../../../src/pmem/event-log.js'
import type { Granularity } from '../../../src/pmem/persistent-memory.js'
import { LINE_BYTES, PAGE_BYTES } from '../../../src/pmem/program.js'
import { Engine, type EngineOptions } from '../../../src/tx/engine.js'
import type { Logging } from '../../../src/tx/committer.js'
import { PAGE_LOG_START } from '../../../src/pool/format.js'
import { Random } from '../random.js'
import { RecordingMemory } from '../replay-memory.js'
import { type Content, contentOf } from './content-of.js'
import { logOf, mapPool, type PoolMap } from './pool-map.js'

/** 256 pages, the smallest there is: pools of two segments stay small. */
export const SEGMENT_SHIFT = 8
const SEGMENT_PAGES = 2 ** SEGMENT_SHIFT

export interface BasePool {
  readonly name: string
  readonly logging: Logging
  /** Whether it was closed: then nothing in the log is needed any more. */
  readonly closed: boolean
  /**
   * Whether the pool cannot do without its log: a transaction was torn, and only its record can take it back. Damage there
   * is then beyond what anybody could find.
   */
  readonly needsLog: boolean
  readonly image: Buffer
  readonly map: PoolMap
  /** What may be found in it: one content, or every state that an end of the log somewhere else would lead to. */
  readonly contents: readonly Content[]
}

/** Options every pool of the campaign is opened with; growth stays within two segments. */
export function poolOptions(logging: Logging): EngineOptions {
  return { logging, growthStepBytes: 16 * PAGE_BYTES, maxSizeBytes: 2 * SEGMENT_PAGES * PAGE_BYTES }
}

/** Makes all base pools; the same seed gives the same bytes (except for the pool's UUID and times). */
export function makeBasePools(seed: number): BasePool[] {
  const killed = [killedPool(seed), tornPool(seed), ringPool(seed), slotsPool(seed)]
  return [closedPool(seed), wideClosedPool(seed), emptyPool(seed), ...killed]
}

interface Made {
  readonly memory: RecordingMemory
  readonly options: EngineOptions
}

function create(
  seed: number,
  logging: Logging,
  pages: number,
  logPages: number,
  granularity: Granularity = logging === 'redo' ? 'page' : 'cache-line',
): Made {
  const random = new Random(seed)
  const memory = new RecordingMemory({
    sizeBytes: pages * PAGE_BYTES,
    segmentShift: SEGMENT_SHIFT,
    granularity,
    record: true,
  })
  const options: EngineOptions = {
    ...poolOptions(logging),
    memory,
    logSizeBytes: logPages * PAGE_BYTES,
    segmentBytes: SEGMENT_PAGES * PAGE_BYTES,
    random: (words) => words.forEach((_, i) => (words[i] = random.word())),
  }
  return { memory, options }
}

function openStore({ options }: Made): StoreHandle {
  return storeOn(Engine.open('base.pool', options))
}

/** Some of everything: all encodings, structures, long prefixes, branches of two levels, large values, freed pages. */
function fill(store: StoreHandle, seed: number): void {
  const random = new Random(seed + 1)
  const people = store.keyspace<string, unknown>('people')
  const binary = store.keyspace('binary', { keyEncoding: 'binary', valueEncoding: 'binary' })
  const long = store.keyspace('long', { keyEncoding: 'utf8', valueEncoding: 'string' })
  const deep = store.keyspace('deep', { keyEncoding: 'utf8', valueEncoding: 'string' })
  const numbers = store.keyspace('numbers', { keyEncoding: 'uint32', valueEncoding: 'json' })
  store.transaction(() => {
    for (let i = 0; i < 50; i++) people.put(`person ${i}`, { name: `name ${i}`, born: 1800 + i, tags: ['a', i] })
    for (let i = 0; i < 20; i++)
      store.put(i % 3 === 0 ? ['list', i] : i, { text: 't'.repeat(random.below(80)), n: i / 3 })
    for (let i = 0; i < 30; i++) numbers.put(i * 7919, { i, half: i / 2, text: 'x'.repeat(random.below(60)) })
    // A common prefix longer than the header's room for it.
    for (let i = 0; i < 34; i++) long.put(`${'prefix/'.repeat(20)}${i * 37} ${'l'.repeat(i * 20)}`, `value ${i}`)
    // Neighbours differ late, but not all alike: separators are long, and the tree has three levels.
    for (let i = 0; i < 90; i++) deep.put(`${i % 6}${'deep '.repeat(190)}${i}`, `${i} `.repeat(130))
  })
  store.transaction(() => {
    for (let i = 0; i < 30; i++) {
      const length = i % 6 === 0 ? 2500 + random.below(9000) : random.below(200)
      const key = Buffer.alloc(4 + (i % 40), i)
      key.writeUInt32BE(random.word())
      binary.put(key, Buffer.alloc(length, i + 1))
    }
    for (let i = 0; i < 50; i += 4) people.delete(`person ${i}`)
    deep.deleteRange({ gte: '3', lt: '4' })
  })
}

function finish(name: string, made: Made, store: StoreHandle, logging: Logging): BasePool {
  store.close()
  const image = made.memory.image()
  return {
    name,
    logging,
    closed: true,
    needsLog: false,
    image,
    map: mapPool(image),
    contents: [contentOfImage(image, logging)],
  }
}

function closedPool(seed: number): BasePool {
  const made = create(seed, 'undo', 140, 6)
  const store = openStore(made)
  fill(store, seed)
  return finish('closed', made, store, 'undo')
}

function wideClosedPool(seed: number): BasePool {
  const made = create(seed, 'redo', 150, 24)
  const store = openStore(made)
  fill(store, seed + 7)
  // Into the second segment.
  for (let i = 0; i < 40; i++) store.put(`wide ${i}`, Buffer.alloc(20_000, i))
  for (let i = 0; i < 36; i++) store.delete(`wide ${i}`)
  return finish('closed, two segments', made, store, 'redo')
}

/** The smallest pool with a branch, a large value and structures: every bit of it can be flipped. */
export function makeSmallPool(seed: number): BasePool {
  const made = create(seed, 'undo', 40, 4)
  const store = openStore(made)
  for (let i = 0; i < 6; i++) store.put(`key ${i}`, { text: 't'.repeat(700), i })
  store.put('large', { text: 'l'.repeat(5000), i: 6 })
  return finish('small', made, store, 'undo')
}

function emptyPool(seed: number): BasePool {
  const made = create(seed, 'undo', 40, 4)
  return finish('empty', made, openStore(made), 'undo')
}

function killedPool(seed: number): BasePool {
  const made = create(seed, 'undo', 140, 6)
  let store = openStore(made)
  fill(store, seed + 2)
  store.close()
  store = openStore(made)
  const before = contentOf(store)
  lastTransaction(store, 3)
  const after = contentOf(store)
  const image = made.memory.image()
  const map = mapPool(image)
  // A covered line that rots before the next open makes the transaction look torn: it is then taken back, wholly.
  return { name: 'killed', logging: 'undo', closed: false, needsLog: false, image, map, contents: [after, before] }
}

/** Killed in the middle of applying a transaction. */
function tornPool(seed: number): BasePool {
  const attempt = (failAfter: number): { memory: RecordingMemory; content: Content; events: number } => {
    const made = create(seed, 'undo', 140, 6)
    let store = openStore(made)
    fill(store, seed + 3)
    store.close()
    store = openStore(made)
    const content = contentOf(store)
    const { events } = made.memory.trace()
    const before = events.count
    made.memory.failAfterEvents(failAfter)
    try {
      lastTransaction(store, 5)
    } catch (error) {
      if (failAfter === Infinity) throw error
    }
    return { memory: made.memory, content, events: events.count - before }
  }
  // Near its end: after the record, while lines are stored in their places.
  const { memory, content } = attempt(Math.floor(attempt(Infinity).events * 0.85))
  const image = memory.image()
  const recovered = recoverImage(image, 'undo', 'rolled-back')
  const map = { ...mapPool(recovered), ...logOf(image) }
  return { name: 'torn', logging: 'undo', closed: false, needsLog: true, image, map, contents: [content] }
}

/** Killed with a log of committed transactions of which nothing has reached its place. */
function ringPool(seed: number): BasePool {
  const made = create(seed, 'redo', 180, 32)
  let store = openStore(made)
  fill(store, seed + 4)
  store.close()
  store = openStore(made)
  const places = made.memory.image()
  const contents = [contentOf(store)]
  for (let i = 0; i < 6; i++) {
    lastTransaction(store, 10 + i)
    contents.unshift(contentOf(store))
  }
  const image = Buffer.from(places)
  const logStart = PAGE_LOG_START * PAGE_BYTES
  made.memory.image().copy(image, logStart, logStart, logStart + 32 * PAGE_BYTES)
  recoverImage(image, 'redo', 'replayed')
  return { name: 'ring', logging: 'redo', closed: false, needsLog: false, image, map: mapPool(image), contents }
}

/** Killed behind the fence of a transaction of which no line has reached its place, with the record before in the other slot. */
function slotsPool(seed: number): BasePool {
  const made = create(seed, 'redo', 180, 32, 'cache-line')
  let store = openStore(made)
  fill(store, seed + 5)
  store.close()
  store = openStore(made)
  lastTransaction(store, 5)
  const before = contentOf(store)
  const { memory } = made
  const places = memory.image()
  lastTransaction(store, 6)
  const image = memory.image()
  const after = contentOf(store)
  const { events } = memory.trace()
  // Back to the fence: the lines stored behind it as they were.
  for (let event = events.count - 1; events.kind(event) !== EVENT_FENCE; event--) {
    if (events.kind(event) !== EVENT_STORE) continue
    const at = events.pageId(event) * PAGE_BYTES + events.line(event) * LINE_BYTES
    places.copy(image, at, at, at + LINE_BYTES)
  }
  recoverImage(image, 'redo', 'replayed')
  const contents = [after, before]
  return { name: 'slots', logging: 'redo', closed: false, needsLog: false, image, map: mapPool(image), contents }
}

/** The transaction that an unclean pool was killed in or after: several trees, a large value, a split or two. */
function lastTransaction(store: StoreHandle, seed: number): void {
  store.transaction(() => {
    const people = store.keyspace<string, unknown>('people')
    for (let i = 0; i < 12; i++) people.put(`late ${seed} ${i}`, { name: `late ${i}`, born: 1900 + i, tags: [] })
    people.put('person 1', { name: 'changed', born: seed, tags: ['b'] })
    store.delete(4)
    store.put(`large ${seed}`, Buffer.alloc(6000, seed))
    store.keyspace<number, unknown>('numbers').put(seed, { late: seed })
  })
}

function recoverImage(image: Buffer, logging: Logging, expected: string): Buffer {
  const memory = memoryOf(image, logging)
  const engine = Engine.open('base.pool', { ...poolOptions(logging), memory })
  if (engine.recovery.outcome !== expected) throw new Error(`${engine.recovery.outcome} instead of ${expected}`)
  return memory.image()
}

function memoryOf(image: Buffer, logging: Logging): RecordingMemory {
  const granularity = logging === 'redo' ? 'page' : 'cache-line'
  return new RecordingMemory({ sizeBytes: image.length, segmentShift: SEGMENT_SHIFT, granularity, image })
}

function contentOfImage(image: Buffer, logging: Logging): Content {
  return contentOf(storeOn(Engine.open('base.pool', { ...poolOptions(logging), memory: memoryOf(image, logging) })))
}

import { DaxkvError } from '../errors.js'
import { storeOn } from '../api/open.js'
import type { StoreHandle } from '../api/store.js'
import { EVENT_MARK, type Trace } from '../pmem/event-log.js'
import { LINES_PER_PAGE, LINE_BYTES, PAGE_BYTES } from '../pmem/program.js'
import type { Geometry } from '../pool/geometry.js'
import { Engine, type EngineOptions } from '../tx/engine.js'
import { readContent } from '../../crash-tests/src/content.js'
import { Random } from '../../crash-tests/src/random.js'
import { RecordingMemory } from '../../crash-tests/src/replay-memory.js'
import { callUserCode } from './call-site.js'
import { OperationWatcher } from './operations.js'
import type { CrashLogging, CrashOperation, CrashStoreOptions } from './types.js'

/** Label of the mark that says how many transactions have been acknowledged. */
const MARK_ACKNOWLEDGED = 'acknowledged'

const KIB = 1024
const DEFAULT_INITIAL_BYTES = 256 * KIB
const DEFAULT_GROWTH_BYTES = 64 * KIB
const DEFAULT_LOG_BYTES = 32 * KIB
const DEFAULT_SEGMENT_BYTES = 16 * KIB * KIB

export interface RecordedTransaction {
  readonly call: CrashOperation
  readonly operations: readonly CrashOperation[]
  /** Events that had happened when its commit began and when it had ended. */
  readonly begin: number
  readonly end: number
}

/** The last change of a line of the pool by a call: made in memory by `operation`, stored by the commit after `event`. */
export interface LineChange {
  readonly operation: CrashOperation
  /** Events that had happened by then. */
  readonly event: number
}

/** A run of the workload on recording memory, and what the pool must hold along it. */
export interface KitRecording {
  readonly logging: CrashLogging
  readonly trace: Trace
  /** Digests of the content: `history[n]` after n transactions. */
  readonly history: readonly string[]
  readonly transactions: readonly RecordedTransaction[]
  /** By point (events that have happened): transactions acknowledged. */
  readonly acknowledged: Uint32Array
  readonly geometry: Geometry
  /** Changes of a line, oldest first; the key is page * 64 + line. */
  readonly changes: ReadonlyMap<number, readonly LineChange[]>
  /** The pool as `setup` has left it, and after the workload and a clean close. */
  readonly before: Uint8Array
  readonly after: Uint8Array
}

/** Opens an engine on memory of the laboratory; what is random comes from the seed. */
export function openKitEngine(
  memory: NonNullable<EngineOptions['memory']>,
  logging: CrashLogging,
  store: CrashStoreOptions,
  seed: number,
): Engine {
  const random = new Random(seed)
  const {
    keyEncoding: _keys,
    valueEncoding: _values,
    initialSizeBytes: _size,
    segmentBytes: _segment,
    ...sizes
  } = store
  return Engine.open('crash-test', {
    logSizeBytes: DEFAULT_LOG_BYTES,
    growthStepBytes: DEFAULT_GROWTH_BYTES,
    ...sizes,
    logging,
    memory,
    random: (words) => {
      for (let index = 0; index < words.length; index++) words[index] = random.word()
    },
  })
}

/** The public face of an engine, with the encodings the caller asked for. */
export function openKitStore(engine: Engine, { keyEncoding, valueEncoding }: CrashStoreOptions): StoreHandle {
  return storeOn(engine, { keyEncoding, valueEncoding })
}

type UserStore = (store: StoreHandle) => unknown

/** Runs `setup` and then, recorded, `workload` and a close. */
export async function recordRun(
  logging: CrashLogging,
  storeOptions: CrashStoreOptions,
  seed: number,
  setup: UserStore | undefined,
  workload: UserStore,
): Promise<KitRecording> {
  const segmentBytes = storeOptions.segmentBytes ?? DEFAULT_SEGMENT_BYTES
  const memory = new RecordingMemory({
    sizeBytes: Math.ceil((storeOptions.initialSizeBytes ?? DEFAULT_INITIAL_BYTES) / PAGE_BYTES) * PAGE_BYTES,
    segmentShift: Math.log2(segmentBytes / PAGE_BYTES),
    granularity: logging === 'redo' ? 'page' : 'cache-line',
    record: true,
  })
  const engine = openKitEngine(memory, logging, storeOptions, seed)
  const store = openKitStore(engine, storeOptions)
  if (setup !== undefined) await callUserCode(() => setup(store))
  memory.startRecording()
  const before = memory.image()
  const recorder = new Recorder(engine, memory)
  recorder.watch(store)
  await callUserCode(() => workload(store))
  store.close()
  return recorder.finish(logging, before)
}

/** Listens to the engine and to the calls of the workload. */
class Recorder {
  readonly #engine: Engine
  readonly #memory: RecordingMemory
  readonly #geometry: Geometry
  readonly #history: string[]
  readonly #transactions: RecordedTransaction[] = []
  readonly #changes = new Map<number, LineChange[]>()
  /** Calls that have begun and not ended, outermost first. */
  readonly #open: CrashOperation[] = []
  /** Calls since the last commit. */
  #operations: CrashOperation[] = []
  /** The outermost call that began last: commits after its end belong to it too (a promise). */
  #last: CrashOperation | undefined

  constructor(engine: Engine, memory: RecordingMemory) {
    this.#engine = engine
    this.#memory = memory
    this.#geometry = engine.geometry
    this.#history = [this.#digest()]
    this.#watchCommits()
    this.#watchPages()
  }

  watch(store: StoreHandle): void {
    const watcher = new OperationWatcher({
      begin: (operation, outermost) => {
        this.#open.push(operation)
        if (outermost) this.#last = operation
        else if (operation.method !== 'keyspace') this.#operations.push(operation)
      },
      end: (outermost, acknowledged) => {
        this.#open.pop()
        if (!outermost) return
        this.#operations = []
        if (acknowledged) this.#memory.mark(MARK_ACKNOWLEDGED, this.#transactions.length)
      },
    })
    watcher.watch(store)
  }

  finish(logging: CrashLogging, before: Uint8Array): KitRecording {
    const trace = this.#memory.trace()
    return {
      logging,
      trace,
      history: this.#history,
      transactions: this.#transactions,
      acknowledged: acknowledgedByPoint(trace),
      geometry: this.#geometry,
      changes: this.#changes,
      before,
      after: this.#memory.image(),
    }
  }

  get #events(): number {
    return this.#memory.trace().events.count
  }

  #digest(): string {
    return readContent(this.#memory, this.#geometry).digest
  }

  #watchCommits(): void {
    const engine = this.#engine
    const commit = engine.commit.bind(engine)
    engine.commit = (durability) => {
      if (durability === 'relaxed') {
        throw new DaxkvError('INVALID_ARGUMENT', 'crashTest: relaxed transactions are not explored yet')
      }
      if (engine.depth !== 1) {
        commit(durability)
        return
      }
      const [begin, { sequence }] = [this.#events, engine]
      commit(durability)
      if (engine.sequence === sequence) return
      const call = this.#last ?? { method: 'commit', keyspace: '', key: undefined, sites: [] }
      this.#transactions.push({ call, operations: this.#operations, begin, end: this.#events })
      this.#operations = []
      this.#history.push(this.#digest())
    }
  }

  /** Which call has changed which line: for messages only. */
  #watchPages(): void {
    const { space } = this.#engine
    const markDirty = space.markDirty.bind(space)
    space.markDirty = (frame, from, to) => {
      markDirty(frame, from, to)
      for (let at = from - (from % LINE_BYTES); at < to; at += LINE_BYTES) {
        this.#changed(space.pageIds[frame], at / LINE_BYTES)
      }
    }
    const stageFresh = space.stageFresh.bind(space)
    space.stageFresh = (pageId) => {
      stageFresh(pageId)
      for (let line = 0; line < LINES_PER_PAGE; line++) this.#changed(pageId, line)
    }
    const noteExtent = space.noteExtent.bind(space)
    space.noteExtent = (pageId, byteLength) => {
      noteExtent(pageId, byteLength)
      for (let line = 0; line < Math.ceil(byteLength / LINE_BYTES); line++) this.#changed(pageId, line)
    }
  }

  #changed(pageId: number, line: number): void {
    const operation = this.#open.at(-1)
    if (operation === undefined) return
    const key = pageId * LINES_PER_PAGE + line
    const changes = this.#changes.get(key)
    if (changes === undefined) this.#changes.set(key, [{ operation, event: this.#events }])
    else if (changes[changes.length - 1].operation !== operation) changes.push({ operation, event: this.#events })
  }
}

function acknowledgedByPoint({ events }: Trace): Uint32Array {
  const counts = new Uint32Array(events.count + 1)
  let count = 0
  for (let event = 0; event < events.count; event++) {
    if (events.kind(event) === EVENT_MARK) {
      const { label, data } = events.mark(event)
      if (label === MARK_ACKNOWLEDGED) count = data as number // `Recorder.watch` put it there
    }
    counts[event + 1] = count
  }
  return counts
}

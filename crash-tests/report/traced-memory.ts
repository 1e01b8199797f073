import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { EventLog } from '../../src/pmem/event-log.js'
import {
  OP_APPLY,
  OP_CHECKSUM,
  OP_CHECKSUM_FRESH,
  OP_CHECKSUM_FROM,
  OP_FENCE,
  OP_FLUSH,
  OP_RECORD,
  OP_STORE,
  OP_STORE_LAZY,
  OP_SYNC_ALL,
  operationWords,
} from '../../src/pmem/program.js'
import { ROOT } from '../src/bundle.js'
import { RecordingMemory } from '../src/replay-memory.js'

/** Who caused a run of events, and by which operations. */
export interface EventSource {
  /** Events [from, to) of the trace. */
  readonly from: number
  readonly to: number
  /** Such as `src/tx/commit.ts:94 UndoCommitter.commit`. */
  readonly site: string
  /** Names of the operations of the program, by their position in it. */
  readonly operations: readonly string[]
}

/** Frames that stand between the code that decides and the medium. */
const BETWEEN = /program-builder\.ts|simulated-memory\.ts|crash-tests\/report\//

/** Memory that also remembers which source location caused which events. */
export class TracedMemory extends RecordingMemory {
  readonly #sources = new WeakMap<EventLog, EventSource[]>()

  override run(words: number): void {
    const operations = operationNames(this.program, words)
    this.#note(operations, () => {
      super.run(words)
    })
  }

  override writeExtent(pageId: number, bytes: Uint8Array, hashOut: Uint32Array, lazily = false): void {
    this.#note(['large value'], () => {
      super.writeExtent(pageId, bytes, hashOut, lazily)
    })
  }

  override grow(newSizeBytes: number): void {
    this.#note(['grow'], () => {
      super.grow(newSizeBytes)
    })
  }

  /** In the order of the events. */
  sourcesOf(events: EventLog): readonly EventSource[] {
    return this.#sources.get(events) ?? []
  }

  #note(operations: readonly string[], action: () => void): void {
    const { events } = this.trace()
    const from = events.count
    action()
    const sources = this.#sources.get(events) ?? []
    sources.push({ from, to: events.count, site: callerSite(), operations })
    this.#sources.set(events, sources)
  }
}

function callerSite(): string {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 16
  const { stack = '' } = new Error()
  Error.stackTraceLimit = limit
  for (const text of stack.split('\n')) {
    const match = /^\s*at (?:(.*?) \()?([^()]+):(\d+):\d+\)?$/.exec(text)
    if (match === null || BETWEEN.test(match[2])) continue
    const [, name = '', place, line] = match as unknown as [string, string | undefined, string, string]
    const file = place.startsWith('file:') ? fileURLToPath(place) : place
    return `${relative(ROOT, file)}:${line} ${name}`.trim()
  }
  return 'unknown'
}

/** Fences are numbered: which one of a commit it is, is what matters. */
function operationNames(program: Uint32Array, words: number): string[] {
  const names: string[] = []
  let fences = 0
  for (let at = 0; at < words;) {
    const operation = program[at]
    names.push(operation === OP_FENCE ? `FENCE ${++fences}` : OPERATION_NAMES[operation])
    at += operationWords(program, at)
  }
  return names
}

const OPERATION_NAMES: Readonly<Record<number, string>> = {
  [OP_SYNC_ALL]: 'SYNC_ALL',
  [OP_CHECKSUM]: 'CHECKSUM',
  [OP_CHECKSUM_FRESH]: 'CHECKSUM_FRESH',
  [OP_CHECKSUM_FROM]: 'CHECKSUM_FROM',
  [OP_STORE]: 'STORE',
  [OP_STORE_LAZY]: 'STORE_LAZY',
  [OP_RECORD]: 'RECORD',
  [OP_APPLY]: 'APPLY',
  [OP_FLUSH]: 'FLUSH',
}

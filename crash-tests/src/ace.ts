import { PAGE_BYTES } from '../../src/pmem/program.js'
import type { EngineOptions } from '../../src/tx/engine.js'
import { ACE_OPERATIONS, AceStore } from './ace-store.js'
import type { AceOperation, AceStep } from './ace-store.js'
import { lint } from './lints.js'
import { MARK_ACKNOWLEDGED, makeIdentityRepeatable } from './recording.js'
import type { Recording } from './recording.js'
import { PROTOCOLS } from './protocols.js'
import type { Protocol } from './protocols.js'
import { RecordingMemory } from './replay-memory.js'
import { SEGMENT_SHIFT } from './workload.js'

/** Pages of the log: one record of an undo transaction and little more, two of redo, or a ring for a few. */
export const ACE_LOG_PAGES: Readonly<Record<Protocol, number>> = { undo: 4, slots: 4, ring: 8 }
/** Free pages of the pool that sequences start from: so few that large values make it grow. */
const FREE_PAGES = 6

export function aceEngineOptions(protocol: Protocol): EngineOptions {
  return { logging: PROTOCOLS[protocol].logging, logSizeBytes: ACE_LOG_PAGES[protocol] * PAGE_BYTES }
}

/** All sequences of exactly so many operations that begin with these. */
export function* aceSequences(length: number, begin: readonly AceOperation[] = []): Generator<readonly AceOperation[]> {
  if (begin.length === length) {
    yield begin
    return
  }
  for (const operation of ACE_OPERATIONS) yield* aceSequences(length, [...begin, operation])
}

export interface AceRecording extends Recording {
  /** Events that had happened before the last operation: the crashes before it belong to a shorter sequence. */
  readonly lastOperation: number
}

/**
 * Runs a sequence on a pool with a few entries. The events of a program do not depend on the granularity (only which redo log is
 * used does), so one recording serves all models of its protocol.
 */
export function recordAce(steps: readonly AceStep[], protocol: Protocol, lints = true): AceRecording {
  const usedPages = 20 + ACE_LOG_PAGES[protocol] - 4
  const memory = new RecordingMemory({
    sizeBytes: (usedPages + FREE_PAGES) * PAGE_BYTES,
    segmentShift: SEGMENT_SHIFT,
    granularity: PROTOCOLS[protocol].granularity,
    record: true,
  })
  const history: string[] = []
  const store = new AceStore(memory, aceEngineOptions(protocol), 1, {
    beforeCommit: (digest) => history.push(digest),
    acknowledged: () => memory.mark(MARK_ACKNOWLEDGED, history.length - 1),
    phase: (name) => memory.mark(name),
  })
  store.fill()
  makeIdentityRepeatable(memory)
  memory.startRecording()
  let lastOperation = 0
  for (const step of steps) {
    lastOperation = memory.trace().events.count
    store.do(step)
  }
  if (lints) lint(memory.trace())
  return { trace: memory.trace(), history, acknowledgedBefore: 0, lastOperation }
}

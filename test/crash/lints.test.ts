/** Every lint fires on a trace that was doctored to break it, and on no trace of the unchanged program. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { aceSequences, recordAce } from '../../crash-tests/src/ace.js'
import { ACE_OPERATIONS } from '../../crash-tests/src/ace-store.js'
import type { AceOperation } from '../../crash-tests/src/ace-store.js'
import { LintError, lint, LINTS, lintTrace } from '../../crash-tests/src/lints.js'
import { MARK_ACKNOWLEDGED } from '../../crash-tests/src/marks.js'
import { ALL_PROTOCOLS } from '../../crash-tests/src/protocols.js'
import type { Protocol } from '../../crash-tests/src/protocols.js'
import {
  EVENT_FENCE,
  EVENT_FLUSH,
  EVENT_MARK,
  EVENT_STORE,
  EVENT_STORE_NON_TEMPORAL,
  EVENT_SYNC_ALL,
  EventLog,
} from '../../src/pmem/event-log.js'
import type { Trace } from '../../src/pmem/event-log.js'
import { ready } from '../../src/pmem/xxh64.js'
import { PAGE_ANCHOR_A, PAGE_ANCHOR_B } from '../../src/pool/format.js'

await ready

function record(protocol: Protocol, ...operations: AceOperation[]): Trace {
  return recordAce(
    operations.map((operation) => ({ operation, variant: 0 })),
    protocol,
    false,
  ).trace
}

/** The trace with every event replaced by what `doctor` appends for it. */
function doctored({ image, events }: Trace, doctor: (event: number, into: EventLog) => void): Trace {
  const changed = new EventLog()
  for (let event = 0; event < events.count; event++) doctor(event, changed)
  return { image, events: changed }
}

/** Without the events that `isBad` names. */
const without = (trace: Trace, isBad: (event: number) => boolean): Trace =>
  doctored(trace, (event, into) => {
    if (!isBad(event)) into.appendFrom(trace.events, event, event + 1)
  })

/** Every event, and `again` once more behind itself. */
const repeated = (trace: Trace, again: number): Trace =>
  doctored(trace, (event, into) => {
    into.appendFrom(trace.events, event, event + 1)
    if (event === again) into.appendFrom(trace.events, event, event + 1)
  })

const lintsOf = (trace: Trace): string[] => [...new Set(lintTrace(trace).map((finding) => finding.lint))].sort()
const eventsOf = ({ events }: Trace, kind: number): number[] =>
  Array.from({ length: events.count }, (_, event) => event).filter((event) => events.kind(event) === kind)

for (const protocol of ALL_PROTOCOLS) {
  test(`no lint fires on any sequence of two operations (${protocol})`, () => {
    for (const operations of aceSequences(2)) {
      assert.deepEqual(lintTrace(record(protocol, ...operations)), [], operations.join())
    }
  })
}

test('a dirty line that is stored and not flushed is not durable when acknowledged', () => {
  const trace = record('undo', 'putNew')
  const [flush] = eventsOf(trace, EVENT_FLUSH)
  const found = lintsOf(without(trace, (event) => event === flush))
  assert.deepEqual(found, ['budget', 'not durable when acknowledged'])
})

test('a redo record that was not fenced covers nothing', () => {
  const trace = record('ring', 'putNew')
  const found = lintsOf(without(trace, (event) => trace.events.kind(event) === EVENT_FENCE))
  assert.ok(found.includes('not durable when acknowledged'), found.join())
})

test('a line stored again between its flush and the fence', () => {
  const trace = record('undo', 'putNew')
  const { events } = trace
  const [flush] = eventsOf(trace, EVENT_FLUSH)
  const again = doctored(trace, (event, into) => {
    into.appendFrom(events, event, event + 1)
    // Behind its flush, and flushed once more so that nothing else is wrong but the counts.
    if (event === flush) into.appendFrom(events, flush - 1, flush + 1)
  })
  assert.deepEqual(lintsOf(again), ['budget', 'store after flush'])
})

test('a line flushed twice', () => {
  const trace = record('undo', 'putNew')
  assert.deepEqual(lintsOf(repeated(trace, eventsOf(trace, EVENT_FLUSH)[0])), ['budget', 'flush of a clean line'])
})

test('a fence behind a fence', () => {
  const trace = record('ring', 'putNew')
  assert.deepEqual(lintsOf(repeated(trace, eventsOf(trace, EVENT_FENCE)[0])), ['budget', 'empty fence'])
})

test('a store in place before the record is durable, and one that the record does not cover', () => {
  const trace = record('undo', 'putNew')
  const { events } = trace
  const [fence] = eventsOf(trace, EVENT_FENCE)
  const [store] = eventsOf(trace, EVENT_STORE)
  const early = doctored(trace, (event, into) => {
    if (event === fence) into.appendFrom(events, store, store + 2)
    if (event !== store && event !== store + 1) into.appendFrom(events, event, event + 1)
  })
  assert.ok(lintsOf(early).includes('store outside'))
  const elsewhere = doctored(trace, (event, into) => {
    if (event !== store) {
      into.appendFrom(events, event, event + 1)
      return
    }
    const [page, line] = [events.pageId(event), (events.line(event) + 17) % 64]
    into.appendStore(EVENT_STORE, page, line, events.bytes(event), 0, events.program(event), events.operation(event))
  })
  assert.ok(lintsOf(elsewhere).includes('store outside'))
})

test('a transaction with a fence too many or a line too few breaks its budget', () => {
  const trace = record('undo', 'putNew')
  const stores = eventsOf(trace, EVENT_STORE)
  const missing = without(trace, (event) => event === stores[0] || event === stores[0] + 1)
  assert.deepEqual(lintsOf(missing), ['budget'])
  const twoFences = eventsOf(trace, EVENT_FENCE)
  assert.ok(lintsOf(repeated(trace, twoFences[1])).includes('budget'))
})

test('recovery may store what a record covers, but must make the anchors durable', () => {
  const trace = record('undo', 'putNew', 'reopen')
  const flushes = eventsOf(trace, EVENT_FLUSH)
  const found = lintsOf(without(trace, (event) => event === flushes[flushes.length - 1]))
  assert.ok(found.includes('not durable when acknowledged'), found.join())
})

test('a finding names the event and what is wrong', () => {
  const trace = record('undo', 'putNew')
  const broken = repeated(trace, eventsOf(trace, EVENT_FENCE)[0])
  assert.throws(
    () => lint(broken),
    (error) => error instanceof LintError && /empty fence at event \d+: fence \(program/.test(error.message),
  )
  assert.equal(Object.keys(LINTS).length, 6)
})

/** What an operation waits for: fences, and syncs of the whole file. Growth adds its own; here nothing has to grow but `grow`. */
const WAITS: Readonly<Record<Protocol, Readonly<Partial<Record<AceOperation, [fences: number, syncs: number]>>>>> = {
  undo: {
    putNew: [2, 0],
    overwriteSame: [2, 0],
    overwriteLarger: [2, 0],
    overwriteSmaller: [2, 0],
    delete: [2, 0],
    twoKeyspaces: [2, 0],
    abort: [0, 0],
    nestedAbort: [2, 0],
    largeValue: [2, 0],
    grow: [4, 0],
    checkpoint: [0, 0],
    reopen: [3, 2],
  },
  slots: {
    putNew: [1, 0],
    overwriteSame: [1, 0],
    overwriteLarger: [1, 0],
    overwriteSmaller: [1, 0],
    delete: [1, 0],
    twoKeyspaces: [1, 0],
    abort: [0, 0],
    nestedAbort: [1, 0],
    largeValue: [1, 0],
    grow: [2, 0],
    // Of the lines of the last transaction.
    checkpoint: [1, 0],
    reopen: [3, 2],
  },
  ring: {
    putNew: [1, 0],
    overwriteSame: [1, 0],
    overwriteLarger: [1, 0],
    overwriteSmaller: [1, 0],
    delete: [1, 0],
    twoKeyspaces: [1, 0],
    abort: [0, 0],
    nestedAbort: [1, 0],
    largeValue: [1, 0],
    // A value longer than what is logged waits twice, the growth once; not for a checkpoint under way.
    grow: [3, 0],
    // Of its anchor.
    checkpoint: [1, 0],
    reopen: [4, 2],
  },
}

for (const protocol of ALL_PROTOCOLS) {
  test(`every operation has exactly its fences and flushes (${protocol})`, () => {
    for (const operation of ACE_OPERATIONS) {
      const trace = record(protocol, operation)
      const count = (kind: number): number => eventsOf(trace, kind).length
      assert.deepEqual([count(EVENT_FENCE), count(EVENT_SYNC_ALL)], WAITS[protocol][operation], operation)
      // Undo and slots flush what they store through the cache, each line once; a ring what goes past its record.
      // With either redo log nobody flushes values that are given up, and a ring stores an anchor now and then.
      const isAnchor = (event: number): boolean => [PAGE_ANCHOR_A, PAGE_ANCHOR_B].includes(trace.events.pageId(event))
      const flushes = eventsOf(trace, EVENT_FLUSH).filter((event) => !isAnchor(event))
      const stores = eventsOf(trace, EVENT_STORE).filter((event) => !isAnchor(event))
      const givenUp = protocol !== 'undo' && (operation === 'abort' || operation === 'nestedAbort')
      if (protocol !== 'ring' && !givenUp) assert.equal(flushes.length, stores.length, operation)
      else if (protocol === 'ring' && operation !== 'grow' && operation !== 'reopen')
        assert.deepEqual(flushes, [], operation)
      const marks = eventsOf(trace, EVENT_MARK).map((event) => trace.events.mark(event).label)
      const commits = operation === 'abort' || operation === 'checkpoint' || operation === 'reopen' ? 0 : 1
      assert.equal(marks.filter((label) => label === MARK_ACKNOWLEDGED).length, commits, operation)
      if (commits === 1) assert.ok(count(EVENT_STORE_NON_TEMPORAL) > 0, 'the record')
    }
  })
}

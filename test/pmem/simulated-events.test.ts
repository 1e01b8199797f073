import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EVENT_MARK, EVENT_NAMES, joinTraces } from '../../src/pmem/event-log.js'
import type { EventLog } from '../../src/pmem/event-log.js'
import {
  OP_FENCE,
  OP_FLUSH,
  OP_RECORD,
  OP_STORE,
  OP_STORE_LAZY,
  OP_SYNC_ALL,
  PAGE_BYTES,
} from '../../src/pmem/program.js'
import { frame, page, pattern, run, smallPool } from './simulated-support.js'

function list(events: EventLog): string[] {
  return Array.from({ length: events.count }, (_, event) => {
    const place = `${EVENT_NAMES[events.kind(event)]} ${events.pageId(event)}:${events.line(event)}`
    return `${place} p${events.program(event)} o${events.operation(event)}`
  })
}

test('every effect is an event, in program order, with its program and operation', () => {
  const memory = smallPool(10, { record: true })
  frame(memory, 0).set(pattern(PAGE_BYTES, 1))
  run(memory, OP_RECORD, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 1, 5, 0, 0b10, 0, OP_FENCE)
  memory.mark('half way')
  run(memory, OP_STORE, 5, 0, 0b10, 1, OP_FLUSH, 6, 1, 0, OP_SYNC_ALL)
  memory.grow(12 * PAGE_BYTES)
  memory.mark('done', { txid: 1 })
  memory.writeExtent(11, Buffer.alloc(70, 'x'), new Uint32Array(2))
  const { events } = memory.trace()
  assert.deepEqual(list(events), [
    'nt-store 1:1 p1 o0',
    'nt-store 1:2 p1 o0',
    'nt-store 1:0 p1 o0',
    'fence 0:0 p1 o1',
    'mark 0:0 p0 o0',
    'store 5:1 p2 o0',
    'flush 5:1 p2 o0',
    'store 5:32 p2 o0',
    'flush 5:32 p2 o0',
    'flush 6:0 p2 o1',
    'sync-all 0:0 p2 o2',
    'grow 10:0 p0 o0',
    'mark 0:0 p0 o0',
    'nt-store 11:0 p0 o0',
    'store 11:1 p0 o0',
    'flush 11:1 p0 o0',
  ])
  assert.deepEqual(events.bytes(5), pattern(PAGE_BYTES, 1).subarray(64, 128))
  assert.deepEqual(events.bytes(2), page(memory, 1).subarray(0, 64))
  assert.equal(events.pageCount(11), 12)
  assert.deepEqual(events.marksBefore(15), [
    { label: 'half way', data: undefined },
    { label: 'done', data: { txid: 1 } },
  ])
  assert.equal(events.marksBefore(12).length, 1)
  assert.equal(events.describe(5), 'store 5:1 (program 2 operation 0)')
})

test('replaying the stores of a trace over its first image gives the content', () => {
  const memory = smallPool(10, { record: true, image: pattern(10 * PAGE_BYTES, 2) })
  for (let index = 0; index < 400; index++) {
    frame(memory, index % 128).set(pattern(64, index), (index % 64) * 64)
    run(memory, OP_STORE, index % 10, index % 128, 0xffffffff, 0xffff)
  }
  const { image, events } = memory.trace()
  const replayed = Buffer.from(image)
  for (let event = 0; event < events.count; event++) {
    if (EVENT_NAMES[events.kind(event)] !== 'store') continue
    replayed.set(events.bytes(event), events.pageId(event) * PAGE_BYTES + events.line(event) * 64)
  }
  assert.equal(events.count, 400 * 48 * 2)
  assert.deepEqual(replayed, memory.image())
})

test('a failure can be put in the place of any event: what came before it is stored', () => {
  const program = [OP_STORE, 3, 0, 0b11, 0, OP_FENCE]
  for (let count = 0; count < 5; count++) {
    const memory = smallPool(10, { record: true })
    frame(memory, 0).fill(7)
    memory.failAfterEvents(count)
    assert.throws(() => run(memory, ...program), { code: 'PERSIST_FAILED' })
    assert.equal(memory.trace().events.count, count)
    assert.equal(page(memory, 3)[0], count > 0 ? 7 : 0)
    assert.equal(page(memory, 3)[64], count > 2 ? 7 : 0)
  }
})

test('a failed growth leaves the size as it was', () => {
  const memory = smallPool(10, { record: true })
  memory.failAfterEvents(0)
  assert.throws(() => memory.grow(20 * PAGE_BYTES), { code: 'PERSIST_FAILED' })
  assert.equal(memory.sizeBytes, 10 * PAGE_BYTES)
})

test('recording starts where the caller says, and not at all unless asked for', () => {
  const memory = smallPool()
  memory.mark('nobody listens')
  assert.throws(() => memory.trace(), { code: 'INTERNAL' })
  frame(memory, 0).fill(9)
  run(memory, OP_STORE, 0, 0, 1, 0)
  memory.startRecording()
  run(memory, OP_FENCE)
  assert.equal(memory.trace().image[0], 9)
  assert.equal(memory.trace().events.count, 1)
})

test('traces of a killed process and of its successor are joined', () => {
  const first = smallPool(10, { record: true })
  frame(first, 0).fill(1)
  run(first, OP_STORE, 0, 0, 3, 0)
  const second = smallPool(10, { record: true, image: first.image() })
  run(second, OP_FLUSH, 0, 1, 0, OP_FENCE)
  second.mark('recovered')
  const joined = joinTraces(first.trace(), 1, second.trace())
  assert.deepEqual(list(joined.events), ['store 0:0 p1 o0', 'flush 0:0 p1 o0', 'fence 0:0 p1 o1', 'mark 0:0 p0 o0'])
  assert.equal(joined.events.kind(3), EVENT_MARK)
  assert.equal(joined.image[0], 0)
})

test('a lazy store is an event without a flush, for pages and for extents', () => {
  const memory = smallPool(10, { record: true, granularity: 'page' })
  frame(memory, 0).fill(5)
  run(memory, OP_STORE_LAZY, 3, 0, 0b101, 0, OP_FENCE)
  memory.writeExtent(4, Buffer.alloc(70, 'x'), new Uint32Array(2), true)
  run(memory, OP_FENCE)
  assert.deepEqual(
    list(memory.trace().events).map((text) => text.split(' ').slice(0, 2).join(' ')),
    ['store 3:0', 'store 3:2', 'fence 0:0', 'store 4:0', 'store 4:1', 'fence 0:0'],
  )
  assert.equal(memory.counters.syncs, 0)
})

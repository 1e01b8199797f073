import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { open } from '../../src/index.js'
import { EVENT_STORE, EVENT_SYNC_ALL } from '../../src/pmem/event-log.js'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { Engine } from '../../src/tx/engine.js'

function scratch(t: TestContext): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'daxkv-open-'))
  t.after(() => {
    fs.rmSync(directory, { recursive: true, force: true })
  })
  return path.join(directory, 'test.pool')
}

test('a memory store meets no required granularity, and shows a forced one', () => {
  assert.throws(() => open(':memory:', { requireGranularity: 'page' }), { code: 'GRANULARITY_UNAVAILABLE' })
  const store = open(':memory:', { forceGranularity: 'page' })
  assert.equal(store.persistence.granularity, 'page')
  assert.equal(store.persistence.forced, true)
  store.close()
})

test('an executor that does not fit the path is refused instead of forgetting the data', (t) => {
  const file = scratch(t)
  assert.throws(() => open(file, { executor: 'simulated' }), { code: 'INVALID_ARGUMENT' })
  assert.throws(() => open(':memory:', { executor: 'native' }), { code: 'INVALID_ARGUMENT' })
  assert.equal(fs.existsSync(file), false)
})

test('a pool without its default keyspace, opened read-only, says what is missing', (t) => {
  const file = scratch(t)
  Engine.open(file).close()
  assert.throws(() => open(file, { readOnly: true }), {
    code: 'READ_ONLY',
    message: /default keyspace does not exist yet/,
  })
})

test('a pool being created has no name until it is complete, and a taken name is left alone', (t) => {
  const file = scratch(t)
  fs.writeFileSync(file, '')
  assert.throws(() => open(file), { code: 'NOT_A_POOL' })
  assert.equal(fs.statSync(file).size, 0)
  fs.rmSync(file)
  open(file).close()
  assert.deepEqual(fs.readdirSync(path.dirname(file)), ['test.pool'])
  assert.equal(fs.statSync(file).mode & 0o777, 0o600)
})

/**
 * After a failed msync Linux calls the pages clean though they never reached the medium; a later msync writes nothing.
 * Recovery of a finished transaction must therefore store its lines again: a flush alone would let them be lost.
 */
test('recovery of a finished transaction stores every covered line again before the record dies', () => {
  const memory = new SimulatedMemory({ sizeBytes: 64 * 4096, segmentShift: 8, granularity: 'page', record: true })
  const engine = Engine.open('x', { memory, logSizeBytes: 4 * 4096, logging: 'undo' })
  engine.begin()
  engine.allocator.allocate()
  engine.commit()
  const image = memory.image() // as a kill leaves it: the record of the last transaction is complete

  const second = new SimulatedMemory({
    sizeBytes: image.length,
    segmentShift: 8,
    granularity: 'page',
    image,
    record: true,
  })
  const reopened = Engine.open('x', { memory: second, logging: 'undo' })
  assert.equal(reopened.recovery.outcome, 'finished')
  const { events } = second.trace()
  const stored = new Set<string>()
  for (let event = 0; event < events.count && events.kind(event) !== EVENT_SYNC_ALL; event++) {
    if (events.kind(event) === EVENT_STORE) stored.add(`${events.pageId(event)}:${events.line(event)}`)
  }
  const restored = [...stored].filter((line) => Number(line.split(':')[0]) >= 4).length
  assert.equal(restored, reopened.recovery.lines)
  assert.ok(restored > 0)
  reopened.close()
})

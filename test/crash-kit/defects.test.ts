/** The crash kit holds daxkv to its promise, too: here with traces of a daxkv that forgets flushes and fences. */
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { changeEvents, type EventChange, type EventContext } from '../../crash-tests/src/trace-mutants.js'
import { KitExplorer } from '../../src/crash-kit/explore.js'
import { recordRun } from '../../src/crash-kit/record.js'
import type { CrashFailure, CrashLogging } from '../../src/crash-kit/types.js'
import { EVENT_FENCE, EVENT_FLUSH } from '../../src/pmem/event-log.js'
import { ready } from '../../src/pmem/xxh64.js'

before(() => ready)

async function exploreWith(
  logging: CrashLogging,
  change: (context: EventContext) => EventChange,
): Promise<CrashFailure | undefined> {
  const recording = await recordRun(
    logging,
    {},
    1,
    (store) => {
      for (let i = 0; i < 50; i++) store.put(`key ${i}`, 'x'.repeat(100))
    },
    (store) => {
      for (let i = 0; i < 4; i++)
        store.transaction(() => [1, 11, 21, 41].forEach((key) => store.put(`key ${key}`, `${i}`)))
    },
  )
  const settings = {
    seed: 1,
    exhaustiveLimit: 64,
    samples: 24,
    maxImages: Infinity,
    store: {},
    replay: undefined,
    check: () => true,
    progress: undefined,
  }
  const totals = { points: 0, images: 0, distinct: 0, contents: 0 }
  const changed = { ...recording, trace: changeEvents(change)(recording.trace) }
  return await new KitExplorer(changed, settings, totals).explore('cache-line')
}

describe('crashTest on a defective daxkv', () => {
  it('finds nothing when nothing is changed', async () => {
    assert.equal(await exploreWith('undo', () => 'keep'), undefined)
    assert.equal(await exploreWith('redo', () => 'keep'), undefined)
  })

  for (const logging of ['undo', 'redo'] as const) {
    it(`notices missing fences of commits with ${logging}`, async () => {
      const failure = await exploreWith(logging, ({ trace, event, commit }) =>
        commit && trace.events.kind(event) === EVENT_FENCE ? 'drop' : 'keep',
      )
      assert.ok(failure !== undefined)
      assert.notEqual(failure.kind, 'check')
      assert.match(failure.message, /this is a defect of daxkv/)
      assert.ok(failure.staleLines.length > 0)
    })
  }

  it('notices missing flushes, and says which call had changed the lines that were lost', async () => {
    const failure = await exploreWith('undo', ({ trace, event, commit }) =>
      commit && trace.events.kind(event) === EVENT_FLUSH ? 'drop' : 'keep',
    )
    assert.equal(failure?.kind, 'history')
    assert.match(failure.message, /lines of 64 bytes had not reached the medium/)
    const operations = failure.staleLines.flatMap(({ operation }) => (operation === undefined ? [] : [operation]))
    assert.ok(operations.some(({ method, sites }) => method === 'put' && sites[0].file.endsWith('defects.test.ts')))
  })
})

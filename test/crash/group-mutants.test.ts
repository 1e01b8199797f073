/** Each rule of the pipeline, broken: the crash enumeration of groups and relaxed commits must notice. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CrashViolation, Explorer } from '../../crash-tests/src/explorer.js'
import {
  exploreGroups,
  type GroupRecordOptions,
  type GroupRecording,
  MARK_BEGUN,
  MARK_DURABLE,
  recordGroups,
} from '../../crash-tests/src/group-recording.js'
import {
  EVENT_BARRIER_END,
  EVENT_BARRIER_START,
  EVENT_MARK,
  EventLog,
  type EventKind,
} from '../../src/pmem/event-log.js'
import { LINES_PER_PAGE } from '../../src/pmem/program.js'
import { ready } from '../../src/pmem/xxh64.js'
import { Allocator } from '../../src/pool/allocator.js'
import type { PageSpace } from '../../src/tx/page-space.js'
import { RedoCommitter } from '../../src/tx/redo-commit.js'
import { RedoRing } from '../../src/tx/redo-ring.js'
import { engineOptions } from '../../crash-tests/src/redo-support.js'

await ready

const LOG_PAGES = 16

function record(options: Partial<GroupRecordOptions> = {}): Promise<GroupRecording[]> {
  return recordGroups({
    seed: 5,
    steps: 60,
    initialPages: 60,
    stepsPerTrace: 10,
    weights: { sync: 1, relaxed: 2, group: 6 },
    engineOptions: () => engineOptions('redo', LOG_PAGES),
    ...options,
  })
}

/** Whether power failures show something that must not be. */
function isCaught(recordings: readonly GroupRecording[]): boolean {
  const explorer = new Explorer({
    granularity: 'page',
    logPages: LOG_PAGES,
    engineOptions: () => engineOptions('redo', LOG_PAGES),
  })
  try {
    for (const recording of recordings) {
      exploreGroups(explorer, recording, { model: 'page', points: 'frontier', exhaustiveLimit: 16, samples: 16 })
    }
    return false
  } catch (error) {
    if (error instanceof CrashViolation) return true
    throw error
  }
}

/** The recording without some of its events, or with others in their place. */
function rewrite(
  recording: GroupRecording,
  change: (events: EventLog, event: number, kind: EventKind, to: EventLog) => boolean,
): GroupRecording {
  const { events } = recording.trace
  const changed = new EventLog()
  for (let event = 0; event < events.count; event++) {
    if (change(events, event, events.kind(event), changed)) changed.appendFrom(events, event, event + 1)
  }
  return { ...recording, trace: { ...recording.trace, events: changed } }
}

test('unchanged, the recordings hold', async () => {
  assert.equal(isCaught(await record()), false)
})

test('barriers that reach no disk are noticed', async () => {
  const recordings = await record()
  const broken = recordings.map((recording) =>
    rewrite(recording, (_, __, kind) => kind !== EVENT_BARRIER_START && kind !== EVENT_BARRIER_END),
  )
  assert.equal(isCaught(broken), true)
})

test('checkpoints whose data reaches no disk are noticed', async () => {
  const recordings = await record({ steps: 120, weights: { sync: 1, relaxed: 0, group: 4 } })
  const broken = recordings.map((recording) =>
    rewrite(
      recording,
      (events, event, kind) =>
        (kind !== EVENT_BARRIER_START && kind !== EVENT_BARRIER_END) || events.pageId(event) === 0,
    ),
  )
  assert.equal(isCaught(recordings), false)
  assert.equal(isCaught(broken), true)
})

test('promises that resolve before their barrier has ended are noticed', async () => {
  const recordings = await record()
  const broken = recordings.map((recording) =>
    rewrite(recording, (events, event, kind, to) => {
      if (kind !== EVENT_MARK) return true
      const { label, data } = events.mark(event)
      if (label === MARK_BEGUN) {
        to.appendMark(label, data, 0)
        to.appendMark(MARK_DURABLE, data, 0)
        return false
      }
      return true
    }),
  )
  assert.equal(isCaught(broken), true)
})

/** Runs `work` with a method of a class replaced. */
async function withMethod<C extends object, K extends keyof C>(
  prototype: C,
  name: K,
  replacement: C[K],
  work: () => Promise<boolean>,
): Promise<boolean> {
  const original = prototype[name]
  prototype[name] = replacement
  try {
    return await work()
  } finally {
    prototype[name] = original
  }
}

test('records that are applied when they are written, before their barrier, are noticed', async () => {
  const { prototype } = RedoCommitter
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with `call`
  const { writeRecord } = prototype
  const early = function (this: RedoCommitter): 'written' | 'nothing' | 'must wait' {
    const outcome = writeRecord.call(this)
    if (outcome === 'written') {
      this.durableRecord = this.records
      this.applyDurable()
    }
    return outcome
  }
  assert.equal(await withMethod(prototype, 'writeRecord', early, async () => isCaught(await record())), true)
})

test('pages stored from frames that show what is not durable are noticed', async () => {
  const careless = function (this: RedoCommitter): boolean {
    return (Reflect.get(this, 'space') as PageSpace).stagedCount === 0
  }
  const prototype = RedoCommitter.prototype as unknown as { framesAreDurable: typeof careless }
  const caught = await withMethod(prototype, 'framesAreDurable', careless, async () => {
    for (let seed = 1; seed <= 8; seed++) {
      if (isCaught(await record({ seed, weights: { sync: 0, relaxed: 1, group: 1 } }))) return true
    }
    return false
  })
  assert.equal(caught, true)
})

test('records appended to a page behind which a barrier has come are noticed', async () => {
  const { prototype } = RedoRing
  const inPage = function (this: RedoRing): number {
    const head = Reflect.get(this, 'head') as number
    return Math.ceil(head / LINES_PER_PAGE) * LINES_PER_PAGE
  }
  const caught = await withMethod(prototype, 'seal', inPage, async () => {
    for (let seed = 1; seed <= 8; seed++) if (isCaught(await record({ seed }))) return true
    return false
  })
  assert.equal(caught, true)
})

test('pages that are used again while the barrier that frees them is under way are noticed', async () => {
  // Without pins, values written at once go over extents that an undurable operation has freed.
  const noPins = { pin: (): void => undefined }
  const prototype = Allocator.prototype as unknown as typeof noPins
  const caught = await withMethod(prototype, 'pin', noPins.pin, async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const recordings = await record({
        seed,
        kinds: ['largeValue', 'replaceLargeValue', 'replaceLargeValue', 'putNew', 'delete'],
        weights: { sync: 0, relaxed: 1, group: 3 },
      })
      if (isCaught(recordings)) return true
    }
    return false
  })
  assert.equal(caught, true)
})

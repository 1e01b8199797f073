/**
 * Power failures and kills at every point of redo commits, checkpoints, recoveries and switches of the mode, over the page
 * model: each page independently at any version since its last completed msync, torn at its 512-byte sectors.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../crash-tests/src/random.js'
import { recordWorkload } from '../../crash-tests/src/recording.js'
import type { StepKind } from '../../crash-tests/src/workload.js'
import { ready } from '../../src/pmem/xxh64.js'
import { engineOptions, explorerOfBoth } from '../../crash-tests/src/redo-support.js'

await ready

/** Whether a random workload closes the pool between its traces is up to its seed. */
let cleanImages = 0

for (const [logPages, seed] of [
  [8, 1],
  [12, 2],
  [24, 3],
] as const) {
  test(`a hundred random transactions with a ring of ${logPages} pages survive power failures and kills`, () => {
    const recordings = recordWorkload({
      seed,
      steps: 110,
      initialPages: 32 + logPages,
      granularity: 'page',
      stepsPerTrace: 11,
      engineOptions: () => engineOptions('redo', logPages),
    })
    const explorer = explorerOfBoth('page', logPages)
    for (const recording of recordings) {
      explorer.explore(recording, { model: 'page', points: 'frontier', exhaustiveLimit: 32, samples: 32, seed })
      explorer.explore(recording, { model: 'page', exhaustiveLimit: 2, samples: 2, seed, torn: false })
      explorer.explore(recording, { model: 'kill', exhaustiveLimit: 1, samples: 1, torn: false })
    }
    const { replayed, clean, nothing, distinct } = explorer.counts
    cleanImages += clean
    assert.ok(replayed > 1000 && nothing > 100, JSON.stringify(explorer.counts))
    assert.ok(distinct > 5000)
  })
}

test('some of these pools had been closed cleanly', () => {
  assert.ok(cleanImages > 0)
})

test('switches between undo and redo at every open survive power failures', () => {
  const random = new Random(9)
  const recordings = recordWorkload({
    seed: 4,
    steps: 60,
    initialPages: 48,
    granularity: 'page',
    stepsPerTrace: 10,
    script: Array.from({ length: 60 }, (_, step) =>
      step === 0 ? 'createKeyspace' : step % 3 === 0 ? 'reopen' : 'severalKeys',
    ),
    engineOptions: () => engineOptions(random.below(2) === 0 ? 'redo' : 'undo'),
  })
  const explorer = explorerOfBoth()
  for (const recording of recordings) {
    explorer.explore(recording, { model: 'page', points: 'frontier', exhaustiveLimit: 24, samples: 24 })
    explorer.explore(recording, { model: 'kill', exhaustiveLimit: 1, samples: 1, torn: false })
  }
  const { replayed, finished, rolledBack } = explorer.counts
  assert.ok(replayed > 100 && finished > 10 && rolledBack > 100, JSON.stringify(explorer.counts))
})

test('growth into a new segment under redo survives power failures', () => {
  const recordings = recordWorkload({
    seed: 6,
    steps: 18,
    initialPages: 240,
    granularity: 'page',
    stepsPerTrace: 3,
    script: Array.from({ length: 18 }, (_, step) => (step === 0 ? 'createKeyspace' : 'manyPages')),
    engineOptions: () => engineOptions('redo'),
  })
  const explorer = explorerOfBoth()
  for (const recording of recordings) {
    explorer.explore(recording, { model: 'page', points: 'frontier', exhaustiveLimit: 16, samples: 16 })
  }
  const { events } = recordings[recordings.length - 1].trace
  assert.ok(Array.from({ length: events.count }, (_, event) => events.pageId(event)).some((page) => page > 256))
  assert.ok(explorer.counts.replayed > 100, JSON.stringify(explorer.counts))
})

test('transactions that do not fit the ring, committed by undo between two checkpoints, survive power failures and kills', () => {
  const kinds: StepKind[] = ['ascendingRun', 'touchEverything', 'putNew', 'hugeValue', 'severalKeys', 'touchEverything']
  const recordings = recordWorkload({
    seed: 11,
    steps: 36,
    initialPages: 40,
    granularity: 'page',
    stepsPerTrace: 4,
    script: Array.from({ length: 36 }, (_, step) =>
      step < 1 ? 'createKeyspace' : step < 8 ? 'ascendingRun' : kinds[step % kinds.length],
    ),
    engineOptions: () => engineOptions('redo', 4),
  })
  const explorer = explorerOfBoth('page', 4)
  for (const recording of recordings) {
    explorer.explore(recording, { model: 'page', points: 'frontier', exhaustiveLimit: 24, samples: 24 })
    explorer.explore(recording, { model: 'kill', exhaustiveLimit: 1, samples: 1, torn: false })
  }
  // Only undo records are found finished or rolled back.
  const { finished, rolledBack } = explorer.counts
  assert.ok(finished > 20 && rolledBack > 100, JSON.stringify(explorer.counts))
})

/**
 * Power failures and kills around commits that are not waited for: between a record and its barrier, while the barrier is
 * under way and the next group is collected, between its end and the copying in place, around checkpoints in the background.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exploreGroups, recordGroups } from '../../crash-tests/src/group-recording.js'
import { ready } from '../../src/pmem/xxh64.js'
import { engineOptions, explorerOfBoth } from '../../crash-tests/src/redo-support.js'

await ready

const MIXTURES = [
  { name: 'groups', logPages: 12, weights: { sync: 0, relaxed: 0, group: 1 } },
  { name: 'groups and synchronous commits', logPages: 16, weights: { sync: 1, relaxed: 0, group: 3 } },
  {
    name: 'groups and synchronous commits, with checkpoints in turn with them',
    logPages: 16,
    weights: { sync: 1, relaxed: 0, group: 3 },
    syncsBeside: false,
  },
  { name: 'groups that grow ahead', logPages: 12, weights: { sync: 0, relaxed: 0, group: 1 }, growthStepPages: 64 },
  { name: 'relaxed commits', logPages: 12, weights: { sync: 0, relaxed: 1, group: 0 } },
  { name: 'relaxed and synchronous commits', logPages: 24, weights: { sync: 1, relaxed: 5, group: 0 } },
  { name: 'groups, relaxed and synchronous commits', logPages: 20, weights: { sync: 1, relaxed: 3, group: 3 } },
  // Committed by undo, with records that go on in free pages while the group has allocated others.
  {
    name: 'groups longer than the log',
    logPages: 6,
    weights: { sync: 0, relaxed: 0, group: 1 },
    kinds: ['ascendingRun', 'touchEverything', 'overwriteLarger', 'touchEverything', 'putNew'],
    steps: 20,
  },
] as const

MIXTURES.forEach(({ name, logPages, weights, ...more }, index) => {
  test(`${name} survive power failures and kills at every point`, async () => {
    let behind = 0
    const recordings = await recordGroups({
      observe: ({ engine }) => {
        if (engine.space.behind) behind++
      },
      seed: 21 + index,
      steps: 90,
      initialPages: 40 + logPages,
      stepsPerTrace: 10,
      weights,
      engineOptions: () => engineOptions('redo', logPages),
      ...more,
    })
    const explorer = explorerOfBoth('page', logPages)
    for (const recording of recordings) {
      exploreGroups(explorer, recording, { model: 'page', points: 'frontier', exhaustiveLimit: 24, samples: 24 })
      exploreGroups(explorer, recording, { model: 'page', exhaustiveLimit: 2, samples: 2, torn: false })
      exploreGroups(explorer, recording, { model: 'kill', exhaustiveLimit: 1, samples: 1, torn: false })
    }
    const { replayed, distinct } = explorer.counts
    // Not of undo, nor of relaxed commits, which plain reads see at the tip until they are applied.
    if (weights.group > 0 && logPages > 6) assert.ok(behind > 0, 'the pool was never behind')
    assert.ok(replayed > 500 && distinct > 2000, JSON.stringify(explorer.counts))
  })
})

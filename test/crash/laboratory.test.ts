/** The parts of the crash laboratory that decide what is tried and counted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { aceEngineOptions, ACE_LOG_PAGES, recordAce } from '../../crash-tests/src/ace.js'
import { Census } from '../../crash-tests/src/census.js'
import { lazyCombinations, sampledCombinations } from '../../crash-tests/src/combinations.js'
import type { Slot, SlotRole } from '../../crash-tests/src/combinations.js'
import { crashImages } from '../../crash-tests/src/crash-states.js'
import { CrashViolation, Explorer } from '../../crash-tests/src/explorer.js'
import { FingerprintMap } from '../../crash-tests/src/fingerprint-map.js'
import { Random } from '../../crash-tests/src/random.js'
import { ReadTracker } from '../../crash-tests/src/read-tracker.js'
import { unpackImage } from '../../crash-tests/src/replay.js'
import { Summary } from '../../crash-tests/src/summary.js'
import { MemoryView } from '../../src/pmem/memory-view.js'
import { ready } from '../../src/pmem/xxh64.js'

await ready

const slots = (count: number, role: (index: number) => SlotRole = () => 'data'): Slot[] =>
  Array.from({ length: count }, (_, index) => ({ choices: [0, 1], newest: 1, role: role(index) }))

test('a map of fingerprints holds what a Map holds', () => {
  const [random, ours, theirs] = [new Random(3), new FingerprintMap(), new Map<number, number>()]
  for (let step = 0; step < 20_000; step++) {
    // Also zero, the largest, and many with equal low words.
    const fingerprint = step === 0 ? 0 : step === 1 ? 2 ** 53 - 1 : random.below(2 ** 21) * 2 ** 32 + random.below(64)
    assert.equal(ours.set(fingerprint, step), !theirs.has(fingerprint))
    theirs.set(fingerprint, step)
  }
  assert.equal(ours.size, theirs.size)
  for (const [fingerprint, step] of theirs) assert.equal(ours.get(fingerprint), step)
  assert.equal(ours.get(2 ** 52 + 1), undefined)
})

test('a census counts the union of what the processes have seen', () => {
  const [parent, left, right] = [new Census(), new Census(), new Census()]
  for (const fingerprint of [1, 2, 3]) left.add(fingerprint)
  for (const fingerprint of [3, 3, 4]) right.add(fingerprint)
  parent.addAll(left.takeFresh())
  parent.addAll(right.takeFresh())
  assert.equal(parent.distinct, 4)
  left.add(3)
  assert.equal(left.takeFresh().length, 0)
})

test('branching on what is read leaves out what is not, and says when nothing is left', () => {
  const read = new Set([1, 4])
  const made: string[] = []
  const combinations = lazyCombinations(slots(6), 100, (slot) => read.has(slot))
  let next = combinations.next()
  for (; next.done !== true; next = combinations.next()) made.push(next.value.chosen.join(''))
  assert.equal(next.value, true)
  // From all old and from all new, every combination of the two slots that matter.
  const expected = ['000000', '010000', '000010', '010010', '111111', '101111', '111101', '101101']
  assert.deepEqual([...made].sort(), expected.sort())
})

test('branching on what is read stops at its limit', () => {
  const made = [...lazyCombinations(slots(12), 50, () => true)]
  assert.equal(made.length, 50)
  assert.equal(new Set(made.map(({ chosen }) => chosen.join(''))).size, 50)
})

test('samples have a record header without some of its body, and an anchor without data and the other way round', () => {
  const roles: SlotRole[] = ['anchor', 'header', ...Array.from({ length: 8 }, (): SlotRole => 'body'), 'data', 'data']
  const kinds = new Map<string, string[]>()
  for (const { kind, chosen } of sampledCombinations(
    slots(12, (index) => roles[index]),
    512,
    new Random(1),
  )) {
    kinds.set(kind, [...(kinds.get(kind) ?? []), chosen.join('')])
  }
  assert.deepEqual(kinds.get('anchor new, data old'), ['100000000000'])
  assert.deepEqual(kinds.get('anchor old, data new'), ['011111111111'])
  const bodies = kinds.get('header new, body old') ?? []
  const oldLines = bodies.map((chosen) => chosen.split('0').length - 1)
  assert.deepEqual([...new Set(oldLines)].sort(), [1, 2, 4, 8])
  for (const chosen of bodies) assert.match(chosen, /^11[01]{8}11$/)
})

test('a tracker knows what was read before it was stored to', () => {
  const tracker = new ReadTracker()
  tracker.reset(8192)
  const real = new MemoryView(new ArrayBuffer(4096))
  const view = tracker.view(real, 4096)
  assert.equal(tracker.wasRead(0, 8192), false)
  assert.equal(view.u32[17], 0)
  assert.ok(tracker.wasRead(4096 + 64, 64) && !tracker.wasRead(4096, 64) && !tracker.wasRead(4096 + 128, 64))
  for (let word = 32; word < 48; word++) view.u32[word] = word
  assert.equal(view.u8.readUInt32LE(128), 32)
  assert.equal(tracker.wasRead(4096 + 128, 64), false, 'it was stored to first')
  view.u8.copy(Buffer.alloc(64), 0, 256, 320)
  view.u8.subarray(512, 513)
  assert.ok(tracker.wasRead(4096 + 256, 64) && !tracker.wasRead(4096 + 320, 64) && tracker.wasRead(4096 + 512, 64))
  assert.equal(tracker.wasRead(0, 4096), false)
})

test('points with too many combinations branch on what recovery reads, and find what sampling finds', () => {
  const recording = recordAce([{ operation: 'largeValue', variant: 0 }], 'undo')
  const explorer = new Explorer({ logPages: ACE_LOG_PAGES.undo, engineOptions: () => aceEngineOptions('undo') })
  explorer.explore(recording, { exhaustiveLimit: 2, samples: 2, lazyLimit: 6, storeStride: 40 })
  const kinds = new Set<string>()
  for (const { label } of crashImages(recording.trace, {
    exhaustiveLimit: 2,
    samples: 2,
    lazyLimit: 6,
    storeStride: 40,
    probe: { wasRead: () => true },
  })) {
    kinds.add(label.split(': ').at(-1) ?? '')
  }
  assert.ok(kinds.has('what recovery reads'), [...kinds].join())
  assert.ok(explorer.counts.distinct > 20, JSON.stringify(explorer.counts))
})

test('the same sequence gives the same images in every run', () => {
  const fingerprints = (): number[] =>
    [
      ...crashImages(recordAce([{ operation: 'twoKeyspaces', variant: 3 }], 'slots').trace, {
        exhaustiveLimit: 8,
        samples: 8,
      }),
    ].map(({ fingerprint }) => fingerprint)
  assert.deepEqual(fingerprints(), fingerprints())
})

test('a violation carries its image, which can be judged again', () => {
  const recording = recordAce([{ operation: 'putNew', variant: 0 }], 'ring')
  const options = {
    granularity: 'page',
    logPages: ACE_LOG_PAGES.ring,
    engineOptions: () => aceEngineOptions('ring'),
  } as const
  // As if a transaction had been acknowledged that never was.
  const lying = { ...recording, history: ['never', 'never either', ...recording.history] }
  let violation: unknown
  try {
    new Explorer(options).explore(lying, { model: 'page', exhaustiveLimit: 4, samples: 4 })
  } catch (error) {
    violation = error
  }
  assert.ok(violation instanceof CrashViolation && violation.replay !== undefined)
  const { image, allowed, where, logging } = violation.replay
  assert.deepEqual([allowed, logging], [['never', 'never either'], 'redo'])
  assert.throws(() => new Explorer(options).replay(unpackImage(image), allowed, where), CrashViolation)
  new Explorer(options).replay(unpackImage(image), recording.history, where)
})

test('rows of one name from several shards are added up in the report', () => {
  const summary = new Summary({ amount: 'quick', seed: 1, jobs: 2, command: 'none' })
  const row = {
    name: 'a',
    result: '',
    model: 'page',
    points: 2,
    generated: 5,
    images: 3,
    figures: { operations: 1200 },
  } as const
  summary.addRow('suite', row, 10)
  summary.addRow('suite', row, 20)
  summary.addFailure('suite', 1, { message: 'wrong', where: '[page] crash' }, 'again', 'file')
  const { suites, models, totals, violations } = summary.report(4)
  const [{ result, distinctImages, durationMs }] = suites[0].rows
  assert.deepEqual([result, distinctImages, durationMs], ['2,400 operations', 6, 30])
  assert.deepEqual(models, [{ model: 'page', points: 4, images: 10, distinctImages: 6, violations: 1 }])
  assert.deepEqual([totals.distinctImages, totals.suitesFailed, violations[0].replayFile], [4, 1, 'file'])
})

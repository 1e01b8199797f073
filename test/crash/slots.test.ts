/**
 * Power failures and kills at every point of redo commits in two slots, of growth, recoveries and switches of the mode, line by
 * line. The suites `commits`, `recovery` and `ace` have them, too; here is what has to come up in them.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CrashViolation, Explorer } from '../../crash-tests/src/explorer.js'
import { exploreNested } from '../../crash-tests/src/nested.js'
import { Random } from '../../crash-tests/src/random.js'
import { mutantMemory } from '../../crash-tests/src/redo-mutants.js'
import type { Operation } from '../../crash-tests/src/redo-mutants.js'
import { engineOptions, explorerOfBoth } from '../../crash-tests/src/redo-support.js'
import { recordWorkload } from '../../crash-tests/src/recording.js'
import type { Recording } from '../../crash-tests/src/recording.js'
import { withoutAnchorFence } from '../../crash-tests/src/trace-mutants.js'
import type { TraceFilter } from '../../crash-tests/src/trace-mutants.js'
import { SEGMENT_SHIFT } from '../../crash-tests/src/workload.js'
import type { StepKind } from '../../crash-tests/src/workload.js'
import type { Granularity } from '../../src/pmem/persistent-memory.js'
import { FRAME_UNLOGGED, OP_RECORD, PAGE_BYTES, RECORD_SLOT } from '../../src/pmem/program.js'
import { ready } from '../../src/pmem/xxh64.js'
import type { EngineOptions } from '../../src/tx/engine.js'

await ready

const LOG_PAGES = 4

/** What a slot record says about pages. */
interface SlotPages {
  readonly covered: ReadonlySet<number>
  readonly fresh: ReadonlySet<number>
  readonly extents: readonly number[]
}

function slotPagesOf(operation: Operation): SlotPages {
  const [extentCount, pageCount] = [operation[10], operation[11]]
  const extents: number[] = []
  for (let at = 12; at < 12 + extentCount * 2; at += 2) {
    for (let page = operation[at]; page < operation[at] + operation[at + 1]; page++) extents.push(page)
  }
  const entries = Array.from({ length: pageCount }, (_, index) => 12 + extentCount * 2 + index * 4)
  const isFresh = (at: number): boolean => operation[at + 1] >= FRAME_UNLOGGED
  const pagesOf = (of: number[]): Set<number> => new Set(of.map((at) => operation[at]))
  return {
    covered: pagesOf(entries.filter((at) => !isFresh(at))),
    fresh: pagesOf(entries.filter(isFresh)),
    extents,
  }
}

/** Records a workload, and the pages of every record it writes. */
function record(
  seed: number,
  steps: number,
  script: readonly StepKind[],
): { recordings: Recording[]; records: SlotPages[] } {
  const records: SlotPages[] = []
  const Memory = mutantMemory((operations) => {
    for (const one of operations) if (one[0] === OP_RECORD && one[1] === RECORD_SLOT) records.push(slotPagesOf(one))
    return operations
  })
  const recordings = recordWorkload({
    seed,
    steps,
    stepsPerTrace: 6,
    script,
    engineOptions: () => engineOptions('redo', LOG_PAGES),
    memory: new Memory({
      sizeBytes: 32 * PAGE_BYTES,
      segmentShift: SEGMENT_SHIFT,
      granularity: 'cache-line',
      record: true,
    }),
  })
  return { recordings, records }
}

/** Pages that one transaction edits, the next frees and a third fills; records that overflow. The rest is random. */
const SCRIPT: readonly StepKind[] = [
  'createKeyspace',
  ...Array.from({ length: 3 }, (): StepKind[] => ['ascendingRun', 'ascendingRun', 'touchEverything', 'clear']).flat(),
  ...Array.from({ length: 3 }, (): StepKind[] => ['manyPages', 'touchEverything', 'deleteMost', 'ascendingRun']).flat(),
]

const overlaps = (pages: Iterable<number>, others: ReadonlySet<number>): boolean =>
  [...pages].some((page) => others.has(page))

for (const seed of [1, 2, 3]) {
  test(`a hundred random transactions with two slots of ${LOG_PAGES / 2} pages survive power failures and kills (seed ${seed})`, () => {
    const { recordings, records } = record(seed, 100, SCRIPT)
    const explorer = explorerOfBoth('cache-line', LOG_PAGES)
    for (const recording of recordings) {
      explorer.explore(recording, { model: 'cache-line', points: 'frontier', exhaustiveLimit: 24, samples: 24, seed })
      explorer.explore(recording, { model: 'byte', exhaustiveLimit: 1, samples: 2, seed })
      explorer.explore(recording, { model: 'kill', exhaustiveLimit: 1, samples: 1, torn: false })
    }
    assert.ok(explorer.counts.replayed > 2000, JSON.stringify(explorer.counts))

    // What the allocator must see to, and that the exploration has met the cases in which it matters.
    let refilled = 0
    let overflowed = 0
    for (let index = 2; index < records.length; index++) {
      const [before, last, next] = records.slice(index - 2, index + 1)
      const inPlace = [...next.fresh, ...next.extents]
      assert.ok(!overlaps(inPlace, last.covered), 'a page was filled in place that the record before covers')
      assert.ok(!overlaps(inPlace, new Set(last.extents)), 'a page was filled in place that holds the record before')
      assert.ok(!overlaps(next.extents, next.fresh) && !overlaps(next.extents, next.covered))
      if (overlaps(next.fresh, before.covered)) refilled++
      if (next.extents.length > 0) overflowed++
    }
    assert.ok(refilled > 0, 'no page was filled in place that the record before the last one covers')
    assert.ok(overflowed > 0, 'no record has overflowed its slot')
  })
}

test('switches between undo and redo at every open survive power failures', () => {
  const random = new Random(9)
  const recordings = recordWorkload({
    seed: 4,
    steps: 60,
    initialPages: 40,
    stepsPerTrace: 10,
    script: Array.from({ length: 60 }, (_, step) =>
      step === 0 ? 'createKeyspace' : step % 3 === 0 ? 'reopen' : 'severalKeys',
    ),
    engineOptions: () => engineOptions(random.below(2) === 0 ? 'redo' : 'undo', LOG_PAGES),
  })
  const explorer = explorerOfBoth('cache-line', LOG_PAGES)
  for (const recording of recordings) {
    explorer.explore(recording, { model: 'cache-line', points: 'frontier', exhaustiveLimit: 24, samples: 24 })
    explorer.explore(recording, { model: 'kill', exhaustiveLimit: 1, samples: 1, torn: false })
  }
  const { replayed, finished, rolledBack } = explorer.counts
  assert.ok(replayed > 100 && finished > 10 && rolledBack > 100, JSON.stringify(explorer.counts))
})

test('a pool is recovered under every granularity, whichever it was used under', () => {
  for (const from of ['cache-line', 'page'] as const) {
    const recordings = recordWorkload({
      seed: 7,
      steps: 24,
      initialPages: 40,
      granularity: from,
      stepsPerTrace: 6,
      engineOptions: () => engineOptions('redo', LOG_PAGES * 2),
    })
    for (const granularity of ['byte', 'cache-line', 'page'] satisfies Granularity[]) {
      const explorer = new Explorer({
        granularity,
        logPages: LOG_PAGES * 2,
        engineOptions: () => engineOptions('redo', LOG_PAGES * 2),
        continueEvery: 16,
      })
      for (const recording of recordings) {
        explorer.explore(recording, { model: from, points: 'frontier', exhaustiveLimit: 8, samples: 8 })
        explorer.explore(recording, { model: 'kill', exhaustiveLimit: 1, samples: 1, torn: false })
      }
      assert.ok(explorer.counts.replayed > 100, `${from}, ${granularity}: ${JSON.stringify(explorer.counts)}`)
    }
  }
})

test('growth into a new segment survives power failures', () => {
  const recordings = recordWorkload({
    seed: 6,
    steps: 18,
    initialPages: 240,
    stepsPerTrace: 3,
    script: Array.from({ length: 18 }, (_, step) => (step === 0 ? 'createKeyspace' : 'manyPages')),
    engineOptions: () => engineOptions('redo', LOG_PAGES),
  })
  const explorer = explorerOfBoth('cache-line', LOG_PAGES)
  for (const recording of recordings) {
    explorer.explore(recording, { model: 'cache-line', points: 'frontier', exhaustiveLimit: 16, samples: 16 })
  }
  const { events } = recordings[recordings.length - 1].trace
  assert.ok(Array.from({ length: events.count }, (_, event) => events.pageId(event)).some((page) => page > 256))
  assert.ok(explorer.counts.replayed > 100, JSON.stringify(explorer.counts))
})

test('the anchor of a new epoch is durable before the extents of an older record are used again', () => {
  const options = (): EngineOptions => ({ logging: 'redo' })
  const kinds: StepKind[] = ['createKeyspace', 'manyPages', 'clear', 'ascendingRun', 'ascendingRun', 'ascendingRun']
  const script: StepKind[] = [...kinds, 'putNew', 'overwriteSame', 'touchEverything']
  const last = recordWorkload({ seed: 1, steps: 9, stepsPerTrace: 3, script, engineOptions: options }).at(-1)
  assert.ok(last)
  const explore = (filter?: TraceFilter): void => {
    exploreNested(new Explorer({ engineOptions: options }), last, {
      chain: [
        { model: 'kill', most: 4 },
        { model: 'cache-line', options: { exhaustiveLimit: 8, samples: 8, storeStride: 8 } },
      ],
      transactions: 1,
      script: ['largeValue'],
      engineOptions: options,
      syncIsFence: true,
      ...(filter === undefined ? {} : { filter }),
    })
  }
  explore()
  assert.throws(() => explore(withoutAnchorFence), CrashViolation)
})

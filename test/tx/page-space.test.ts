import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { FRAME_BACKUP, FRAME_FREED, PageSpace } from '../../src/tx/page-space.js'

const PAGES = 64
/** Few, so that the model edits each again and again under many savepoints. */
const EDITED_PAGES = 5

function makeSpace(): PageSpace {
  const memory = new SimulatedMemory({ sizeBytes: PAGES * PAGE_BYTES, segmentShift: 8 })
  const space = new PageSpace(memory, 512 * 1024 * 1024)
  space.capacityPages = PAGES
  return space
}

/** What each page holds at one byte, and which lines are dirty, in a plain model with a stack of copies. */
interface ModelPage {
  bytes: number[]
  dirty: Set<number>
}
type Model = Map<number, ModelPage>
const copyModel = (model: Model): Model =>
  new Map([...model].map(([id, page]) => [id, { bytes: [...page.bytes], dirty: new Set(page.dirty) }]))

function dirtyLines(space: PageSpace, frame: number): Set<number> {
  const lines = new Set<number>()
  for (let line = 0; line < 64; line++) {
    const word = line < 32 ? space.dirtyLo[frame] : space.dirtyHi[frame]
    if (((word >>> (line & 31)) & 1) === 1) lines.add(line)
  }
  return lines
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('edit' as const),
      page: fc.nat(EDITED_PAGES - 1),
      at: fc.nat(4095),
      length: fc.nat(300),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('savepoint' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rollback' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('growth' as const), page: fc.nat(EDITED_PAGES - 1), at: fc.nat(4000) }),
  },
)

test('staging with nested savepoints and commits holds exactly what a model of copies holds', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
      const space = makeSpace()
      let model: Model = new Map()
      const stack: Model[] = []
      const pool = Array.from({ length: PAGES }, () => new Array<number>(PAGE_BYTES).fill(0))
      const storeInPool = (id: number, from: number, bytes: readonly number[]): void => {
        space.locateCommitted(id)
        space.view.u8.set(bytes, space.base + from)
        bytes.forEach((byte, i) => (pool[id][from + i] = byte))
      }
      let deepest = 0
      let value = 1
      for (const s of steps) {
        if (s.kind === 'edit') {
          space.stage(s.page)
          const to = Math.min(4096, s.at + s.length + 1)
          const page = model.get(s.page) ?? { bytes: [...pool[s.page]], dirty: new Set<number>() }
          value = (value % 255) + 1
          space.view.u8.fill(value, space.base + s.at, space.base + to)
          space.markDirty(space.frame, s.at, to)
          page.bytes.fill(value, s.at, to)
          for (let line = s.at >>> 6; line <= (to - 1) >>> 6; line++) page.dirty.add(line)
          model.set(s.page, page)
        } else if (s.kind === 'savepoint') {
          space.setSavepoint()
          stack.push(copyModel(model))
          deepest = Math.max(deepest, stack.length)
        } else if (s.kind === 'clear' || s.kind === 'commit') {
          if (s.kind === 'commit') {
            for (const [id, { bytes }] of model) storeInPool(id, 0, bytes)
            space.committed()
          } else {
            space.clear()
          }
          model = new Map()
          stack.length = 0
          deepest = 0
        } else if (s.kind === 'growth') {
          value = (value % 255) + 1
          const bytes = new Array<number>(64).fill(value)
          storeInPool(s.page, s.at, bytes)
          space.refreshFromCommitted(s.page, s.at, s.at + 64)
          for (const version of [model, ...stack]) version.get(s.page)?.bytes.fill(value, s.at, s.at + 64)
        } else if (stack.length > 0) {
          const outer = stack.pop() as Model
          if (s.kind === 'rollback') {
            space.rollback()
            model = outer
          } else {
            space.release()
          }
        }
        // A frame and at most one backup for each savepoint: what nobody needs any more is used again.
        assert.ok(space.frameCount <= EDITED_PAGES * (1 + deepest), `${space.frameCount} frames`)
      }
      for (let id = 0; id < PAGES; id++) {
        const expected = model.get(id)
        const frame = space.frameOf(id)
        assert.equal(frame >= 0, expected !== undefined, `page ${id} staged`)
        space.locate(id)
        const got = [...space.view.u8.subarray(space.base, space.base + PAGE_BYTES)]
        assert.deepEqual(got, expected?.bytes ?? pool[id], `bytes of page ${id}`)
        if (expected !== undefined)
          assert.deepEqual(dirtyLines(space, frame), expected.dirty, `dirty lines of page ${id}`)
      }
    }),
    { numRuns: 300 },
  )
})

test('what a frame held when its transaction was committed is not taken for the page once the frame was used otherwise', () => {
  const space = makeSpace()
  const edit = (page: number, value: number): void => {
    space.stage(page)
    space.view.u8[space.base + 100] = value
    space.markDirty(space.frame, 100, 101)
  }
  const commit = (page: number): void => {
    const { view, base } = space
    space.locateCommitted(page)
    space.view.u8.set(view.u8.subarray(base, base + PAGE_BYTES), space.base)
  }
  edit(8, 1)
  commit(8)
  edit(9, 2)
  commit(9)
  space.committed()
  // The frame in which page 9 was committed holds a copy of its edited version now ...
  space.setSavepoint()
  edit(9, 3)
  space.setSavepoint()
  edit(9, 4)
  space.rollback()
  space.rollback()
  // ... and is the next one page 9 gets.
  space.stage(8)
  space.stage(9)
  assert.equal(space.view.u8[space.base + 100], 2)
  assert.equal(space.frame, 1)
})

test('a large transaction grows frame table and chunks, and all pages are found and forgotten again', () => {
  const memory = new SimulatedMemory({ sizeBytes: 4096 * PAGE_BYTES, segmentShift: 12 })
  const space = new PageSpace(memory, 512 * 1024 * 1024)
  space.capacityPages = 4096
  const editUnderSavepoint = (): void => {
    space.stage(0)
    space.setSavepoint()
    space.stage(0)
    space.release()
  }
  for (let round = 0; round < 2; round++) {
    editUnderSavepoint()
    for (let id = 0; id < 4096; id++) {
      space.stage(id)
      space.view.u32[(space.base >>> 2) + 5] = id + round
    }
    for (let id = 4095; id >= 0; id--) {
      space.locate(id)
      assert.equal(space.view.u32[(space.base >>> 2) + 5], id + round)
    }
    space.setSavepoint()
    for (let id = 0; id < 4096; id++) space.stage(id)
    space.release()
    space.clear()
    assert.equal(space.frameCount, 0)
    for (let id = 0; id < 4096; id++) assert.equal(space.frameOf(id), -1)
  }
})

test('the staging limit aborts with limit and actual named', () => {
  const memory = new SimulatedMemory({ sizeBytes: 4096 * PAGE_BYTES, segmentShift: 12 })
  const space = new PageSpace(memory, 1024 * 1024)
  space.capacityPages = 4096
  assert.throws(
    () => {
      for (let id = 0; id < 4096; id++) space.stage(id)
    },
    { code: 'TX_TOO_LARGE', limit: 1024 * 1024 },
  )
})

test('savepoints that end give their backups back: their number is not limited by the staging limit', () => {
  const memory = new SimulatedMemory({ sizeBytes: PAGES * PAGE_BYTES, segmentShift: 8 })
  const space = new PageSpace(memory, 1024 * 1024)
  space.capacityPages = PAGES
  const edit = (): void => {
    space.stage(3)
    space.view.u8[space.base]++
    space.markDirty(space.frame, 0, 1)
  }
  edit()
  for (let i = 0; i < 1000; i++) {
    space.setSavepoint()
    edit()
    space.setSavepoint()
    edit()
    if (i % 2 === 0) space.release()
    else space.rollback()
    space.release()
  }
  assert.ok(space.frameCount <= 3)
  space.locate(3)
  assert.equal(space.view.u8[space.base], (1 + 1000 + 500) & 255)
})

test('freed pages are flagged, backups are never taken for pages', () => {
  const space = makeSpace()
  space.stage(7)
  space.setSavepoint()
  space.dropFreed(7, 1)
  assert.equal(space.flags[space.frameOf(7)] & FRAME_FREED, FRAME_FREED)
  let backups = 0
  for (let frame = 0; frame < space.frameCount; frame++) if ((space.flags[frame] & FRAME_BACKUP) !== 0) backups++
  assert.equal(backups, 1)
  space.rollback()
  assert.equal(space.flags[space.frameOf(7)] & FRAME_FREED, 0)
})

test('a page id outside the pool is damage, not an undefined read', () => {
  const space = makeSpace()
  assert.throws(
    () => {
      space.locate(PAGES)
    },
    { code: 'CORRUPT', actual: PAGES },
  )
  assert.throws(
    () => {
      space.stage(0xffff_ffff)
    },
    { code: 'CORRUPT' },
  )
})

/** A pool of plain memory for tests of the tree alone: commits copy exactly the lines that are marked dirty. */
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { pageChecksum } from '../../src/pmem/xxh64.js'
import { LINE_BYTES, LINES_PER_PAGE, PAGE_BYTES } from '../../src/pmem/program.js'
import { Allocator } from '../../src/pool/allocator.js'
import { fillBitmap, freshBitmaps } from '../../src/pool/create.js'
import { Geometry } from '../../src/pool/geometry.js'
import { assertDirtyLines } from '../../src/tree/dirty-check.js'
import type { TreeContext } from '../../src/tree/tree.js'
import { FRAME_BACKUP, FRAME_FREED, PageSpace } from '../../src/tx/page-space.js'
import { DaxkvError } from '../../src/errors.js'

export class TreePool implements TreeContext {
  readonly memory: SimulatedMemory
  readonly space: PageSpace
  readonly allocator: Allocator
  readonly geometry: Geometry
  /** Lines stored by the last commit. */
  storedLines = 0

  constructor(
    private capacityPages: number,
    options: { segmentShift?: number; stagingLimitBytes?: number } = {},
  ) {
    const segmentShift = options.segmentShift ?? 18
    this.geometry = new Geometry(segmentShift, 4)
    this.memory = new SimulatedMemory({ sizeBytes: capacityPages * PAGE_BYTES, segmentShift })
    this.space = new PageSpace(this.memory, options.stagingLimitBytes ?? 2 ** 32)
    this.space.capacityPages = capacityPages
    this.initBitmaps(0)
    this.allocator = new Allocator(this.space, this.geometry, (pages) => this.grow(pages))
  }

  /** Stores the dirty lines of all staged pages and ends the transaction. */
  commit(check = true): void {
    const { space } = this
    if (check) assertDirtyLines(space)
    this.storedLines = 0
    for (let frame = 0; frame < space.frameCount; frame++) {
      if ((space.flags[frame] & (FRAME_FREED | FRAME_BACKUP)) !== 0) continue
      space.locateCommitted(space.pageIds[frame])
      const target = space.view.u8
      const targetBase = space.base
      space.point(frame)
      const source = space.view.u8
      const { base } = space
      for (let line = 0; line < LINES_PER_PAGE; line++) {
        const mask = line < 32 ? space.dirtyLo[frame] : space.dirtyHi[frame]
        if (((mask >>> (line & 31)) & 1) === 0) continue
        const at = line * LINE_BYTES
        source.copy(target, targetBase + at, base + at, base + at + LINE_BYTES)
        this.storedLines++
      }
    }
    space.clear()
    this.allocator.committed()
  }

  /** Forgets the transaction. */
  abort(): void {
    this.space.clear()
    this.allocator.reset()
  }

  private grow(pages: number): void {
    const before = this.capacityPages
    if (before >= MAX_TEST_PAGES) throw new DaxkvError('NO_SPACE', 'the test pool is full')
    this.capacityPages += Math.max(pages + this.geometry.bitmapsPerSegment, 4096)
    this.memory.grow(this.capacityPages * PAGE_BYTES)
    this.space.capacityPages = this.capacityPages
    this.initBitmaps(Math.ceil(before / this.geometry.segmentPages))
  }

  /** Makes the bitmap pages of the segments from `segment` on, with the reserved pages taken. */
  private initBitmaps(segment: number): void {
    const { geometry, space } = this
    const from = segment * geometry.segmentPages
    const hash = new Uint32Array(2)
    for (const { page, bits } of freshBitmaps(geometry, from, this.capacityPages, geometry.firstFreePage)) {
      space.locateCommitted(page)
      const { view, base } = space
      fillBitmap(view.u8.subarray(base, base + PAGE_BYTES), page, bits)
      pageChecksum(view.u8, base, page, hash)
      view.u32.set(hash, base >>> 2)
    }
  }
}

/** Growth stops here: 1 GiB. */
const MAX_TEST_PAGES = 2 ** 18

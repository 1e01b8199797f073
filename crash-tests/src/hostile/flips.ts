/** Every single bit of some pages of a sound pool, flipped one at a time: found by check, refused at open, or known to mean nothing. */
import { storeOn } from '../../../src/api/open.js'
import { DaxkvError } from '../../../src/errors.js'
import { PAGE_BYTES } from '../../../src/pmem/program.js'
import {
  ANCHOR_BYTES,
  IDENTITY_BYTES,
  PAGE_ANCHOR_A,
  PAGE_LOG_START,
  PAGE_ROOT,
  PAGE_VOLATILE,
} from '../../../src/pool/format.js'
import { Engine } from '../../../src/tx/engine.js'
import { type BasePool, poolOptions, SEGMENT_SHIFT } from './base-pools.js'
import { contentOf, type Content } from './content-of.js'
import { HostileMemory } from './hostile-memory.js'

/** Bits that nobody finds, by what they are; each has a reason in docs/fault-testing.md. */
export const IGNORED = {
  fixed: 'the rest of an identity or anchor page',
  volatile: 'volatile words',
  log: 'the log of a closed pool',
  tail: 'the last page of an extent, behind the value',
  free: 'free pages',
} as const
/** Opening writes a lost anchor copy anew: nothing is lost, nothing is left to report. */
export const HEALED = 'an anchor copy, healed by opening'

export interface FlipCounts {
  flipped: number
  found: number
  refused: number
  healed: number
  /** By name in `IGNORED`. */
  readonly ignored: Map<string, number>
}

/** One page of each kind: identity and anchor copies, root, volatile, log, bitmap, nodes of each level, extent, free. */
export function samplePages(pool: BasePool): number[] {
  const { map } = pool
  const pages = [0, 1, 2, 3, PAGE_ROOT, PAGE_VOLATILE, PAGE_LOG_START, ...map.bitmapPages, map.catalogPage]
  for (let level = 0; level < 3; level++) {
    const node = map.nodes.find((candidate) => candidate.level === level && candidate.tree !== 0)
    if (node !== undefined) pages.push(node.page)
  }
  const extent = map.extents.find(({ byteLength }) => byteLength % PAGE_BYTES !== 0)
  if (extent !== undefined) pages.push(extent.page, extent.page + Math.floor(extent.byteLength / PAGE_BYTES))
  pages.push(map.freePages[0])
  return [...new Set(pages)]
}

/** What nobody looks at, or undefined where a flip must be found. */
function ignoredAs(pool: BasePool, offset: number): string | undefined {
  const { map } = pool
  const page = Math.floor(offset / PAGE_BYTES)
  if (page < PAGE_ROOT)
    return offset % PAGE_BYTES >= (page < PAGE_ANCHOR_A ? IDENTITY_BYTES : ANCHOR_BYTES) ? IGNORED.fixed : undefined
  if (page === PAGE_VOLATILE) return IGNORED.volatile
  if (page >= PAGE_LOG_START && page < map.geometry.firstBitmapPage) return IGNORED.log
  if (map.freePages.includes(page)) return IGNORED.free
  const extent = map.extents.find(
    ({ page: first, byteLength }) => page >= first && page * PAGE_BYTES < first * PAGE_BYTES + byteLength,
  )
  return extent !== undefined && offset >= extent.page * PAGE_BYTES + extent.byteLength ? IGNORED.tail : undefined
}

/**
 * Flips every `stride`-th bit of a page of a closed pool.
 * @throws Error when a flip passes that must not, or is found where `IGNORED` says that nobody looks.
 */
export function flipPage(pool: BasePool, page: number, stride: number, first: number, counts: FlipCounts): void {
  const memory = new HostileMemory(SEGMENT_SHIFT, pool.logging === 'redo' ? 'page' : 'cache-line')
  const image = Buffer.from(pool.image)
  for (let bit = first % stride; bit < PAGE_BYTES * 8; bit += stride) {
    const offset = page * PAGE_BYTES + (bit >>> 3)
    image[offset] ^= 1 << (bit & 7)
    const ignored = ignoredAs(pool, offset)
    const found = judgeFlip(memory, pool, image, page)
    image[offset] ^= 1 << (bit & 7)
    counts.flipped++
    const where = `bit ${bit & 7} of byte ${offset % PAGE_BYTES} of page ${page}`
    if (found === 'passed' && ignored === undefined) throw new Error(`${where} was flipped and nobody noticed`)
    if (found !== 'passed' && ignored !== undefined)
      throw new Error(`${where} is no part of the pool (${ignored}), but was ${found}`)
    if (found === 'passed') counts.ignored.set(ignored ?? '', (counts.ignored.get(ignored ?? '') ?? 0) + 1)
    else counts[found]++
  }
}

function judgeFlip(
  memory: HostileMemory,
  pool: BasePool,
  image: Buffer,
  page: number,
): 'found' | 'refused' | 'healed' | 'passed' {
  memory.loadHostile(pool, image)
  let engine: Engine
  try {
    engine = Engine.open('flipped.pool', { ...poolOptions(pool.logging), memory })
  } catch (error) {
    if (error instanceof DaxkvError) return 'refused'
    throw error
  }
  let found: boolean
  try {
    const store = storeOn(engine)
    found = !store.check().ok
    // The anchors are written by opening; what counts is that nothing was lost by it.
    if (!found && page >= PAGE_ANCHOR_A && page < PAGE_ROOT && isAnchorByteChanged(pool, image, page)) {
      if (!sameContent(contentOf(store), pool.contents[0]))
        throw new Error(`another content after damage of anchor page ${page}`)
      return 'healed'
    }
  } catch (error) {
    if (error instanceof DaxkvError) return 'refused'
    throw error
  }
  return found ? 'found' : 'passed'
}

function isAnchorByteChanged(pool: BasePool, image: Buffer, page: number): boolean {
  const at = page * PAGE_BYTES
  return image.compare(pool.image, at, at + ANCHOR_BYTES, at, at + ANCHOR_BYTES) !== 0
}

function sameContent(a: Content, b: Content): boolean {
  if (a.size !== b.size) return false
  for (const [name, entries] of a) {
    const others = b.get(name)
    if (others?.size !== entries.size) return false
    for (const [key, value] of entries) if (others.get(key) !== value) return false
  }
  return true
}

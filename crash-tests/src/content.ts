import { createHash } from 'node:crypto'
import type { PersistentMemory } from '../../src/pmem/persistent-memory.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import {
  BITMAP_OFFSET_BITS,
  HEADER_OFFSET_PAGE_ID,
  HEADER_OFFSET_TYPE,
  PAGE_ROOT,
  PAGE_TYPE_BITMAP,
  PAGE_TYPE_BRANCH,
  PAGE_TYPE_LEAF,
  PAGE_TYPE_ROOT,
  ROOT_OFFSET_CAPACITY_PAGES,
  ROOT_OFFSET_CATALOG_PAGE,
} from '../../src/pool/format.js'
import type { Geometry } from '../../src/pool/geometry.js'

/**
 * The oracle's own reader: it follows docs/format.md and shares no code with the tree, so that a defect of the tree
 * cannot hide itself. It checks everything (checksums, order, counts, every page exactly once reachable or free) and
 * throws `ContentError` at the first thing that is wrong.
 */
export class ContentError extends Error {}

/** Names of keyspaces and their entries, reduced to a digest that does not depend on the order. */
export class ContentDigest {
  readonly #lanes = new Uint32Array(4)

  /** Adds an entry, or takes it out again. */
  toggleEntry(keyspace: string, key: Uint8Array, value: Uint8Array): void {
    this.#toggle(createHash('sha1').update(`entry ${keyspace}\0${key.length}\0`).update(key).update(value).digest())
  }

  toggleKeyspace(keyspace: string): void {
    this.#toggle(createHash('sha1').update(`keyspace ${keyspace}`).digest())
  }

  toString(): string {
    return Array.from(this.#lanes, (lane) => lane.toString(16).padStart(8, '0')).join('')
  }

  #toggle(hash: Buffer): void {
    for (let lane = 0; lane < 4; lane++) this.#lanes[lane] ^= hash.readUInt32LE(lane * 4)
  }
}

export interface PoolContent {
  readonly digest: string
  readonly entries: number
  readonly capacityPages: number
  /** Runs of pages whose bytes the content depends on, as [first, end) pairs: root page, bitmaps, allocated pages. */
  readonly usedRuns: readonly number[]
}

const CATALOG_ID = 0
const VALUE_IN_EXTENT = 2047
const MAX_LEVELS = 32

interface Page {
  readonly id: number
  readonly bytes: Buffer
}

interface Bounds {
  readonly from: Buffer | undefined
  readonly to: Buffer | undefined
}

/** Reads and checks a whole pool. */
export function readContent(memory: PersistentMemory, geometry: Geometry): PoolContent {
  return new Reader(memory, geometry).read()
}

class Reader {
  readonly #memory: PersistentMemory
  readonly #geometry: Geometry
  readonly #reached = new Set<number>()
  readonly #digest = new ContentDigest()
  #capacity = 0
  #entries = 0

  constructor(memory: PersistentMemory, geometry: Geometry) {
    this.#memory = memory
    this.#geometry = geometry
  }

  read(): PoolContent {
    const root = this.#checked(PAGE_ROOT, PAGE_TYPE_ROOT)
    this.#capacity = root.bytes.readUInt32LE(ROOT_OFFSET_CAPACITY_PAGES)
    check(this.#capacity * PAGE_BYTES <= this.#memory.sizeBytes, `capacity ${this.#capacity} exceeds the file`)
    const allocated = this.#readBitmaps()
    const keyspaces: { name: string; id: number; rootPage: number }[] = []
    this.#readTree(root.bytes.readUInt32LE(ROOT_OFFSET_CATALOG_PAGE), CATALOG_ID, (key, value) => {
      if (key[0] !== 0) return
      const name = key.toString('utf8', 1)
      keyspaces.push({ name, id: value.readUInt32LE(0), rootPage: value.readUInt32LE(4) })
    })
    for (const { name, id, rootPage } of keyspaces) {
      this.#digest.toggleKeyspace(name)
      this.#readTree(rootPage, id, (key, value) => {
        this.#digest.toggleEntry(name, key, value)
        this.#entries++
      })
    }
    for (const page of allocated) check(this.#reached.has(page), `page ${page} is allocated but nothing refers to it`)
    for (const page of this.#reached) check(allocated.has(page), `page ${page} is in use but not allocated`)
    return {
      digest: this.#digest.toString(),
      entries: this.#entries,
      capacityPages: this.#capacity,
      usedRuns: this.#usedRuns(allocated),
    }
  }

  /** Pages marked allocated, without the reserved ones at the start of each segment. */
  #readBitmaps(): Set<number> {
    const allocated = new Set<number>()
    const geometry = this.#geometry
    for (let index = 0; index < geometry.bitmapCount(this.#capacity); index++) {
      const { bytes } = this.#checked(geometry.bitmapPage(index), PAGE_TYPE_BITMAP)
      const first = geometry.bitmapFirstPage(index)
      for (let byte = 0; byte < PAGE_BYTES - BITMAP_OFFSET_BITS; byte++) {
        const bits = bytes[BITMAP_OFFSET_BITS + byte]
        if (bits === 0 && first + byte * 8 >= this.#capacity) continue
        for (let bit = 0; bit < 8; bit++) this.#readBit(index, byte * 8 + bit, ((bits >>> bit) & 1) === 1, allocated)
      }
    }
    return allocated
  }

  #readBit(bitmap: number, bit: number, set: boolean, allocated: Set<number>): void {
    const geometry = this.#geometry
    const page = geometry.bitmapFirstPage(bitmap) + bit
    const described = bit < geometry.bitmapPageCount(bitmap) && page < this.#capacity
    check(!set || described, `bitmap ${bitmap} marks page ${page}, which does not exist`)
    if (!described) return
    const segment = Math.floor(page / geometry.segmentPages)
    const reserved = page % geometry.segmentPages < geometry.reservedPages(segment)
    check(set || !reserved, `reserved page ${page} is marked free`)
    if (set && !reserved) allocated.add(page)
  }

  #readTree(rootPage: number, treeId: number, visit: (key: Buffer, value: Buffer) => void): void {
    const { bytes } = this.#page(rootPage)
    const level = bytes[13]
    check(level < MAX_LEVELS, `root ${rootPage} claims ${level + 1} levels`)
    const before = this.#countVisited(rootPage, level, treeId, { from: undefined, to: undefined }, visit)
    const entries = bytes.readUInt32LE(32) + bytes.readUInt32LE(36) * 2 ** 32
    check(before === entries, `tree ${treeId} says it has ${entries} entries and has ${before}`)
  }

  /** Checks a node and all below it; returns the number of entries. */
  #countVisited(
    pageId: number,
    level: number,
    treeId: number,
    bounds: Bounds,
    visit: (key: Buffer, value: Buffer) => void,
    depth = 0,
  ): number {
    this.#claim(pageId, 1)
    const page = this.#checked(pageId, level === 0 ? PAGE_TYPE_LEAF : PAGE_TYPE_BRANCH)
    const { bytes } = page
    check(bytes[13] === level, `page ${pageId} has level ${bytes[13]} instead of ${level}`)
    check(bytes.readUInt32LE(28) === treeId, `page ${pageId} belongs to tree ${bytes.readUInt32LE(28)}, not ${treeId}`)
    const count = bytes.readUInt16LE(14)
    check(count > 0 || level > 0 || depth === 0, `leaf ${pageId} is empty`)
    const keys = readKeys(page, count, level === 0 ? 0 : 4)
    keys.forEach((key, index) => {
      const [low, high] = [index === 0 ? bounds.from : keys[index - 1], bounds.to]
      const ordered = low === undefined || (index === 0 ? low.compare(key) <= 0 : low.compare(key) < 0)
      check(
        ordered && (high === undefined || key.compare(high) < 0),
        `entry ${index} of page ${pageId} is out of order`,
      )
    })
    if (level === 0) {
      keys.forEach((key, index) => visit(key, this.#value(page, index)))
      return count
    }
    let entries = 0
    for (let child = 0; child <= count; child++) {
      const childPage = child === 0 ? bytes.readUInt32LE(24) : bytes.readUInt32LE(slotOf(page, child - 1).offset)
      const inside = {
        from: child === 0 ? bounds.from : keys[child - 1],
        to: child === count ? bounds.to : keys[child],
      }
      entries += this.#countVisited(childPage, level - 1, treeId, inside, visit, depth + 1)
    }
    return entries
  }

  #value(page: Page, index: number): Buffer {
    const { offset, suffixLength, valueLength } = slotOf(page, index)
    const start = offset + suffixLength
    if (valueLength !== VALUE_IN_EXTENT) {
      check(start + valueLength <= PAGE_BYTES, `the value of entry ${index} leaves page ${page.id}`)
      return page.bytes.subarray(start, start + valueLength)
    }
    const [extentPage, byteLength] = [page.bytes.readUInt32LE(start), page.bytes.readUInt32LE(start + 4)]
    const pages = Math.ceil(byteLength / PAGE_BYTES)
    check(byteLength > 0 && extentPage + pages <= this.#capacity, `the extent of entry ${index} leaves the pool`)
    this.#claim(extentPage, pages)
    const hash = new Uint32Array(2)
    this.#memory.hashExtent(extentPage, byteLength, hash)
    const same = hash[0] === page.bytes.readUInt32LE(start + 8) && hash[1] === page.bytes.readUInt32LE(start + 12)
    check(same, `the extent at page ${extentPage} (entry ${index} of page ${page.id}) fails its hash`)
    const base = (extentPage % this.#geometry.segmentPages) * PAGE_BYTES
    return this.#memory.segments[Math.floor(extentPage / this.#geometry.segmentPages)].u8.subarray(
      base,
      base + byteLength,
    )
  }

  #claim(pageId: number, pages: number): void {
    for (let page = pageId; page < pageId + pages; page++) {
      check(!this.#reached.has(page), `page ${page} is used twice`)
      this.#reached.add(page)
    }
  }

  #page(pageId: number): Page {
    const limit = this.#capacity === 0 ? PAGE_ROOT + 1 : this.#capacity
    check(pageId < limit, `page ${pageId} lies outside the pool of ${limit} pages`)
    const view = this.#memory.segments[Math.floor(pageId / this.#geometry.segmentPages)]
    const base = (pageId % this.#geometry.segmentPages) * PAGE_BYTES
    return { id: pageId, bytes: view.u8.subarray(base, base + PAGE_BYTES) }
  }

  #checked(pageId: number, type: number): Page {
    const page = this.#page(pageId)
    check(page.bytes[HEADER_OFFSET_TYPE] === type, `page ${pageId} has type ${page.bytes[HEADER_OFFSET_TYPE]}`)
    check(page.bytes.readUInt32LE(HEADER_OFFSET_PAGE_ID) === pageId, `page ${pageId} bears another page id`)
    check(this.#memory.verifyPage(pageId), `page ${pageId} fails its checksum`)
    return page
  }

  #usedRuns(allocated: Set<number>): number[] {
    const pages = [...allocated, PAGE_ROOT]
    const bitmaps = this.#geometry.bitmapCount(this.#capacity)
    for (let index = 0; index < bitmaps; index++) pages.push(this.#geometry.bitmapPage(index))
    pages.sort((left, right) => left - right)
    const runs: number[] = []
    for (const page of pages) {
      const last = runs.length - 1
      if (last > 0 && runs[last] === page && page % this.#geometry.segmentPages !== 0) runs[last] = page + 1
      else runs.push(page, page + 1)
    }
    return runs
  }
}

function slotOf(page: Page, index: number): { offset: number; suffixLength: number; valueLength: number } {
  const place = page.bytes.readUInt32LE(64 + index * 8 + 4)
  return { offset: (place & 1023) * 4, suffixLength: (place >>> 10) & 2047, valueLength: place >>> 21 }
}

/** Whole keys of a node; also checks that slots, payloads and prefix keep to their places and that heads are right. */
function readKeys(page: Page, count: number, lead: number): Buffer[] {
  const { bytes } = page
  const [prefixLength, heapStart] = [bytes.readUInt16LE(16), bytes.readUInt16LE(18)]
  const prefixOffset = bytes.readUInt16LE(20)
  check(64 + count * 8 <= heapStart && heapStart <= PAGE_BYTES, `slots and heap of page ${page.id} overlap`)
  const prefix = bytes.subarray(prefixOffset, prefixOffset + prefixLength)
  check(prefix.length === prefixLength, `the prefix of page ${page.id} leaves it`)
  return Array.from({ length: count }, (_, index) => {
    const { offset, suffixLength } = slotOf(page, index)
    check(
      offset >= heapStart && offset + lead + suffixLength <= PAGE_BYTES,
      `entry ${index} of page ${page.id} leaves it`,
    )
    // A suffix leaves out the whole words of the prefix; the head begins right behind the prefix.
    const suffix = bytes.subarray(offset + lead, offset + lead + suffixLength)
    const key = Buffer.concat([prefix.subarray(0, prefixLength & ~3), suffix])
    check(key.subarray(0, prefixLength).equals(prefix), `entry ${index} of page ${page.id} lacks the common prefix`)
    const head = Buffer.alloc(4)
    key.copy(head, 0, prefixLength)
    check(
      (head.readInt32BE(0) ^ -0x80000000) === bytes.readInt32LE(64 + index * 8),
      `a head in page ${page.id} is wrong`,
    )
    return key
  })
}

function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new ContentError(message)
}

/** Verifying everything structural about a tree. Reports what it finds and never throws for damage. */
import { DaxkvError } from '../errors.js'
import type { MemoryView } from '../pmem/memory-view.js'
import { PAGE_BYTES } from '../pmem/program.js'
import { descriptorOffset, extentPages } from './extent.js'
import { headOf, KeyBuffer } from './key.js'
import {
  branchChild,
  checkNode,
  checkPlace,
  checkRoot,
  MAX_INLINE_BYTES,
  nodeCount,
  nodeDeadBytes,
  nodeHeapStart,
  nodePrefixLength,
  nodePrefixOffset,
  payloadBytes,
  placeLength,
  placeOffset,
  prefixBytes,
  SLOTS_WORD,
  slotPlace,
  VALUE_IN_EXTENT,
  WORD_ENTRIES_HI,
  WORD_ENTRIES_LO,
  WORD_KEYSPACE,
} from './node.js'
import { copyNodeKey } from './search.js'
import type { TreeContext } from './tree.js'

/** One thing wrong with a tree. */
export interface TreeProblem {
  readonly pageId: number
  readonly message: string
}

/** What `checkTree` found. */
export interface TreeReport {
  /** Entries counted in the leaves. */
  readonly entries: number
  /** Pages of nodes and of extents. */
  readonly nodePages: number
  readonly extentPages: number
  /** Levels of the tree: 1 for a single leaf. */
  readonly levels: number
  /** Bytes in use in leaves: slots, payloads and prefixes. */
  readonly leafBytes: number
  readonly leaves: number
  readonly problems: readonly TreeProblem[]
}

const scratch = new KeyBuffer()

/** After this many problems the rest is not listed. */
const MAX_PROBLEMS = 100

/**
 * Checks a tree: types, levels, order of keys within and across nodes, separators, prefixes, heads, payloads that
 * overlap or leave the page, dead bytes, entry count, extents and their hashes. Calls `visitPage` for every page or
 * extent the tree owns, so that the caller can hold the bitmaps against them and find pages with two owners.
 */
export function checkTree(
  context: TreeContext,
  rootPage: number,
  visitPage: (pageId: number, pages: number) => void,
): TreeReport {
  return new TreeChecker(context, rootPage, visitPage).run()
}

class TreeChecker {
  private entries = 0
  private nodePages = 0
  private extentPages = 0
  private leafBytes = 0
  private leaves = 0
  private keyspaceId = 0
  private readonly problems: TreeProblem[] = []
  private readonly seen = new Set<number>()
  private readonly hash = new Uint32Array(2)
  /** By word of a page: whether a payload or the prefix covers it. */
  private readonly covered = new Uint8Array(PAGE_BYTES / 4)

  constructor(
    private readonly context: TreeContext,
    private readonly rootPage: number,
    private readonly visitPage: (pageId: number, pages: number) => void,
  ) {}

  run(): TreeReport {
    let levels = 0
    this.guard(this.rootPage, () => {
      const { space } = this.context
      space.locate(this.rootPage)
      levels = checkRoot(space.view, space.base, this.rootPage) + 1
      this.keyspaceId = space.view.u32[(space.base >>> 2) + WORD_KEYSPACE]
      this.checkSubtree(this.rootPage, levels - 1, undefined, undefined)
      space.locate(this.rootPage)
      const word = space.base >>> 2
      const claimed = space.view.u32[word + WORD_ENTRIES_HI] * 0x1_0000_0000 + space.view.u32[word + WORD_ENTRIES_LO]
      if (claimed !== this.entries) {
        this.report(this.rootPage, `the root counts ${claimed} entries, the leaves hold ${this.entries}`)
      }
    })
    const { entries, nodePages, leafBytes, leaves, problems } = this
    return { entries, nodePages, extentPages: this.extentPages, levels, leafBytes, leaves, problems }
  }

  private report(pageId: number, message: string): void {
    if (this.problems.length < MAX_PROBLEMS) this.problems.push({ pageId, message })
  }

  /** Turns damage that reading code throws for into a problem of the list. */
  private guard(pageId: number, check: () => void): void {
    try {
      check()
    } catch (error) {
      if (!(error instanceof DaxkvError) || error.code !== 'CORRUPT') throw error
      this.report(pageId, error.message)
    }
  }

  /** All keys below must be >= lower and < upper. */
  private checkSubtree(pageId: number, level: number, lower: Buffer | undefined, upper: Buffer | undefined): void {
    if (this.seen.has(pageId)) {
      this.report(pageId, 'the page appears twice in the tree')
      return
    }
    this.seen.add(pageId)
    this.visitPage(pageId, 1)
    this.nodePages++
    this.guard(pageId, () => {
      const { space } = this.context
      space.locate(pageId)
      const { view, base } = space
      checkNode(view, base, pageId, level)
      this.checkHeader(view, base, pageId)
      const keys = this.checkEntries(view, base, pageId, level, lower, upper)
      if (level === 0) {
        this.checkLeaf(view, base, pageId, keys)
        return
      }
      for (let i = 0; i <= keys.length; i++) {
        const from = i === 0 ? lower : keys[i - 1]
        const to = i === keys.length ? upper : keys[i]
        this.checkSubtree(branchChild(view, base, i), level - 1, from, to)
      }
    })
  }

  private checkHeader(view: MemoryView, base: number, pageId: number): void {
    const word = base >>> 2
    if (view.u32[word + WORD_KEYSPACE] !== this.keyspaceId) {
      this.report(pageId, `the page belongs to keyspace ${view.u32[word + WORD_KEYSPACE]}, not ${this.keyspaceId}`)
    }
    if (pageId !== this.rootPage && (view.u32[word + WORD_ENTRIES_LO] | view.u32[word + WORD_ENTRIES_HI]) !== 0) {
      this.report(pageId, 'a node other than the root has an entry count')
    }
  }

  /** Order, heads and the heap of one node; returns its keys. */
  private checkEntries(
    view: MemoryView,
    base: number,
    pageId: number,
    level: number,
    lower: Buffer | undefined,
    upper: Buffer | undefined,
  ): Buffer[] {
    const isLeaf = level === 0
    const lead = isLeaf ? 0 : 4
    const count = nodeCount(view, base)
    const prefixLength = nodePrefixLength(view, base)
    const keys: Buffer[] = []
    let live = prefixBytes(prefixLength)
    this.covered.fill(0)
    if (live > 0) this.cover(pageId, nodePrefixOffset(view, base), prefixLength)
    for (let i = 0; i < count; i++) {
      const place = slotPlace(view, base, i)
      checkPlace(view, base, place, isLeaf)
      const length = placeLength(place, isLeaf)
      live += payloadBytes(length)
      this.cover(pageId, placeOffset(place), payloadBytes(length))
      const key = Buffer.from(scratch.bytes.subarray(0, copyNodeKey(view, base, lead, i, scratch.words)))
      keys.push(key)
      if (view.i32[(base >>> 2) + SLOTS_WORD + 2 * i] !== headOf(scratch.words, prefixLength, key.length)) {
        this.report(pageId, `the head of entry ${i} is wrong`)
      }
      // The bytes of the prefix that fill no word stand in the suffix as well, and searches skip them there.
      const prefixAt = base + nodePrefixOffset(view, base)
      if (key.length < prefixLength || key.compare(view.u8, prefixAt, prefixAt + prefixLength, 0, prefixLength) !== 0) {
        this.report(pageId, `entry ${i} does not begin with the prefix of the node`)
      }
      if (i > 0 && Buffer.compare(keys[i - 1], key) >= 0) this.report(pageId, `entry ${i} is out of order`)
    }
    if (count > 0 && lower !== undefined && Buffer.compare(keys[0], lower) < 0) {
      this.report(pageId, 'the first key is below the separator in front of the page')
    }
    if (count > 0 && upper !== undefined && Buffer.compare(keys[count - 1], upper) >= 0) {
      this.report(pageId, 'the last key is not below the separator behind the page')
    }
    const dead = nodeDeadBytes(view, base)
    const heap = PAGE_BYTES - nodeHeapStart(view, base)
    if (live + dead !== heap) {
      this.report(pageId, `${live} bytes are live and ${dead} dead in a heap of ${heap}`)
    }
    return keys
  }

  private cover(pageId: number, from: number, length: number): void {
    for (let word = from >>> 2; word < (from + length + 3) >>> 2; word++) {
      if (this.covered[word] === 1) {
        this.report(pageId, `two entries share bytes ${word * 4}..${word * 4 + 3}`)
        return
      }
      this.covered[word] = 1
    }
  }

  private checkLeaf(view: MemoryView, base: number, pageId: number, keys: readonly Buffer[]): void {
    if (keys.length === 0 && pageId !== this.rootPage) this.report(pageId, 'a leaf is empty')
    this.entries += keys.length
    this.leaves++
    this.leafBytes += PAGE_BYTES - nodeHeapStart(view, base) - nodeDeadBytes(view, base) + 8 * keys.length
    for (let i = 0; i < keys.length; i++) {
      const place = slotPlace(view, base, i)
      if (place >>> 21 === VALUE_IN_EXTENT) this.guard(pageId, () => this.checkExtent(view, base, pageId, i, keys[i]))
      else if (keys[i].length + (place >>> 21) > MAX_INLINE_BYTES) {
        this.report(pageId, `entry ${i} is too long to stand in a leaf`)
      }
    }
  }

  private checkExtent(view: MemoryView, base: number, pageId: number, index: number, key: Buffer): void {
    const { space, memory } = this.context
    const at = descriptorOffset(view, base, slotPlace(view, base, index))
    const page = view.u8.readUInt32LE(at)
    const byteLength = view.u8.readUInt32LE(at + 4)
    const pages = extentPages(byteLength)
    if (key.length + byteLength <= MAX_INLINE_BYTES) {
      this.report(pageId, `entry ${index} has an extent of only ${byteLength} bytes`)
    }
    if (byteLength === 0 || page + pages > space.capacityPages) {
      this.report(pageId, `the extent of entry ${index} (${byteLength} bytes at page ${page}) leaves the pool`)
      return
    }
    if (this.extentPages + pages > space.capacityPages) {
      // Hashing extents that overlap could otherwise take for ever.
      this.report(pageId, 'the extents of the tree are larger than the pool')
      return
    }
    if (this.seen.has(page)) this.report(page, 'an extent appears twice in the tree')
    this.seen.add(page)
    this.visitPage(page, pages)
    this.extentPages += pages
    memory.hashExtent(page, byteLength, this.hash)
    if (this.hash[0] !== view.u8.readUInt32LE(at + 8) || this.hash[1] !== view.u8.readUInt32LE(at + 12)) {
      this.report(page, `the value of entry ${index} of page ${pageId} does not match its hash`)
    }
  }
}

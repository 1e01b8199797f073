import { DaxkvError } from '../errors.js'
import type { MemoryView } from '../pmem/memory-view.js'
import { PAGE_BYTES } from '../pmem/program.js'
import type { PageSpace } from '../tx/page-space.js'
import { locateExtent } from './extent.js'
import { copyKeyWords, copyWords, KeyBuffer, loadKey, MAX_KEY_BYTES } from './key.js'
import type { KeyRange } from './key-range.js'
import {
  branchChild,
  checkNode,
  checkRoot,
  failNode,
  failPage,
  MAX_LEVELS,
  nodeCount,
  nodePrefixLength,
  nodePrefixOffset,
  omittedBytes,
  SLOTS_WORD,
  VALUE_IN_EXTENT,
} from './node.js'
import { searchNode } from './search.js'
import type { Tree } from './tree.js'

export type { KeyRange } from './key-range.js'

/** Where a cursor stands: on an entry, or in front of or behind all of its range. */
const BEFORE = 0
const ON = 1
const AFTER = 2

/** How to walk down: to the first or last entry in range, or to the key the cursor stands on. */
const TO_FIRST = 0
const TO_LAST = 1
const TO_KEY = 2

/**
 * A position in a range of a tree. Entries are read in place; nothing is allocated per entry.
 *
 * In every node on the way down the cursor works out once which children or entries lie in the range, so that stepping
 * inside a leaf compares no keys. When the tree's `version` has changed, the next step looks for the last key again.
 */
export class Cursor {
  /** The key of the current entry: `keyLength` bytes from 0. Owned by the cursor, overwritten by the next step. */
  readonly key: Buffer
  keyLength = 0
  /** The value of the current entry; valid until the next write to the store. */
  valueView: MemoryView
  valueStart = 0
  valueLength = 0
  /** First page of the extent that holds the value; 0 when it is inline. */
  valuePage = 0

  private reverse = false
  private readonly keyWords: Int32Array
  /** The bounds, copied; their lengths are -1 where the range is open. */
  private lower: KeyBuffer | undefined
  private upper: KeyBuffer | undefined
  private lowerLength = -1
  private upperLength = -1
  private lowerInclusive = false
  private upperInclusive = false

  private state = BEFORE
  private version: number
  /** Whether `key` holds the whole current key, or only the prefix (inside `scan`). */
  private keyLoaded = false

  // The path: by depth the page, the child taken, and the first and last child in range.
  private readonly pages = new Uint32Array(MAX_LEVELS)
  private readonly indexes = new Int32Array(MAX_LEVELS)
  private readonly first = new Int32Array(MAX_LEVELS)
  private readonly last = new Int32Array(MAX_LEVELS)
  /** Whether the lower / upper bound may cut through the node at that depth. */
  private readonly atLower = new Uint8Array(MAX_LEVELS + 1)
  private readonly atUpper = new Uint8Array(MAX_LEVELS + 1)
  private levels = 0

  // The leaf: entries [leafStart, leafStop) are in range.
  private leafView: MemoryView
  private leafBase = 0
  private leafIndex = 0
  private leafStart = 0
  private leafStop = 0
  /** Bytes of the keys that the suffixes in the leaf leave out; `key` has them since the leaf was entered. */
  private omitted = 0
  /** Leaves that may still be visited: more than the pool has pages means a damaged tree that leads back to itself. */
  private leavesLeft = 0

  private readonly space: PageSpace

  constructor(readonly tree: Tree) {
    this.space = tree.context.space
    this.version = tree.version
    this.valueView = this.space.view
    this.leafView = this.space.view
    const key = new KeyBuffer()
    this.key = key.bytes
    this.keyWords = key.words
  }

  /** Sets the range and goes in front of its first entry (with `reverse`: behind its last). */
  seek(range: KeyRange): void {
    const lower = range.gt ?? range.gte
    const upper = range.lt ?? range.lte
    this.lowerLength = lower === undefined ? -1 : loadKey((this.lower ??= new KeyBuffer()), lower, lower.length)
    this.upperLength = upper === undefined ? -1 : loadKey((this.upper ??= new KeyBuffer()), upper, upper.length)
    this.lowerInclusive = range.gt === undefined
    this.upperInclusive = range.lt === undefined
    this.reverse = range.reverse === true
    this.state = this.reverse ? AFTER : BEFORE
    this.version = this.tree.version
    this.leavesLeft = this.space.capacityPages
    this.keyLoaded = false
  }

  /** Steps in the direction of the range; false at its end. */
  next(): boolean {
    return this.reverse ? this.backward() : this.forward()
  }

  /** Steps against the direction of the range; false in front of its first entry. */
  previous(): boolean {
    return this.reverse ? this.forward() : this.backward()
  }

  /** Passes over up to `entries` entries in the direction of the range, leaf by leaf; returns how many there were. */
  skip(entries: number): number {
    const { reverse } = this
    let skipped = 0
    while (skipped < entries && (reverse ? this.moveBackward() : this.moveForward())) {
      const inLeaf = reverse ? this.leafIndex - this.leafStart : this.leafStop - 1 - this.leafIndex
      const more = inLeaf < entries - skipped - 1 ? inLeaf : entries - skipped - 1
      this.leafIndex += reverse ? -more : more
      skipped += more + 1
    }
    if (this.state === ON && skipped > 0) this.load()
    return skipped
  }

  /**
   * Calls `visit` with this cursor for each further entry until it returns false; returns how many were visited. The
   * key is not copied to `key`: use `copyKey`. The visitor must not write to the tree.
   */
  scan(visit: (cursor: Cursor) => boolean): number {
    const { reverse } = this
    let visited = 0
    while (reverse ? this.moveBackward() : this.moveForward()) {
      const end = reverse ? this.leafStart - 1 : this.leafStop
      const step = reverse ? -1 : 1
      let index = this.leafIndex
      for (; index !== end; index += step) {
        this.leafIndex = index
        this.loadValue()
        visited++
        const goOn = visit(this)
        if (this.version !== this.tree.version) throw new DaxkvError('BUSY', 'the tree was written to during a scan')
        if (!goOn) {
          this.loadKey()
          return visited
        }
      }
      this.loadKey()
    }
    return visited
  }

  /** Copies the current key to a buffer (also to `key` itself); returns its length. */
  copyKey(target: Buffer, offset: number): number {
    if (!this.keyLoaded) this.loadKey()
    const { key, keyLength } = this
    if (target === key && offset === 0) return keyLength
    if (keyLength > 40) target.set(key.subarray(0, keyLength), offset)
    else for (let i = 0; i < keyLength; i++) target[offset + i] = key[i]
    return keyLength
  }

  private forward(): boolean {
    if (this.state === ON && this.version === this.tree.version && this.leafIndex + 1 < this.leafStop) {
      this.leafIndex++
    } else if (!this.moveForward()) {
      return false
    }
    this.load()
    return true
  }

  private backward(): boolean {
    if (this.state === ON && this.version === this.tree.version && this.leafIndex > this.leafStart) {
      this.leafIndex--
    } else if (!this.moveBackward()) {
      return false
    }
    this.load()
    return true
  }

  /** Moves to the next entry without reading it. */
  private moveForward(): boolean {
    let moved: boolean
    if (this.state === AFTER) return false
    if (this.state === BEFORE) {
      this.start()
      moved = this.descend(-1, TO_FIRST)
    } else if (this.version !== this.tree.version) {
      const found = this.find()
      this.leafIndex += found ? 1 : 0
      moved = this.leafIndex < this.leafStop && this.leafIndex >= this.leafStart
    } else {
      moved = ++this.leafIndex < this.leafStop
    }
    let depth = this.levels - 2
    while (!moved) {
      while (depth >= 0 && this.indexes[depth] >= this.last[depth]) depth--
      if (depth < 0) {
        this.state = AFTER
        return false
      }
      this.indexes[depth]++
      moved = this.descend(depth, TO_FIRST)
      depth = this.levels - 2
    }
    return true
  }

  /** Moves to the entry before without reading it. */
  private moveBackward(): boolean {
    let moved: boolean
    if (this.state === BEFORE) return false
    if (this.state === AFTER) {
      this.start()
      moved = this.descend(-1, TO_LAST)
    } else {
      if (this.version !== this.tree.version) this.find()
      moved = --this.leafIndex >= this.leafStart && this.leafIndex < this.leafStop
    }
    let depth = this.levels - 2
    while (!moved) {
      while (depth >= 0 && this.indexes[depth] <= this.first[depth]) depth--
      if (depth < 0) {
        this.state = BEFORE
        return false
      }
      this.indexes[depth]--
      moved = this.descend(depth, TO_LAST)
      depth = this.levels - 2
    }
    return true
  }

  /** Enters the range from one of its ends. */
  private start(): void {
    this.state = ON
    this.version = this.tree.version
    this.keyLoaded = false
  }

  /** Looks for the last key again after the tree has changed: stands on it, or on the first one above it. */
  private find(): boolean {
    if (!this.keyLoaded) throw new DaxkvError('INTERNAL', 'the cursor has lost its position')
    this.version = this.tree.version
    this.leavesLeft = this.space.capacityPages
    return this.descend(-1, TO_KEY)
  }

  /**
   * Walks down from the child taken at `depth` (-1: from the root) to a leaf. Returns whether the leaf has an entry in
   * range; for TO_KEY whether the key is still there.
   */
  private descend(depth: number, mode: number): boolean {
    const { space, lowerLength, upperLength } = this
    let pageId = this.tree.rootPage
    let level: number
    if (depth < 0) {
      space.locate(pageId)
      level = checkRoot(space.view, space.base, pageId)
      this.levels = level + 1
      this.atLower[0] = lowerLength < 0 ? 0 : 1
      this.atUpper[0] = upperLength < 0 ? 0 : 1
    } else {
      space.locate(this.pages[depth])
      level = this.levels - 1 - depth
      pageId = this.enterChild(depth)
      level--
    }
    depth++
    for (; level > 0; level--, depth++) {
      const { view, base } = space
      this.pages[depth] = pageId
      let first = 0
      let last = nodeCount(view, base)
      if (this.atLower[depth] === 1) first = this.childOf(level, pageId, this.lower, lowerLength)
      if (this.atUpper[depth] === 1) last = this.childOf(level, pageId, this.upper, upperLength)
      // Bounds that cross leave the range empty: both go on into the same child, where no entry lies between them.
      if (first > last) last = first
      this.first[depth] = first
      this.last[depth] = last
      let index = mode === TO_FIRST ? first : last
      if (mode === TO_KEY) {
        const at = searchNode(view, base, pageId, level, this.keyWords, this.keyLength)
        index = at < 0 ? ~at : at + 1
        if (index < first) index = first
        if (index > last) index = last
      }
      this.indexes[depth] = index
      pageId = this.enterChild(depth)
    }
    return this.enterLeaf(depth, pageId, mode)
  }

  /** Locates and checks the child taken at `depth` (whose node is located) and says which bounds reach into it. */
  private enterChild(depth: number): number {
    const { space } = this
    const index = this.indexes[depth]
    const pageId = branchChild(space.view, space.base, index)
    this.atLower[depth + 1] = index === this.first[depth] ? this.atLower[depth] : 0
    this.atUpper[depth + 1] = index === this.last[depth] ? this.atUpper[depth] : 0
    space.locate(pageId)
    checkNode(space.view, space.base, pageId, this.levels - 2 - depth)
    return pageId
  }

  private enterLeaf(depth: number, pageId: number, mode: number): boolean {
    const { lower, upper } = this
    const { view, base } = this.space
    const count = nodeCount(view, base)
    if (count === 0 && depth > 0) failNode(view, base, 'a leaf is empty')
    if (--this.leavesLeft < 0) failPage(this.tree.rootPage, 'the tree leads back to itself')
    if (this.keyLoaded && mode !== TO_KEY) {
      // From leaf to leaf keys must go on in order: a damaged tree could lead to the same leaf again and again.
      const at = searchNode(view, base, pageId, 0, this.keyWords, this.keyLength)
      if (at !== (mode === TO_FIRST ? ~0 : ~count)) failNode(view, base, 'keys are out of order')
    }
    let start = 0
    let stop = count
    if (lower !== undefined && this.atLower[depth] === 1) {
      const at = searchNode(view, base, pageId, 0, lower.words, this.lowerLength)
      start = at < 0 ? ~at : this.lowerInclusive ? at : at + 1
    }
    if (upper !== undefined && this.atUpper[depth] === 1) {
      const at = searchNode(view, base, pageId, 0, upper.words, this.upperLength)
      stop = at < 0 ? ~at : this.upperInclusive ? at + 1 : at
    }
    let found = start < stop
    this.leafIndex = mode === TO_FIRST ? start : stop - 1
    if (mode === TO_KEY) {
      const at = searchNode(view, base, pageId, 0, this.keyWords, this.keyLength)
      found = at >= 0
      this.leafIndex = found ? at : ~at
    }
    this.leafView = view
    this.leafBase = base
    this.leafStart = start
    this.leafStop = stop
    const omitted = omittedBytes(nodePrefixLength(view, base))
    if (omitted > MAX_KEY_BYTES) failNode(view, base, 'a key is too long')
    copyWords(view.i32, (base + nodePrefixOffset(view, base)) >>> 2, this.keyWords, 0, omitted >>> 2)
    this.omitted = omitted
    this.keyLoaded = false
    return found
  }

  /** Reads value and key of the current entry. */
  private load(): void {
    this.loadValue()
    this.loadKey()
  }

  /** Puts the key of the current entry together; its prefix is there since the leaf was entered. */
  private loadKey(): void {
    const { omitted } = this
    const { i32 } = this.leafView
    const word = this.leafBase >>> 2
    const place = i32[word + SLOTS_WORD + 1 + 2 * this.leafIndex]
    copyKeyWords(i32, word + (place & 1023), this.keyWords, omitted >>> 2, this.keyLength - omitted)
    this.keyLoaded = true
  }

  /** Reads the value of the current entry and the length of its key. */
  private loadValue(): void {
    const { leafView, leafBase } = this
    const place = leafView.i32[(leafBase >>> 2) + SLOTS_WORD + 1 + 2 * this.leafIndex]
    const suffixLength = (place >>> 10) & 2047
    const start = ((place & 1023) << 2) + suffixLength
    const length = place >>> 21
    this.keyLoaded = false
    this.keyLength = this.omitted + suffixLength
    if (this.keyLength > MAX_KEY_BYTES) failNode(leafView, leafBase, 'a key is too long')
    if (length === VALUE_IN_EXTENT) {
      locateExtent(this, this.space, leafView, leafBase, place)
      return
    }
    if (start + length > PAGE_BYTES) failNode(leafView, leafBase, 'an entry lies outside the page')
    this.valueView = leafView
    this.valueStart = leafBase + start
    this.valueLength = length
    this.valuePage = 0
  }

  /** The child of the located branch that a bound belongs to. */
  private childOf(level: number, pageId: number, key: KeyBuffer | undefined, keyLength: number): number {
    if (key === undefined) return 0
    const at = searchNode(this.space.view, this.space.base, pageId, level, key.words, keyLength)
    return at < 0 ? ~at : at + 1
  }
}

import { DaxkvError } from '../errors.js'
import type { MemoryView } from '../pmem/memory-view.js'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import type { Allocator } from '../pool/allocator.js'
import type { PageSpace } from '../tx/page-space.js'
import { Cursor, type KeyRange } from './cursor.js'
import { locateExtent } from './extent.js'
import { insertEntry, overwriteEntry } from './insert.js'
import { KeyBuffer, loadKey, MAX_KEY_BYTES } from './key.js'
import {
  branchChild,
  failNode,
  failPage,
  initNode,
  MAX_LEVELS,
  NODE_HEADER_END,
  nodeCount,
  rootLevel,
  slotPlace,
  VALUE_IN_EXTENT,
  WORD_ENTRIES_HI,
  WORD_ENTRIES_LO,
} from './node.js'
import { clearTree, deleteRange } from './range.js'
import { removeEntry } from './remove.js'
import { searchNode, touchSlots } from './search.js'
import { PAGE_BYTES } from '../pmem/program.js'

/** Keys from buffers that are not aligned are copied here. */
const borrowed = new KeyBuffer()

const MANY_STRAYS = 16

/** What a tree works on: the pages as the transaction sees them, the allocator, and the memory for extents. */
export interface TreeContext {
  readonly space: PageSpace
  readonly allocator: Allocator
  readonly memory: PersistentMemory
}

/**
 * An ordered map of byte keys to byte values in pages of the pool. The page id of the root never changes.
 *
 * Writes need an open transaction. A write that throws leaves the staged tree half changed: the transaction must be
 * aborted or rolled back to a savepoint. After a commit, an abort or a rollback the layer above bumps `version` of the
 * trees it knows, because pages have moved and entries may have changed under open cursors.
 *
 * Answers go to fields and keys come in a caller-owned scratch Buffer: an object per call would cost more than the walk.
 */
export class Tree {
  /** The value found last: `valueLength` bytes of `valueView.u8` from `valueStart`, valid until the next write. */
  valueView: MemoryView
  valueStart = 0
  valueLength = 0
  /** First page of the extent that holds the value found last; 0 when the value is inline. */
  valuePage = 0
  /** Changes whenever a position in the tree may have become stale. */
  version = 0

  /** Path of the last descent for a write: page ids from the root, and the child (in the leaf: the entry) taken. */
  readonly pathPages = new Uint32Array(MAX_LEVELS + 1)
  readonly pathIndexes = new Int32Array(MAX_LEVELS + 1)
  /** Index of the leaf in the path. */
  pathDepth = 0
  /** Whether the path runs along the right edge of the tree, and the version as of which it leads to its leaf. */
  private pathIsRightmost = false
  private pathVersion = -1
  /** The generation of staged pages it belongs to: a rollback may have taken pages of the path back. */
  private pathGeneration = 0
  /** Puts in a row that did not belong to the leaf of the put before. */
  private strays = 0

  /** The scratch buffer keys came in last, and its words: callers use one again and again. */
  private keySource: Buffer | undefined
  private keyWords = borrowed.words

  private counter: Cursor | undefined
  private readonly space: PageSpace

  constructor(
    readonly context: TreeContext,
    readonly rootPage: number,
    readonly keyspaceId: number,
  ) {
    this.space = context.space
    this.valueView = context.space.view
  }

  /** Allocates the root of a new, empty tree and returns its page id. */
  static create(context: TreeContext, keyspaceId: number): number {
    const page = context.allocator.allocate()
    initNode(context.space.view, context.space.base, 0, keyspaceId)
    return page
  }

  /** Looks a key up; on true the value fields hold what was found. */
  find(key: Buffer, keyLength: number): boolean {
    if (keyLength > MAX_KEY_BYTES) return false
    const words = key === this.keySource ? this.keyWords : this.adoptKey(key, keyLength)
    const { space } = this
    let pageId = this.rootPage
    space.locate(pageId)
    let { view, base } = space
    let level = rootLevel(view, base, pageId)
    for (;;) {
      const at = searchNode(view, base, pageId, level, words, keyLength)
      if (level === 0) {
        if (at < 0) return false
        this.loadValue(view, base, at)
        return true
      }
      pageId = branchChild(view, base, at < 0 ? ~at : at + 1)
      level--
      space.locate(pageId)
      view = space.view
      base = space.base
      if (level === 0) touchSlots(view, base)
    }
  }

  /** Stores a value under a key; true if the key is new. */
  put(key: Buffer, keyLength: number, value: Uint8Array, valueLength = value.length): boolean {
    const isNew = this.putUncounted(key, keyLength, value, valueLength)
    if (isNew) this.addEntries(1)
    return isNew
  }

  /** The same for many puts in a row, whose new keys the caller counts, and adds by `addEntries` in the same transaction. */
  putUncounted(key: Buffer, keyLength: number, value: Uint8Array, valueLength: number): boolean {
    if (keyLength > MAX_KEY_BYTES) {
      throw new DaxkvError('KEY_TOO_LONG', `the key takes ${keyLength} bytes, the limit is ${MAX_KEY_BYTES}`, {
        limit: MAX_KEY_BYTES,
        actual: keyLength,
      })
    }
    if (valueLength > value.length) throw new DaxkvError('INTERNAL', 'valueLength exceeds the value')
    const words = key === this.keySource ? this.keyWords : this.adoptKey(key, keyLength)
    const at = this.descendAgain(words, keyLength)
    this.version = (this.version + 1) | 0
    // A split changes the path, and says so by setting this to -1.
    this.pathVersion = this.version
    this.pathGeneration = this.space.generation
    if (at >= 0) {
      overwriteEntry(this, at, words, keyLength, value, valueLength)
      return false
    }
    insertEntry(this, ~at, words, keyLength, value, valueLength)
    return true
  }

  /** The nodes of the path have changed: the next put has to walk again. */
  forgetPath(): void {
    this.pathVersion = -1
  }

  /**
   * `descend` for a put, which often comes right behind the one before: if nothing else has happened and the key lies within
   * the leaf of the last path, the walk ends where it starts. Loads of sorted keys are faster by it ("load sorted").
   */
  private descendAgain(key: Int32Array, keyLength: number): number {
    const { space } = this
    const isCurrent = this.pathVersion === this.version && this.pathGeneration === space.generation
    // Where it fails again and again it is tried now and then.
    if (isCurrent && (this.strays < MANY_STRAYS || ++this.strays % MANY_STRAYS === 0)) {
      const leaf = this.pathPages[this.pathDepth]
      space.stage(leaf)
      const { view, base } = space
      const at = searchNode(view, base, leaf, 0, key, keyLength)
      // In front of the first entry the key may belong to the leaf on the left, behind the last one to that on the right.
      if (at >= 0 || (~at !== 0 && (this.pathIsRightmost || ~at < nodeCount(view, base)))) {
        this.strays = 0
        this.pathIndexes[this.pathDepth] = at < 0 ? ~at : at
        return at
      }
      this.strays++
    }
    return this.descend(key, keyLength, true)
  }

  /** Removes a key; false if it was not there. */
  delete(key: Buffer, keyLength: number): boolean {
    if (keyLength > MAX_KEY_BYTES) return false
    const words = key === this.keySource ? this.keyWords : this.adoptKey(key, keyLength)
    const at = this.descend(words, keyLength, true)
    if (at < 0) return false
    this.version = (this.version + 1) | 0
    removeEntry(this, at)
    this.addEntries(-1)
    return true
  }

  /** Removes every entry in a range; returns how many. */
  deleteRange(range: KeyRange): number {
    this.version = (this.version + 1) | 0
    const removed = deleteRange(this, range)
    if (removed !== 0) this.addEntries(-removed)
    return removed
  }

  /** Removes all entries, keeping the root page; returns how many there were. */
  clear(): number {
    this.version = (this.version + 1) | 0
    const removed = this.entryCount
    clearTree(this)
    this.addEntries(-removed)
    return removed
  }

  /** Frees every page of the tree, the root included; the tree must not be used afterwards. */
  destroy(): void {
    this.clear()
    this.context.allocator.free(this.rootPage)
  }

  /** Number of entries. */
  get entryCount(): number {
    this.space.locate(this.rootPage)
    const { u32 } = this.space.view
    const word = this.space.base >>> 2
    return u32[word + WORD_ENTRIES_HI] * 0x1_0000_0000 + u32[word + WORD_ENTRIES_LO]
  }

  /** Number of entries in a range; interior leaves are counted by their headers alone. */
  count(range: KeyRange): number {
    this.counter ??= new Cursor(this)
    this.counter.seek(range)
    return this.counter.skip(Infinity)
  }

  /**
   * Walks to the leaf of a key and notes the path; returns the index in the leaf, or ~index if the key is not there. With
   * `stageLeaf`, which is for changes that are certain, the leaf is staged before it is searched: copying streams its lines
   * through the cache, and the search then waits for none of them (a tenth of a durable put at 1M keys).
   */
  descend(key: Int32Array, keyLength: number, stageLeaf: boolean): number {
    const { space, pathPages, pathIndexes } = this
    let pageId = this.rootPage
    space.locate(pageId)
    let { view, base } = space
    let level = rootLevel(view, base, pageId)
    let rightmost = true
    for (let depth = 0; ; depth++) {
      if (stageLeaf && level === 0) {
        space.stage(pageId)
        view = space.view
        base = space.base
      }
      const at = searchNode(view, base, pageId, level, key, keyLength)
      pathPages[depth] = pageId
      if (level === 0) {
        pathIndexes[depth] = at < 0 ? ~at : at
        this.pathDepth = depth
        this.pathIsRightmost = rightmost
        return at
      }
      const child = at < 0 ? ~at : at + 1
      if (child !== nodeCount(view, base)) rightmost = false
      pathIndexes[depth] = child
      pageId = branchChild(view, base, child)
      level--
      space.locate(pageId)
      view = space.view
      base = space.base
    }
  }

  /** The words of a key that is not in the scratch buffer used last. */
  private adoptKey(key: Buffer, keyLength: number): Int32Array {
    // A view costs more than copying a key, so only what looks like a scratch buffer gets one.
    if (key.length >= MAX_KEY_BYTES && ((key.byteOffset | key.length) & 3) === 0) {
      this.keySource = key
      this.keyWords = new Int32Array(key.buffer, key.byteOffset, key.length >>> 2)
      return this.keyWords
    }
    loadKey(borrowed, key, keyLength)
    return borrowed.words
  }

  /** Fills the value fields from an entry of a leaf. */
  loadValue(view: MemoryView, base: number, index: number): void {
    const place = slotPlace(view, base, index)
    const start = ((place & 1023) << 2) + ((place >>> 10) & 2047)
    const length = place >>> 21
    if (length === VALUE_IN_EXTENT) {
      locateExtent(this, this.space, view, base, place)
      return
    }
    if (start + length > PAGE_BYTES) failNode(view, base, 'a value lies outside the page')
    this.valueView = view
    this.valueStart = base + start
    this.valueLength = length
    this.valuePage = 0
  }

  /** Changes the entry count in the root. */
  addEntries(change: number): void {
    const space = this.space
    space.stage(this.rootPage)
    const { u32 } = space.view
    const word = space.base >>> 2
    const low = u32[word + WORD_ENTRIES_LO] + change
    if (low >= 0 && low < 0x1_0000_0000) {
      u32[word + WORD_ENTRIES_LO] = low
    } else {
      const total = u32[word + WORD_ENTRIES_HI] * 0x1_0000_0000 + low
      if (total < 0) failPage(this.rootPage, 'the entry count is too low')
      u32[word + WORD_ENTRIES_LO] = total >>> 0
      u32[word + WORD_ENTRIES_HI] = Math.floor(total / 0x1_0000_0000)
    }
    space.markDirty(space.frame, 0, NODE_HEADER_END)
  }
}

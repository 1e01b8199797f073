import { DaxkvError } from '../errors.js'
import type { MemoryView } from '../pmem/memory-view.js'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import type { Allocator } from '../pool/allocator.js'
import type { PageSpace } from '../tx/page-space.js'
import { Cursor, type KeyRange } from './cursor.js'
import { locateExtent } from './extent.js'
import { insertEntry, overwriteEntry } from './insert.js'
import {
  branchChild,
  checkNode,
  checkRoot,
  failNode,
  failPage,
  initNode,
  MAX_KEY_BYTES,
  MAX_LEVELS,
  NODE_HEADER_END,
  VALUE_IN_EXTENT,
  WORD_ENTRIES_HI,
  WORD_ENTRIES_LO,
} from './node.js'
import { clearTree, deleteRange } from './range.js'
import { removeEntry } from './remove.js'
import { search } from './search.js'
import { PAGE_BYTES } from '../pmem/program.js'

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
    const space = this.space
    let pageId = this.rootPage
    space.locate(pageId)
    let view = space.view
    let base = space.base
    let level = checkRoot(view, base, pageId)
    while (level > 0) {
      const at = search(view, base, 4, key, keyLength)
      pageId = branchChild(view, base, at >= 0 ? at + 1 : ~at)
      level--
      space.locate(pageId)
      view = space.view
      base = space.base
      checkNode(view, base, pageId, level)
    }
    const index = search(view, base, 0, key, keyLength)
    if (index < 0) return false
    this.loadValue(view, base, index)
    return true
  }

  /** Stores a value under a key; true if the key is new. */
  put(key: Buffer, keyLength: number, value: Uint8Array, valueLength = value.length): boolean {
    if (keyLength > MAX_KEY_BYTES) {
      throw new DaxkvError('KEY_TOO_LONG', `the key takes ${keyLength} bytes, the limit is ${MAX_KEY_BYTES}`, {
        limit: MAX_KEY_BYTES,
        actual: keyLength,
      })
    }
    if (valueLength > value.length) throw new DaxkvError('INTERNAL', 'valueLength exceeds the value')
    this.version = (this.version + 1) | 0
    const at = this.descend(key, keyLength)
    if (at >= 0) {
      overwriteEntry(this, at, key, keyLength, value, valueLength)
      return false
    }
    insertEntry(this, ~at, key, keyLength, value, valueLength)
    this.addEntries(1)
    return true
  }

  /** Removes a key; false if it was not there. */
  delete(key: Buffer, keyLength: number): boolean {
    const at = this.descend(key, keyLength)
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
    const cursor = new Cursor(this)
    cursor.seek(range)
    return cursor.skip(Infinity)
  }

  /** Walks to the leaf of a key and notes the path; returns the index in the leaf, or ~index if the key is not there. */
  descend(key: Buffer, keyLength: number): number {
    const space = this.space
    let pageId = this.rootPage
    space.locate(pageId)
    let view = space.view
    let base = space.base
    let level = checkRoot(view, base, pageId)
    let depth = 0
    while (level > 0) {
      const at = search(view, base, 4, key, keyLength)
      const child = at >= 0 ? at + 1 : ~at
      this.pathPages[depth] = pageId
      this.pathIndexes[depth] = child
      pageId = branchChild(view, base, child)
      level--
      depth++
      space.locate(pageId)
      view = space.view
      base = space.base
      checkNode(view, base, pageId, level)
    }
    this.pathPages[depth] = pageId
    this.pathDepth = depth
    const index = search(view, base, 0, key, keyLength)
    this.pathIndexes[depth] = index < 0 ? ~index : index
    return index
  }

  /** Fills the value fields from an entry of a leaf. */
  loadValue(view: MemoryView, base: number, index: number): void {
    const place = view.i32[(base >>> 2) + 17 + 2 * index]
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

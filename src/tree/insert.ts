/**
 * Putting entries into a leaf, and splitting nodes that are full. All of it works on the path of the tree's last
 * descent. A page is allocated before anything is moved, but a throw still leaves the operation half done: see `Tree`.
 */
import { PAGE_BYTES } from '../pmem/program.js'
import type { PageSpace } from '../tx/page-space.js'
import {
  addDead,
  appendEntries,
  copyValue,
  encodedBytes,
  fitsNode,
  placeLeafEntry,
  rebuildNode,
  removeSlot,
  setPrefixFromEntry,
  setPrefixFromKey,
  sharedPrefix,
  shortenPrefix,
  truncateNode,
} from './entries.js'
import { fitsInline, freeExtent, storeExtent } from './extent.js'
import { commonBytes, copyKeyWords, KeyBuffer } from './key.js'
import {
  checkPlace,
  failNode,
  initNode,
  makePlace,
  nodeCount,
  nodeDeadBytes,
  nodeGap,
  nodeHeapStart,
  nodePrefixLength,
  NODE_CAPACITY,
  NODE_CONTENT_OFFSET,
  NODE_HEADER_END,
  omittedBytes,
  payloadBytes,
  placeOffset,
  placeStoredLength,
  placeSuffixLength,
  prefixBytes,
  resetNode,
  runLength,
  setHeapStart,
  setRun,
  SLOTS_OFFSET,
  SLOTS_WORD,
  SLOT_BYTES,
  slotPlace,
  VALUE_IN_EXTENT,
} from './node.js'
import { commonOfEntries, commonWithEntry, commonWithPrefix, copyNodeKey } from './search.js'
import { insertSeparator, pushDown } from './split.js'
import type { Tree } from './tree.js'

/** Inserts an entry that is not in the tree at `index` of the leaf at the end of the path. */
export function insertEntry(
  tree: Tree,
  index: number,
  key: Int32Array,
  keyLength: number,
  value: Uint8Array,
  valueLength: number,
): void {
  if (fitsInline(keyLength, valueLength)) {
    insertLeaf(tree, index, key, keyLength, value, valueLength, valueLength)
  } else {
    const descriptor = storeExtent(tree, value, valueLength)
    insertLeaf(tree, index, key, keyLength, descriptor, descriptor.length, VALUE_IN_EXTENT)
  }
}

/** Replaces the value of entry `index` of the leaf at the end of the path. */
export function overwriteEntry(
  tree: Tree,
  index: number,
  key: Int32Array,
  keyLength: number,
  value: Uint8Array,
  valueLength: number,
): void {
  let bytes = value
  let byteLength = valueLength
  let field = valueLength
  if (!fitsInline(keyLength, valueLength)) {
    bytes = storeExtent(tree, value, valueLength)
    byteLength = bytes.length
    field = VALUE_IN_EXTENT
  }
  const { space } = tree.context
  space.stage(tree.pathPages[tree.pathDepth])
  const { view, base, frame } = space
  const place = slotPlace(view, base, index)
  checkPlace(view, base, place, true)
  if (place >>> 21 === VALUE_IN_EXTENT) {
    // After the new one is written, so that the two never overlap.
    freeExtent(tree, view, base, place)
    space.point(frame)
  }
  const suffixLength = placeSuffixLength(place)
  const oldSize = payloadBytes(suffixLength + placeStoredLength(place))
  const newSize = payloadBytes(suffixLength + byteLength)
  const slot = (base >>> 2) + SLOTS_WORD + 2 * index
  const offset = placeOffset(place)
  if (newSize <= oldSize) {
    copyValue(bytes, byteLength, view.u8, base + offset + suffixLength)
    space.markDirty(frame, offset + suffixLength, offset + suffixLength + byteLength)
    const after = makePlace(offset, suffixLength, field)
    if (after !== place) {
      view.i32[slot + 1] = after
      space.markDirty(frame, SLOTS_OFFSET + SLOT_BYTES * index, SLOTS_OFFSET + SLOT_BYTES * index + SLOT_BYTES)
      if (newSize < oldSize) {
        addDead(view, base, oldSize - newSize)
        space.markDirty(frame, 0, NODE_HEADER_END)
      }
    }
    return
  }
  if (nodeGap(view, base) >= newSize) {
    const at = nodeHeapStart(view, base) - newSize
    setHeapStart(view, base, at)
    addDead(view, base, oldSize)
    copyKeyWords(view.i32, (base + offset) >>> 2, view.i32, (base + at) >>> 2, suffixLength)
    copyValue(bytes, byteLength, view.u8, base + at + suffixLength)
    view.i32[slot + 1] = makePlace(at, suffixLength, field)
    space.markDirty(frame, 0, NODE_HEADER_END)
    space.markDirty(frame, SLOTS_OFFSET + SLOT_BYTES * index, SLOTS_OFFSET + SLOT_BYTES * index + SLOT_BYTES)
    space.markDirty(frame, at, at + newSize)
    return
  }
  removeSlot(space, index, true)
  insertLeaf(tree, index, key, keyLength, bytes, byteLength, field)
}

/** Inserts an entry whose stored bytes are ready (the value, or a descriptor). */
function insertLeaf(
  tree: Tree,
  index: number,
  key: Int32Array,
  keyLength: number,
  bytes: Uint8Array,
  byteLength: number,
  field: number,
): void {
  const { space } = tree.context
  const page = tree.pathPages[tree.pathDepth]
  space.stage(page)
  const { view, base } = space
  const prefixLength = nodePrefixLength(view, base)
  const shared = commonWithPrefix(view, base, key, keyLength)
  if (shared === prefixLength || shortenPrefix(space, 0, shared)) {
    const size = SLOT_BYTES + payloadBytes(keyLength - omittedBytes(shared) + byteLength)
    const gap = nodeGap(view, base)
    if (gap >= size || gap + nodeDeadBytes(view, base) >= size) {
      placeInRoom(space, index, key, keyLength, bytes, byteLength, field)
      return
    }
  } else {
    // Only a key below or above all others breaks the prefix they share.
    const count = nodeCount(view, base)
    const size = SLOT_BYTES + payloadBytes(keyLength - omittedBytes(shared) + byteLength)
    if (fitsNode(encodedBytes(view, base, true, 0, count, shared) + size, shared)) {
      rebuildNode(space, 0, shared)
      placeLeafEntry(space, index, key, keyLength, bytes, byteLength, field)
      return
    }
  }
  splitLeaf(tree, index, key, keyLength, bytes, byteLength, field, shared)
}

/** Places an entry that shares the prefix of the node `space` points at and fits it, once it has been compacted. */
function placeInRoom(
  space: PageSpace,
  index: number,
  key: Int32Array,
  keyLength: number,
  bytes: Uint8Array,
  byteLength: number,
  field: number,
): void {
  const { view, base } = space
  const prefixLength = nodePrefixLength(view, base)
  if (nodeGap(view, base) < SLOT_BYTES + payloadBytes(keyLength - omittedBytes(prefixLength) + byteLength)) {
    const count = nodeCount(view, base)
    const longer = sharedPrefix(view, base, 0, 0, count, index, key, keyLength)
    const size = encodedBytes(view, base, true, 0, count, longer) + SLOT_BYTES
    rebuildNode(
      space,
      0,
      fitsNode(size + payloadBytes(keyLength - omittedBytes(longer) + byteLength), longer) ? longer : prefixLength,
    )
  }
  placeLeafEntry(space, index, key, keyLength, bytes, byteLength, field)
}

const leftKey = new KeyBuffer().words
const separator = new KeyBuffer().words

/** Splits the full leaf at the end of the path and inserts the entry into one of the halves. */
function splitLeaf(
  tree: Tree,
  index: number,
  key: Int32Array,
  keyLength: number,
  bytes: Uint8Array,
  byteLength: number,
  field: number,
  shared: number,
): void {
  const { space, allocator } = tree.context
  tree.forgetPath()
  if (tree.pathDepth === 0) pushDown(tree)
  const depth = tree.pathDepth
  const page = tree.pathPages[depth]
  space.stage(page)
  const { view, base, frame } = space
  const count = nodeCount(view, base)
  const prefixLength = nodePrefixLength(view, base)
  const breaks = shared < prefixLength
  const run = runLength(view, base, index)
  if (count === 0 || (breaks && index !== 0 && index !== count)) failNode(view, base, 'the leaf cannot be split')
  let side = 0
  if (index === count && (breaks || run >= RUN || isRightmost(tree))) side = 1
  else if (index === 0 && (breaks || run <= -RUN)) side = -1
  space.point(frame)

  const rightPage = allocator.allocate()
  const right = space.view
  const rightBase = space.base
  const rightFrame = space.frame
  initNode(right, rightBase, 0, tree.keyspaceId)
  if (side > 0) {
    // Ascending keys: the left leaf stays full and untouched. What follows will share about what was shared so far.
    setPrefixFromKey(right, rightBase, key, commonWithEntry(view, base, 0, 0, key, keyLength))
    placeLeafEntry(space, 0, key, keyLength, bytes, byteLength, field)
    setRun(right, rightBase, 0, run)
  } else if (side < 0) {
    // Descending keys, mirrored: the content moves right, the page starts again with the new entry.
    const guess = commonWithEntry(view, base, 0, count - 1, key, keyLength)
    right.u8.set(view.u8.subarray(base + NODE_CONTENT_OFFSET, base + PAGE_BYTES), rightBase + NODE_CONTENT_OFFSET)
    space.point(frame)
    resetNode(view, base, 0)
    setPrefixFromKey(view, base, key, guess)
    placeLeafEntry(space, 0, key, keyLength, bytes, byteLength, field)
    setRun(view, base, 0, run)
    space.markDirty(frame, nodeHeapStart(view, base), PAGE_BYTES)
  } else {
    const boundary = chooseBoundary(
      tree,
      index,
      SLOT_BYTES + payloadBytes(keyLength - omittedBytes(prefixLength) + byteLength),
      run,
    )
    const goesLeft = index < boundary
    const keep = goesLeft ? boundary - 1 : boundary
    // The new prefix of the right half, unless alignment makes it dearer than the old one.
    let prefix = prefixLength
    if (count - keep + (goesLeft ? 0 : 1) > 1) {
      prefix = goesLeft
        ? commonOfEntries(view, base, 0, keep, count - 1)
        : sharedPrefix(view, base, 0, keep, count, index, key, keyLength)
      let size = encodedBytes(view, base, true, keep, count, prefix)
      if (!goesLeft) size += SLOT_BYTES + payloadBytes(keyLength - omittedBytes(prefix) + byteLength)
      if (!fitsNode(size, prefix)) prefix = prefixLength
    }
    if (keep < count) setPrefixFromEntry(right, rightBase, prefix, view, base, 0, keep)
    else setPrefixFromKey(right, rightBase, key, prefix)
    appendEntries(view, base, keep, count, right, rightBase, 0)
    space.point(frame)
    truncateNode(space, keep, true)
    if (goesLeft) {
      placeInRoom(space, index, key, keyLength, bytes, byteLength, field)
    } else {
      space.point(rightFrame)
      placeLeafEntry(space, index - keep, key, keyLength, bytes, byteLength, field)
    }
  }

  const leftLength = copyNodeKey(view, base, 0, nodeCount(view, base) - 1, leftKey)
  const rightLength = copyNodeKey(right, rightBase, 0, 0, separator)
  // The shortest key above everything left and not above anything right.
  const common = commonBytes(leftKey, 0, leftLength, separator, 0, rightLength)
  if (common >= rightLength) failNode(view, base, 'keys are out of order')
  insertSeparator(tree, depth - 1, separator, common + 1, rightPage, side)
}

/** Whether the path runs along the right edge of the tree. */
function isRightmost(tree: Tree): boolean {
  const { space } = tree.context
  for (let depth = 0; depth < tree.pathDepth; depth++) {
    space.locate(tree.pathPages[depth])
    if (nodeCount(space.view, space.base) !== tree.pathIndexes[depth]) return false
  }
  return true
}

/** From this many inserts in a row on, a split expects more of them. */
const RUN = 3

/**
 * Where to cut the full leaf at the end of the path, seen as its entries with a new one of `newBytes` at `index`: how
 * many of that sequence stay left. The halves are as even as possible; two entries of any size fit a leaf, and an entry
 * takes at most half of one, so there is always a cut that fits.
 */
function chooseBoundary(tree: Tree, index: number, newBytes: number, run: number): number {
  const { space } = tree.context
  space.locate(tree.pathPages[tree.pathDepth])
  const { view, base } = space
  const count = nodeCount(view, base)
  const prefixLength = nodePrefixLength(view, base)
  const capacity = NODE_CAPACITY - prefixBytes(prefixLength)
  const total = encodedBytes(view, base, true, 0, count, prefixLength) + newBytes
  let left = 0
  let best = -1
  let bestDifference = Infinity
  for (let boundary = 1; boundary <= count; boundary++) {
    const item = boundary - 1
    if (item === index) left += newBytes
    else {
      const place = slotPlace(view, base, item < index ? item : item - 1)
      left += SLOT_BYTES + payloadBytes(placeSuffixLength(place) + placeStoredLength(place))
    }
    // Inside a leaf, a run of inserts is cut off behind or in front of its end: from then on it appends to full leaves.
    const atRun = (run >= RUN && boundary === index + 1) || (run <= -RUN && boundary === index)
    const difference = atRun ? -1 : Math.abs(total - 2 * left)
    if (difference < bestDifference && left <= capacity && total - left <= capacity) {
      best = boundary
      bestDifference = difference
    }
  }
  if (best < 0) failNode(view, base, 'the entries exceed two pages')
  return best
}

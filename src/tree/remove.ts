/** Removing entries, and what keeps the tree small afterwards: merging nodes, removing empty ones, lowering the root. */
import type { MemoryView } from '../pmem/memory-view.js'
import { PAGE_BYTES } from '../pmem/program.js'
import {
  appendEntries,
  encodedBytes,
  fitsNode,
  placeBranchEntry,
  rebuildNode,
  removeSlot,
  setPrefixFromEntry,
} from './entries.js'
import { freeExtent } from './extent.js'
import { commonBytes, KeyBuffer } from './key.js'
import {
  branchChild,
  checkNode,
  checkRoot,
  failNode,
  nodeCount,
  nodeGap,
  nodeHeapStart,
  nodeLevel,
  nodePrefixLength,
  nodeUsedBytes,
  NODE_CAPACITY,
  NODE_CONTENT_OFFSET,
  NODE_HEADER_END,
  omittedBytes,
  payloadBytes,
  resetNode,
  SLOT_BYTES,
  SLOTS_OFFSET,
  slotPlace,
  WORD_ENTRIES_HI,
  WORD_ENTRIES_LO,
  WORD_LEFTMOST,
} from './node.js'
import { copyNodeKey } from './search.js'
import type { Tree } from './tree.js'

/** A node using fewer bytes than this looks for a sibling to merge with. */
const UNDERFLOW_BYTES = Math.floor(NODE_CAPACITY / 3)
/** A merged node keeps some room, or the next insert would split it again. */
const MERGE_LIMIT_BYTES = NODE_CAPACITY - 512

/** Removes entry `index` of the leaf at the end of the path. */
export function removeEntry(tree: Tree, index: number): void {
  const { space } = tree.context
  space.stage(tree.pathPages[tree.pathDepth])
  const { view, base, frame } = space
  freeExtent(tree, view, base, slotPlace(view, base, index))
  space.point(frame)
  removeSlot(space, index, true)
  rebalance(tree, tree.pathDepth)
}

/** After entries of the node at `depth` of the path have gone: removes or merges it if it has become too small. */
export function rebalance(tree: Tree, depth: number): void {
  const { space } = tree.context
  for (; depth > 0; depth--) {
    const page = tree.pathPages[depth]
    space.locate(page)
    if (depth === tree.pathDepth && nodeCount(space.view, space.base) === 0) {
      depth = removeChild(tree, depth)
    } else if (nodeUsedBytes(space.view, space.base) >= UNDERFLOW_BYTES || !mergeWithSibling(tree, depth)) {
      return
    }
  }
  lowerRoot(tree)
}

/**
 * Frees the empty node at `depth` and takes it out of its parent, together with parents it leaves without a child.
 * Returns the depth below the one that lost a child.
 */
function removeChild(tree: Tree, depth: number): number {
  const { space, allocator } = tree.context
  for (; depth > 0; depth--) {
    allocator.free(tree.pathPages[depth])
    space.stage(tree.pathPages[depth - 1])
    const { view, base } = space
    const index = tree.pathIndexes[depth - 1]
    const count = nodeCount(view, base)
    if (count === 0) continue
    if (index === 0) {
      view.u32[(base >>> 2) + WORD_LEFTMOST] = branchChild(view, base, 1)
      removeSlot(space, 0, false)
    } else {
      removeSlot(space, index - 1, false)
    }
    return depth
  }
  // Nothing is left: the root is an empty leaf again.
  const { view, base } = space
  resetNode(view, base, 0)
  view.u32[(base >>> 2) + WORD_LEFTMOST] = 0
  space.markDirty(space.frame, 0, NODE_HEADER_END)
  return 1
}

/** Merges the node at `depth` with its right or left sibling if the content of both fits one page. */
function mergeWithSibling(tree: Tree, depth: number): boolean {
  const { space } = tree.context
  const page = tree.pathPages[depth]
  const parentPage = tree.pathPages[depth - 1]
  const index = tree.pathIndexes[depth - 1]
  space.locate(page)
  const level = nodeLevel(space.view, space.base)
  const used = nodeUsedBytes(space.view, space.base)
  space.locate(parentPage)
  const parent = space.view
  const parentBase = space.base
  const count = nodeCount(parent, parentBase)
  for (let side = 1; side >= 0; side--) {
    // Separator `separatorIndex` stands between the two.
    const separatorIndex = index - 1 + side
    if (separatorIndex < 0 || separatorIndex >= count) continue
    const sibling = branchChild(parent, parentBase, side === 1 ? index + 1 : index - 1)
    space.locate(sibling)
    checkNode(space.view, space.base, sibling, level)
    // A longer common prefix can make the two fit only by as much as this, so most attempts end here.
    if (used + nodeUsedBytes(space.view, space.base) > NODE_CAPACITY) continue
    const left = side === 1 ? page : sibling
    const right = side === 1 ? sibling : page
    if (left === right) failNode(parent, parentBase, 'two children are the same page')
    const merged =
      level === 0
        ? mergeLeaves(tree, left, right)
        : mergeBranches(tree, left, right, copyNodeKey(parent, parentBase, 4, separatorIndex, separator))
    if (!merged) continue
    tree.context.allocator.free(right)
    space.stage(parentPage)
    removeSlot(space, separatorIndex, false)
    return true
  }
  return false
}

const firstKey = new KeyBuffer().words
const lastKey = new KeyBuffer().words
const separator = new KeyBuffer().words

function mergeLeaves(tree: Tree, leftPage: number, rightPage: number): boolean {
  const { space } = tree.context
  space.locate(rightPage)
  const right = space.view
  const rightBase = space.base
  const rightCount = nodeCount(right, rightBase)
  space.locate(leftPage)
  const leftCount = nodeCount(space.view, space.base)
  if (leftCount === 0 || rightCount === 0) failNode(space.view, space.base, 'a leaf is empty')
  const firstLength = copyNodeKey(space.view, space.base, 0, 0, firstKey)
  const lastLength = copyNodeKey(right, rightBase, 0, rightCount - 1, lastKey)
  const prefix = commonBytes(firstKey, 0, firstLength, lastKey, 0, lastLength)
  const rightBytes = encodedBytes(right, rightBase, true, 0, rightCount, prefix)
  const bytes = encodedBytes(space.view, space.base, true, 0, leftCount, prefix) + rightBytes
  if (bytes > MERGE_LIMIT_BYTES || !fitsNode(bytes, prefix)) return false
  space.stage(leftPage)
  const { view, base } = space
  if (nodePrefixLength(view, base) !== prefix || nodeGap(view, base) < rightBytes) rebuildNode(space, 0, prefix)
  append(tree, right, rightBase, rightCount, 0)
  return true
}

/** Merges branches, with the separator between them (in `separator`) coming down. */
function mergeBranches(tree: Tree, leftPage: number, rightPage: number, separatorLength: number): boolean {
  const { space } = tree.context
  space.locate(rightPage)
  const right = space.view
  const rightBase = space.base
  const rightCount = nodeCount(right, rightBase)
  space.locate(leftPage)
  const leftCount = nodeCount(space.view, space.base)
  const first = leftCount === 0 ? separator : firstKey
  const firstLength = leftCount === 0 ? separatorLength : copyNodeKey(space.view, space.base, 4, 0, firstKey)
  const last = rightCount === 0 ? separator : lastKey
  const lastLength = rightCount === 0 ? separatorLength : copyNodeKey(right, rightBase, 4, rightCount - 1, lastKey)
  // With the separator alone, no prefix: one of the whole key would break at the next insert.
  let prefix = 0
  if (leftCount + rightCount > 0) prefix = commonBytes(first, 0, firstLength, last, 0, lastLength)
  if (prefix > separatorLength) failNode(space.view, space.base, 'separators are out of order')
  const rightBytes =
    encodedBytes(right, rightBase, false, 0, rightCount, prefix) +
    SLOT_BYTES +
    payloadBytes(4 + separatorLength - omittedBytes(prefix))
  const bytes = encodedBytes(space.view, space.base, false, 0, leftCount, prefix) + rightBytes
  if (bytes > MERGE_LIMIT_BYTES || !fitsNode(bytes, prefix)) return false
  space.stage(leftPage)
  const { view, base } = space
  if (leftCount === 0) {
    resetNode(view, base, nodeLevel(view, base))
    if (rightCount > 0) setPrefixFromEntry(view, base, prefix, right, rightBase, 4, 0)
    space.markDirty(space.frame, 0, PAGE_BYTES)
  } else if (nodePrefixLength(view, base) !== prefix || nodeGap(view, base) < rightBytes) {
    rebuildNode(space, 4, prefix)
  }
  placeBranchEntry(space, leftCount, separator, separatorLength, right.u32[(rightBase >>> 2) + WORD_LEFTMOST])
  append(tree, right, rightBase, rightCount, 4)
  return true
}

/** Appends all entries of another node to the staged one that the space points at, and marks what that edits. */
function append(tree: Tree, right: MemoryView, rightBase: number, rightCount: number, lead: number): void {
  const { space } = tree.context
  const { view, base, frame } = space
  const count = nodeCount(view, base)
  const heapStart = nodeHeapStart(view, base)
  appendEntries(right, rightBase, 0, rightCount, view, base, lead)
  space.markDirty(frame, 0, NODE_HEADER_END)
  space.markDirty(frame, SLOTS_OFFSET + SLOT_BYTES * count, SLOTS_OFFSET + SLOT_BYTES * (count + rightCount))
  space.markDirty(frame, nodeHeapStart(view, base), heapStart)
}

/** While the root is a branch with a single child, takes that child's content up into it. */
function lowerRoot(tree: Tree): void {
  const { space, allocator } = tree.context
  for (;;) {
    space.locate(tree.rootPage)
    const level = checkRoot(space.view, space.base, tree.rootPage)
    if (level === 0 || nodeCount(space.view, space.base) !== 0) return
    const childPage = branchChild(space.view, space.base, 0)
    space.locate(childPage)
    const child = space.view
    const childBase = space.base
    checkNode(child, childBase, childPage, level - 1)
    space.stage(tree.rootPage)
    const { view, base } = space
    const word = base >>> 2
    const entriesLo = view.u32[word + WORD_ENTRIES_LO]
    const entriesHi = view.u32[word + WORD_ENTRIES_HI]
    view.u8.set(child.u8.subarray(childBase + NODE_CONTENT_OFFSET, childBase + PAGE_BYTES), base + NODE_CONTENT_OFFSET)
    view.u32[word + WORD_ENTRIES_LO] = entriesLo
    view.u32[word + WORD_ENTRIES_HI] = entriesHi
    space.markDirty(space.frame, 0, PAGE_BYTES)
    allocator.free(childPage)
  }
}

/** Removing many entries at once: a range leaf by leaf, or everything. */
import type { KeyRange } from './key-range.js'
import { removeSlots } from './entries.js'
import { freeExtent } from './extent.js'
import { KeyBuffer, loadKey } from './key.js'
import {
  branchChild,
  checkNode,
  checkRoot,
  failNode,
  nodeCount,
  nodeLevel,
  NODE_HEADER_END,
  resetNode,
  slotPlace,
  WORD_LEFTMOST,
} from './node.js'
import { rebalance } from './remove.js'
import { searchNode } from './search.js'
import type { Tree } from './tree.js'

const NO_KEY = Buffer.alloc(0)
const lower = new KeyBuffer()
const upper = new KeyBuffer()

/** Removes the entries in a range; returns how many. The tree's entry count is left to the caller. */
export function deleteRange(tree: Tree, range: KeyRange): number {
  const { space } = tree.context
  // Without a lower bound: the empty key, included.
  const from = range.gt ?? range.gte ?? NO_KEY
  const to = range.lt ?? range.lte
  const lowerLength = loadKey(lower, from, from.length)
  const upperLength = to === undefined ? -1 : loadKey(upper, to, to.length)
  let removed = 0
  let leftPartial = false
  for (;;) {
    const found = tree.descend(lower.words, lowerLength, false)
    let first = found < 0 ? ~found : range.gt === undefined ? found : found + 1
    space.locate(tree.pathPages[tree.pathDepth])
    if (first >= nodeCount(space.view, space.base)) {
      if (!moveToNextLeaf(tree)) break
      first = 0
    }
    const count = nodeCount(space.view, space.base)
    let end = count
    if (upperLength >= 0) {
      const at = searchNode(space.view, space.base, tree.pathPages[tree.pathDepth], 0, upper.words, upperLength)
      end = at < 0 ? ~at : range.lt === undefined ? at + 1 : at
    }
    if (first >= end) break
    space.stage(tree.pathPages[tree.pathDepth])
    const { view, base, frame } = space
    for (let i = first; i < end; i++) freeExtent(tree, view, base, slotPlace(view, base, i))
    space.point(frame)
    removeSlots(space, first, end, true)
    removed += end - first
    // What is left of the first leaf would be merged with a leaf that goes next: it waits for the end.
    if (first > 0 && end === count) leftPartial = true
    else rebalance(tree, tree.pathDepth)
    if (end < count) break
  }
  if (leftPartial) {
    tree.descend(lower.words, lowerLength, false)
    rebalance(tree, tree.pathDepth)
  }
  return removed
}

/** Moves the path to the next leaf and locates it; false if there is none. */
function moveToNextLeaf(tree: Tree): boolean {
  const { space } = tree.context
  let depth = tree.pathDepth - 1
  for (; depth >= 0; depth--) {
    space.locate(tree.pathPages[depth])
    if (tree.pathIndexes[depth] < nodeCount(space.view, space.base)) break
  }
  if (depth < 0) return false
  let level = nodeLevel(space.view, space.base)
  let child = tree.pathIndexes[depth] + 1
  for (; level > 0; level--) {
    tree.pathIndexes[depth] = child
    const pageId = branchChild(space.view, space.base, child)
    space.locate(pageId)
    checkNode(space.view, space.base, pageId, level - 1)
    tree.pathPages[++depth] = pageId
    child = 0
  }
  tree.pathDepth = depth
  tree.pathIndexes[depth] = 0
  if (nodeCount(space.view, space.base) === 0) failNode(space.view, space.base, 'a leaf is empty')
  return true
}

/** Frees all pages but the root, which becomes an empty leaf. The entry count is left to the caller. */
export function clearTree(tree: Tree): void {
  const { space } = tree.context
  space.locate(tree.rootPage)
  const level = checkRoot(space.view, space.base, tree.rootPage)
  freeContent(tree, tree.rootPage, level)
  space.stage(tree.rootPage)
  resetNode(space.view, space.base, 0)
  space.view.u32[(space.base >>> 2) + WORD_LEFTMOST] = 0
  space.markDirty(space.frame, 0, NODE_HEADER_END)
}

/** Frees everything below a node. A damaged tree that leads back to itself ends in a double free, which throws. */
function freeContent(tree: Tree, pageId: number, level: number): void {
  const { space, allocator } = tree.context
  space.locate(pageId)
  const { view, base } = space
  checkNode(view, base, pageId, level)
  const count = nodeCount(view, base)
  if (level === 0) {
    for (let i = 0; i < count; i++) freeExtent(tree, view, base, slotPlace(view, base, i))
    return
  }
  for (let i = 0; i <= count; i++) {
    const child = branchChild(view, base, i)
    freeContent(tree, child, level - 1)
    allocator.free(child)
  }
}

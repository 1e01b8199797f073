/** Separators moving up the path: inserting into branches, splitting them, and raising the tree. */
import { PAGE_BYTES } from '../pmem/program.js'
import {
  appendEntries,
  encodedBytes,
  fitsNode,
  placeBranchEntry,
  rebuildNode,
  setPrefixFromEntry,
  setPrefixFromKey,
  sharedPrefix,
  shortenPrefix,
  truncateNode,
} from './entries.js'
import { copyKeyWords, KeyBuffer } from './key.js'
import {
  branchChild,
  checkNode,
  failNode,
  initNode,
  MAX_LEVELS,
  nodeCount,
  nodeDeadBytes,
  nodeGap,
  nodeLevel,
  nodePrefixLength,
  NODE_CAPACITY,
  NODE_CONTENT_OFFSET,
  NODE_HEADER_END,
  omittedBytes,
  payloadBytes,
  placeSuffixLength,
  prefixBytes,
  resetNode,
  SLOT_BYTES,
  slotPlace,
  WORD_ENTRIES_HI,
  WORD_ENTRIES_LO,
  WORD_LEFTMOST,
} from './node.js'
import { commonOfEntries, commonWithEntry, commonWithPrefix, copyNodeKey } from './search.js'
import type { Tree } from './tree.js'

/** Payloads of a branch start with the child. */
const LEAD = 4

/**
 * Moves the content of the root to a fresh page, its only child from now on: the root keeps its page id when the tree
 * grows. The path is lengthened by it.
 */
export function pushDown(tree: Tree): void {
  const { space, allocator } = tree.context
  const childPage = allocator.allocate()
  const child = space.view
  const childBase = space.base
  space.stage(tree.rootPage)
  const { view, base } = space
  const level = nodeLevel(view, base)
  if (level + 1 >= MAX_LEVELS) failNode(view, base, `a tree of ${MAX_LEVELS} levels cannot grow`)
  child.u8.set(view.u8.subarray(base + NODE_CONTENT_OFFSET, base + PAGE_BYTES), childBase + NODE_CONTENT_OFFSET)
  child.u32[(childBase >>> 2) + WORD_ENTRIES_LO] = 0
  child.u32[(childBase >>> 2) + WORD_ENTRIES_HI] = 0
  resetNode(view, base, level + 1)
  view.u32[(base >>> 2) + WORD_LEFTMOST] = childPage
  space.markDirty(space.frame, 0, NODE_HEADER_END)

  for (let depth = tree.pathDepth; depth >= 0; depth--) {
    tree.pathPages[depth + 1] = tree.pathPages[depth]
    tree.pathIndexes[depth + 1] = tree.pathIndexes[depth]
  }
  tree.pathPages[0] = tree.rootPage
  tree.pathPages[1] = childPage
  tree.pathIndexes[0] = 0
  tree.pathDepth++
}

/** Two, because a branch that splits hands a key up while it still needs the one it was handed. */
const keys = [new KeyBuffer().words, new KeyBuffer().words]

/**
 * Inserts a separator and the page right of it next to the child that the path takes at `depth`, splitting branches
 * upwards as far as needed. `side` is 1 in an ascending run and -1 in a descending one.
 */
export function insertSeparator(
  tree: Tree,
  depth: number,
  key: Int32Array,
  keyLength: number,
  childPage: number,
  side: number,
): void {
  const { space } = tree.context
  let turn = 0
  for (;;) {
    space.stage(tree.pathPages[depth])
    const { view, base } = space
    const index = tree.pathIndexes[depth]
    const shared = commonWithPrefix(view, base, key, keyLength)
    const count = nodeCount(view, base)
    if (shared < nodePrefixLength(view, base)) shortenPrefix(space, LEAD, shared)
    const prefixLength = nodePrefixLength(view, base)
    if (index > count || (shared < prefixLength && index !== 0 && index !== count)) {
      failNode(view, base, 'separators are out of order')
    }
    const size = SLOT_BYTES + payloadBytes(LEAD + keyLength - omittedBytes(prefixLength))
    const gap = nodeGap(view, base)
    if (shared === prefixLength && gap >= size) {
      placeBranchEntry(space, index, key, keyLength, childPage)
      return
    }
    if (shared < prefixLength || gap + nodeDeadBytes(view, base) >= size) {
      const prefix = shared < prefixLength ? shared : sharedPrefix(view, base, LEAD, 0, count, index, key, keyLength)
      const bytes = encodedBytes(view, base, false, 0, count, prefix)
      const fits = fitsNode(bytes + SLOT_BYTES + payloadBytes(LEAD + keyLength - omittedBytes(prefix)), prefix)
      if (fits || shared === prefixLength) {
        rebuildNode(space, LEAD, fits ? prefix : prefixLength)
        placeBranchEntry(space, index, key, keyLength, childPage)
        return
      }
    }
    if (depth === 0) {
      pushDown(tree)
      depth = 1
    }
    const up = keys[turn]
    const upLength = splitBranch(tree, depth, key, keyLength, childPage, shared, side, up)
    key = up
    keyLength = upLength
    childPage = splitPage
    turn ^= 1
    depth--
  }
}

/** The page that splitBranch made. */
let splitPage = 0

/**
 * Splits the branch at `depth`, inserting a separator on the way, and copies the separator that moves up to `up`;
 * returns its length. The entries are seen as one sequence with the new one at its index; entry `middle` moves up.
 */
function splitBranch(
  tree: Tree,
  depth: number,
  key: Int32Array,
  keyLength: number,
  childPage: number,
  shared: number,
  side: number,
  up: Int32Array,
): number {
  const { space, allocator } = tree.context
  const rightPage = allocator.allocate()
  const right = space.view
  const rightBase = space.base
  const rightFrame = space.frame
  const page = tree.pathPages[depth]
  space.stage(page)
  const { view, base, frame } = space
  const level = nodeLevel(view, base)
  checkNode(view, base, page, level)
  const index = tree.pathIndexes[depth]
  const count = nodeCount(view, base)
  if (count < 2) failNode(view, base, 'the branch cannot be split')
  const prefixLength = nodePrefixLength(view, base)
  const breaks = shared < prefixLength
  let middle: number
  if (index === 0 && (breaks || side < 0)) middle = 1
  else if (index === count && (breaks || side > 0)) middle = count - 1
  else
    middle = chooseMiddle(tree, page, index, SLOT_BYTES + payloadBytes(LEAD + keyLength - omittedBytes(prefixLength)))

  initNode(right, rightBase, level, tree.keyspaceId)
  // Old entries [0, keep) stay, [from, count) go right.
  let keep = middle
  let from = middle
  let upLength = keyLength
  let leftmost = childPage
  if (middle === index) {
    copyKeyWords(key, 0, up, 0, keyLength)
  } else {
    const old = middle < index ? middle : middle - 1
    keep = old
    from = old + 1
    upLength = copyNodeKey(view, base, LEAD, old, up)
    leftmost = branchChild(view, base, old + 1)
  }
  right.u32[(rightBase >>> 2) + WORD_LEFTMOST] = leftmost
  const goesRight = middle < index
  if (from === count) {
    // Only the new separator: those to come will share with it about what it shares with those before.
    if (goesRight) setPrefixFromKey(right, rightBase, key, commonWithEntry(view, base, LEAD, 0, key, keyLength))
  } else {
    let prefix = prefixLength
    if (count - from + (goesRight ? 1 : 0) > 1) {
      prefix = goesRight
        ? sharedPrefix(view, base, LEAD, from, count, index, key, keyLength)
        : commonOfEntries(view, base, LEAD, from, count - 1)
      let bytes = encodedBytes(view, base, false, from, count, prefix)
      if (goesRight) bytes += SLOT_BYTES + payloadBytes(LEAD + keyLength - omittedBytes(prefix))
      if (!fitsNode(bytes, prefix)) prefix = prefixLength
    }
    setPrefixFromEntry(right, rightBase, prefix, view, base, LEAD, from)
    appendEntries(view, base, from, count, right, rightBase, LEAD)
  }
  space.point(frame)
  truncateNode(space, keep, false)
  if (goesRight) {
    space.point(rightFrame)
    placeBranchEntry(space, index - from, key, keyLength, childPage)
  } else if (middle > index) {
    placeInLeft(tree, index, key, keyLength, childPage)
  }
  splitPage = rightPage
  return upLength
}

/** Places a separator in the left half that `space` points at: room there is, though perhaps as dead bytes. */
function placeInLeft(tree: Tree, index: number, key: Int32Array, keyLength: number, childPage: number): void {
  const { space } = tree.context
  const { view, base } = space
  const prefixLength = nodePrefixLength(view, base)
  if (nodeGap(view, base) < SLOT_BYTES + payloadBytes(LEAD + keyLength - omittedBytes(prefixLength))) {
    rebuildNode(space, LEAD, prefixLength)
  }
  placeBranchEntry(space, index, key, keyLength, childPage)
}

/** Which of the entries, with a new one of `newBytes` at `index`, moves up: both halves keep at least one. */
function chooseMiddle(tree: Tree, page: number, index: number, newBytes: number): number {
  const { space } = tree.context
  space.locate(page)
  const { view, base } = space
  const count = nodeCount(view, base)
  const prefixLength = nodePrefixLength(view, base)
  const capacity = NODE_CAPACITY - prefixBytes(prefixLength)
  const total = encodedBytes(view, base, false, 0, count, prefixLength) + newBytes
  let left = 0
  let best = -1
  let bestDifference = Infinity
  for (let middle = 0; middle < count; middle++) {
    const bytes =
      middle === index
        ? newBytes
        : SLOT_BYTES +
          payloadBytes(LEAD + placeSuffixLength(slotPlace(view, base, middle < index ? middle : middle - 1)))
    const rest = total - left - bytes
    const difference = Math.abs(rest - left)
    if (middle > 0 && difference < bestDifference && left <= capacity && rest <= capacity) {
      best = middle
      bestDifference = difference
    }
    left += bytes
  }
  if (best < 0) failNode(view, base, 'the separators exceed two pages')
  return best
}

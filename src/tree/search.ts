/** Search inside one node, and the keys of entries, which are split into prefix and suffix. Hot: no allocation. */
import type { MemoryView } from '../pmem/memory-view.js'
import { PAGE_BYTES } from '../pmem/program.js'
import { commonBytes, compareWords, copyKeyWords, copyWords, headOf, MAX_KEY_BYTES } from './key.js'
import {
  checkPlace,
  failHeader,
  failNode,
  failPage,
  isSoundHeap,
  nodePrefixLength,
  nodePrefixOffset,
  omittedBytes,
  placeOffset,
  placeSuffixLength,
  shapeOfLevel,
  slotPlace,
  SLOTS_WORD,
  WORD_DEAD,
  WORD_HEAP,
  WORD_PAGE_ID,
  WORD_SHAPE,
} from './node.js'

/**
 * Checks the header of a node just located, like `checkNode`, and finds a key in it: its index, or ~index of the first
 * entry above it.
 */
/** Where the prefetching loads of `touchSlots` end, so that they are not optimized away. */
const touched = new Int32Array(1)

/** Loads the lines of a leaf's slots all at once: the misses overlap. */
export function touchSlots(view: MemoryView, base: number): void {
  const { i32 } = view
  const word = base >>> 2
  touched[0] = i32[word] ^ i32[word + 16] ^ i32[word + 32] ^ i32[word + 48] ^ i32[word + 64] ^ i32[word + 80]
}

export function searchNode(
  view: MemoryView,
  base: number,
  pageId: number,
  level: number,
  key: Int32Array,
  keyLength: number,
): number {
  const { i32 } = view
  const word = base >>> 2
  const shape = i32[word + WORD_SHAPE]
  const heap = i32[word + WORD_HEAP]
  const dead = i32[word + WORD_DEAD]
  const count = shape >>> 16
  if (
    (shape & 0xffff) !== shapeOfLevel(level) ||
    i32[word + WORD_PAGE_ID] !== (pageId | 0) ||
    !isSoundHeap(count, heap, dead)
  ) {
    failHeader(view, base, pageId, level)
  }
  const prefixLength = heap & 0xffff
  if (prefixLength !== 0) {
    const prefixWord = word + ((dead & 0xffff) >>> 2)
    const prefixWords = prefixLength >>> 2
    if (keyLength < prefixLength) {
      return compareWords(key, 0, keyLength, i32, prefixWord, prefixLength) < 0 ? ~0 : ~count
    }
    for (let i = 0; i < prefixWords; i++) {
      if (key[i] !== i32[prefixWord + i]) {
        return compareWords(key, i, 4, i32, prefixWord + i, 4) < 0 ? ~0 : ~count
      }
    }
    if ((prefixLength & 3) !== 0) {
      const order = compareWords(key, prefixWords, prefixLength & 3, i32, prefixWord + prefixWords, prefixLength & 3)
      if (order !== 0) return order < 0 ? ~0 : ~count
    }
  }
  const head = headOf(key, prefixLength, keyLength)
  const slots = word + SLOTS_WORD
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    const slot = slots + (middle << 1)
    const probe = i32[slot]
    if (probe < head) {
      low = middle + 1
    } else if (probe > head) {
      high = middle
    } else {
      const order = compareTail(i32, word, i32[slot + 1], level, key, prefixLength, keyLength)
      if (order === 0) return middle
      if (order < 0) low = middle + 1
      else high = middle
    }
  }
  return ~low
}

/** Orders an entry against a key with the same head. */
function compareTail(
  i32: Int32Array,
  word: number,
  place: number,
  level: number,
  key: Int32Array,
  prefixLength: number,
  keyLength: number,
): number {
  const suffixLength = (place >>> 10) & 2047
  const rest = keyLength - omittedBytes(prefixLength)
  // Equal heads: the four bytes behind the prefix agree, or one key ends within them and only the lengths decide.
  const known = 4 + (prefixLength & 3)
  if (suffixLength <= known || rest <= known) return suffixLength - rest
  const suffixWord = (place & 1023) + (level === 0 ? 1 : 2)
  if ((suffixWord << 2) + suffixLength > PAGE_BYTES + 4) {
    failPage(i32[word + WORD_PAGE_ID] >>> 0, 'an entry lies outside the page')
  }
  return compareWords(i32, word + suffixWord, suffixLength - 4, key, (prefixLength >>> 2) + 1, rest - 4)
}

/** Copies the whole key of an entry (prefix and suffix) to a key buffer; returns its length. */
export function copyNodeKey(view: MemoryView, base: number, lead: number, index: number, target: Int32Array): number {
  const { i32 } = view
  const omitted = omittedBytes(nodePrefixLength(view, base))
  const place = slotPlace(view, base, index)
  checkPlace(view, base, place, lead === 0)
  const suffixLength = placeSuffixLength(place)
  if (omitted + suffixLength > MAX_KEY_BYTES) failNode(view, base, 'a key is too long')
  copyWords(i32, (base + nodePrefixOffset(view, base)) >>> 2, target, 0, omitted >>> 2)
  copyKeyWords(i32, (base + placeOffset(place) + lead) >>> 2, target, omitted >>> 2, suffixLength)
  return omitted + suffixLength
}

/** Length of the common prefix of a whole key and the key of an entry. */
export function commonWithEntry(
  view: MemoryView,
  base: number,
  lead: number,
  index: number,
  key: Int32Array,
  keyLength: number,
): number {
  const prefixLength = nodePrefixLength(view, base)
  const shared = commonWithPrefix(view, base, key, keyLength)
  if (shared < prefixLength) return shared
  const place = slotPlace(view, base, index)
  checkPlace(view, base, place, lead === 0)
  const at = (base + placeOffset(place) + lead) >>> 2
  const omitted = omittedBytes(prefixLength)
  return omitted + commonBytes(view.i32, at, placeSuffixLength(place), key, omitted >>> 2, keyLength - omitted)
}

/** Length of the common prefix of a whole key and the node's prefix. */
export function commonWithPrefix(view: MemoryView, base: number, key: Int32Array, keyLength: number): number {
  const at = (base + nodePrefixOffset(view, base)) >>> 2
  return commonBytes(view.i32, at, nodePrefixLength(view, base), key, 0, keyLength)
}

/** Length of the common prefix of the keys of two entries of one node. */
export function commonOfEntries(view: MemoryView, base: number, lead: number, first: number, last: number): number {
  const a = slotPlace(view, base, first)
  const b = slotPlace(view, base, last)
  checkPlace(view, base, a, lead === 0)
  checkPlace(view, base, b, lead === 0)
  const aWord = (base + placeOffset(a) + lead) >>> 2
  const bWord = (base + placeOffset(b) + lead) >>> 2
  return (
    omittedBytes(nodePrefixLength(view, base)) +
    commonBytes(view.i32, aWord, placeSuffixLength(a), view.i32, bWord, placeSuffixLength(b))
  )
}

/** Search inside one node, and comparisons of keys that are split into prefix and suffix. Hot: no allocation. */
import type { MemoryView } from '../pmem/memory-view.js'
import { PAGE_BYTES } from '../pmem/program.js'
import {
  checkPlace,
  failNode,
  MAX_KEY_BYTES,
  nodePrefixLength,
  nodePrefixOffset,
  placeOffset,
  placeSuffixLength,
  slotPlace,
  SLOTS_WORD,
  WORD_DEAD,
  WORD_HEAP,
  WORD_SHAPE,
} from './node.js'

/** Head of the bytes [from, end): four bytes, zero padded, big-endian, sign flipped. */
export function headOf(bytes: Buffer, from: number, end: number): number {
  const left = end - from
  if (left >= 4) {
    return ((bytes[from] << 24) | (bytes[from + 1] << 16) | (bytes[from + 2] << 8) | bytes[from + 3]) ^ -0x8000_0000
  }
  let head = 0
  if (left > 0) head = bytes[from] << 24
  if (left > 1) head |= bytes[from + 1] << 16
  if (left > 2) head |= bytes[from + 2] << 8
  return head ^ -0x8000_0000
}

/**
 * Finds a key in a node whose header has been checked: its index, or ~index of the first entry above it.
 * `lead` is 4 in a branch (payloads start with the child) and 0 in a leaf.
 */
export function search(view: MemoryView, base: number, lead: number, key: Buffer, keyLength: number): number {
  const word = base >>> 2
  const { i32, u8 } = view
  const count = i32[word + WORD_SHAPE] >>> 16
  const prefixLength = i32[word + WORD_HEAP] & 0xffff
  if (prefixLength !== 0) {
    const at = base + (i32[word + WORD_DEAD] & 0xffff)
    const shared = prefixLength < keyLength ? prefixLength : keyLength
    for (let i = 0; i < shared; i++) {
      const difference = key[i] - u8[at + i]
      if (difference !== 0) return difference < 0 ? ~0 : ~count
    }
    if (keyLength < prefixLength) return ~0
  }
  const head = headOf(key, prefixLength, keyLength)
  const slots = word + SLOTS_WORD
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    const probe = i32[slots + 2 * middle]
    if (probe < head) {
      low = middle + 1
    } else if (probe > head) {
      high = middle
    } else {
      const place = i32[slots + 2 * middle + 1]
      const suffixLength = (place >>> 10) & 2047
      const offset = ((place & 1023) << 2) + lead
      if (offset + suffixLength > PAGE_BYTES) failNode(view, base, 'an entry lies outside the page')
      const order = compareTails(u8, base + offset, suffixLength, key, prefixLength, keyLength)
      if (order === 0) return middle
      if (order < 0) low = middle + 1
      else high = middle
    }
  }
  return ~low
}

/** Orders a suffix in a page against the rest of a key, their heads being equal. */
function compareTails(
  u8: Buffer,
  at: number,
  suffixLength: number,
  key: Buffer,
  from: number,
  keyLength: number,
): number {
  const rest = keyLength - from
  const shared = suffixLength < rest ? suffixLength : rest
  // Equal heads: the first four bytes agree, or one of the two ends within them and only the lengths decide.
  if (shared > LONG_COMPARE) {
    const order = u8.compare(key, from + 4, from + shared, at + 4, at + shared)
    return order !== 0 ? order : suffixLength - rest
  }
  for (let i = 4; i < shared; i++) {
    const difference = u8[at + i] - key[from + i]
    if (difference !== 0) return difference
  }
  return suffixLength - rest
}

/** From here on the native compare beats the loop in spite of its call. */
const LONG_COMPARE = 128

/** Copies the whole key of an entry (prefix and suffix) to a buffer; returns its length. */
export function copyNodeKey(
  view: MemoryView,
  base: number,
  lead: number,
  index: number,
  target: Buffer,
  targetOffset: number,
): number {
  const { u8 } = view
  const prefixLength = nodePrefixLength(view, base)
  const place = slotPlace(view, base, index)
  checkPlace(view, base, place, lead === 0)
  const suffixLength = placeSuffixLength(place)
  if (prefixLength + suffixLength > MAX_KEY_BYTES) failNode(view, base, 'a key is too long')
  copyBytes(u8, base + nodePrefixOffset(view, base), target, targetOffset, prefixLength)
  copyBytes(u8, base + placeOffset(place) + lead, target, targetOffset + prefixLength, suffixLength)
  return prefixLength + suffixLength
}

/** Copies bytes between buffers: a loop while that is cheaper than the call. */
export function copyBytes(source: Buffer, from: number, target: Buffer, to: number, length: number): void {
  if (length > 48) {
    target.set(source.subarray(from, from + length), to)
    return
  }
  for (let i = 0; i < length; i++) target[to + i] = source[from + i]
}

/** Length of the common prefix of two stretches of bytes. */
export function commonLength(
  a: Buffer,
  aFrom: number,
  aLength: number,
  b: Buffer,
  bFrom: number,
  bLength: number,
): number {
  const end = aLength < bLength ? aLength : bLength
  let i = 0
  while (i < end && a[aFrom + i] === b[bFrom + i]) i++
  return i
}

/** Length of the common prefix of a whole key and the key of an entry. */
export function commonWithEntry(
  view: MemoryView,
  base: number,
  lead: number,
  index: number,
  key: Buffer,
  keyLength: number,
): number {
  const shared = commonWithPrefix(view, base, key, keyLength)
  const prefixLength = nodePrefixLength(view, base)
  if (shared < prefixLength) return shared
  const place = slotPlace(view, base, index)
  checkPlace(view, base, place, lead === 0)
  const at = base + placeOffset(place) + lead
  return shared + commonLength(view.u8, at, placeSuffixLength(place), key, shared, keyLength - shared)
}

/** Length of the common prefix of a whole key and the node's prefix. */
export function commonWithPrefix(view: MemoryView, base: number, key: Buffer, keyLength: number): number {
  const at = base + nodePrefixOffset(view, base)
  return commonLength(view.u8, at, nodePrefixLength(view, base), key, 0, keyLength)
}

/** Length of the common prefix of the keys of two entries of one node. */
export function commonOfEntries(view: MemoryView, base: number, lead: number, first: number, last: number): number {
  const a = slotPlace(view, base, first)
  const b = slotPlace(view, base, last)
  checkPlace(view, base, a, lead === 0)
  checkPlace(view, base, b, lead === 0)
  return (
    nodePrefixLength(view, base) +
    commonLength(
      view.u8,
      base + placeOffset(a) + lead,
      placeSuffixLength(a),
      view.u8,
      base + placeOffset(b) + lead,
      placeSuffixLength(b),
    )
  )
}

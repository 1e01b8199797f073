/** Editing the entries of one node: placing, removing, copying to another node, re-encoding under another prefix. */
import { MemoryView } from '../pmem/memory-view.js'
import { PAGE_BYTES } from '../pmem/program.js'
import type { PageSpace } from '../tx/page-space.js'
import { copyKeyWords, copyWords, headOf } from './key.js'
import {
  checkPlace,
  failNode,
  NODE_PREFIX_BYTES,
  NODE_PREFIX_OFFSET,
  makePlace,
  nodeCount,
  nodeDeadBytes,
  nodeHeapStart,
  nodeLevel,
  nodePrefixLength,
  nodePrefixOffset,
  NODE_CAPACITY,
  NODE_HEADER_END,
  omittedBytes,
  payloadBytes,
  placeLength,
  placeOffset,
  placeSuffixLength,
  prefixBytes,
  resetNode,
  runLength,
  setCount,
  setDeadBytes,
  setHeapStart,
  setRun,
  SLOTS_OFFSET,
  SLOTS_WORD,
  SLOT_BYTES,
  slotPlace,
  WORD_DEAD,
  WORD_HEAP,
  WORD_RUN,
} from './node.js'
import { commonOfEntries, commonWithEntry } from './search.js'

/** A copy of a node that is being rewritten. One is enough: nothing here calls back. */
const scratch = new MemoryView(new ArrayBuffer(PAGE_BYTES))

/** Makes room for slot `index`, moving the later ones up; the count is raised. */
function openSlot(view: MemoryView, base: number, index: number, count: number): void {
  const { i32 } = view
  const from = (base >>> 2) + SLOTS_WORD + 2 * index
  const end = (base >>> 2) + SLOTS_WORD + 2 * count
  if (count - index > SLOT_LOOP) i32.copyWithin(from + 2, from, end)
  else for (let word = end - 1; word >= from; word--) i32[word + 2] = i32[word]
  setCount(view, base, count + 1)
}

/** Up to this many slots a loop beats copyWithin. */
const SLOT_LOOP = 12

/** Takes heap bytes for a payload in front of the heap. */
function takeHeap(view: MemoryView, base: number, size: number, count: number): number {
  const offset = nodeHeapStart(view, base) - size
  if (offset < SLOTS_OFFSET + SLOT_BYTES * count) failNode(view, base, 'the entries exceed the page')
  setHeapStart(view, base, offset)
  return offset
}

/**
 * Places an entry in the staged leaf that `space` points at; it must fit the gap and share the node's prefix.
 * `valueField` is the value's length, or VALUE_IN_EXTENT when `value` is a descriptor.
 */
export function placeLeafEntry(
  space: PageSpace,
  index: number,
  key: Int32Array,
  keyLength: number,
  value: Uint8Array,
  byteLength: number,
  valueField: number,
): void {
  const { view, base } = space
  const count = nodeCount(view, base)
  const prefixLength = nodePrefixLength(view, base)
  const omitted = omittedBytes(prefixLength)
  const suffixLength = keyLength - omitted
  const size = payloadBytes(suffixLength + byteLength)
  const offset = takeHeap(view, base, size, count + 1)
  copyKeyWords(key, omitted >>> 2, view.i32, (base + offset) >>> 2, suffixLength)
  copyValue(value, byteLength, view.u8, base + offset + suffixLength)
  openSlot(view, base, index, count)
  const slot = (base >>> 2) + SLOTS_WORD + 2 * index
  view.i32[slot] = headOf(key, prefixLength, keyLength)
  view.i32[slot + 1] = makePlace(offset, suffixLength, valueField)
  setRun(view, base, index, runLength(view, base, index))
  markPlaced(space, index, count + 1, offset, size)
}

/** Places a separator and the child right of it in the staged branch that `space` points at. */
export function placeBranchEntry(
  space: PageSpace,
  index: number,
  key: Int32Array,
  keyLength: number,
  child: number,
): void {
  const { view, base } = space
  const count = nodeCount(view, base)
  const prefixLength = nodePrefixLength(view, base)
  const omitted = omittedBytes(prefixLength)
  const suffixLength = keyLength - omitted
  const size = payloadBytes(4 + suffixLength)
  const offset = takeHeap(view, base, size, count + 1)
  view.u32[(base + offset) >>> 2] = child
  copyKeyWords(key, omitted >>> 2, view.i32, (base + offset + 4) >>> 2, suffixLength)
  openSlot(view, base, index, count)
  const slot = (base >>> 2) + SLOTS_WORD + 2 * index
  view.i32[slot] = headOf(key, prefixLength, keyLength)
  view.i32[slot + 1] = makePlace(offset, suffixLength, 0)
  markPlaced(space, index, count + 1, offset, size)
}

function markPlaced(space: PageSpace, index: number, count: number, offset: number, size: number): void {
  // Header and slots lie at the front and usually close together, but an append at the end must not dirty all between.
  space.markDirty(space.frame, 0, NODE_HEADER_END)
  space.markDirty(space.frame, SLOTS_OFFSET + SLOT_BYTES * index, SLOTS_OFFSET + SLOT_BYTES * count)
  space.markDirty(space.frame, offset, offset + size)
}

/** Copies a value into a page. */
export function copyValue(value: Uint8Array, length: number, target: Buffer, to: number): void {
  if (length <= 16) for (let i = 0; i < length; i++) target[to + i] = value[i]
  else target.set(value.length === length ? value : value.subarray(0, length), to)
}

/** Removes slot `index` of the staged node that `space` points at; its payload becomes dead or free. */
export function removeSlot(space: PageSpace, index: number, isLeaf: boolean): void {
  const { view, base } = space
  const count = nodeCount(view, base)
  if (count === 1) {
    resetNode(view, base, nodeLevel(view, base))
    space.markDirty(space.frame, 0, NODE_HEADER_END)
    return
  }
  freePayload(view, base, slotPlace(view, base, index), isLeaf)
  const { i32 } = view
  const from = (base >>> 2) + SLOTS_WORD + 2 * index
  const end = (base >>> 2) + SLOTS_WORD + 2 * count
  if (count - index > SLOT_LOOP) i32.copyWithin(from, from + 2, end)
  else for (let word = from + 2; word < end; word++) i32[word - 2] = i32[word]
  setCount(view, base, count - 1)
  space.markDirty(space.frame, 0, NODE_HEADER_END)
  space.markDirty(space.frame, SLOTS_OFFSET + SLOT_BYTES * index, SLOTS_OFFSET + SLOT_BYTES * (count - 1))
}

/** Gives the heap bytes of a payload back: at once at the front of the heap, else at the next rewrite. */
export function freePayload(view: MemoryView, base: number, place: number, isLeaf: boolean): void {
  checkPlace(view, base, place, isLeaf)
  const size = payloadBytes(placeLength(place, isLeaf))
  const heapStart = nodeHeapStart(view, base)
  if (placeOffset(place) === heapStart) setHeapStart(view, base, heapStart + size)
  else addDead(view, base, size)
}

/** Raises the count of dead bytes. */
export function addDead(view: MemoryView, base: number, size: number): void {
  const dead = nodeDeadBytes(view, base) + size
  if (dead > PAGE_BYTES - nodeHeapStart(view, base)) failNode(view, base, 'more bytes are dead than the heap has')
  setDeadBytes(view, base, dead)
}

/** Removes the slots [from, to) of the staged node that `space` points at. */
export function removeSlots(space: PageSpace, from: number, to: number, isLeaf: boolean): void {
  const { view, base } = space
  const count = nodeCount(view, base)
  space.markDirty(space.frame, 0, NODE_HEADER_END)
  if (from === 0 && to === count) {
    resetNode(view, base, nodeLevel(view, base))
    return
  }
  for (let i = from; i < to; i++) freePayload(view, base, slotPlace(view, base, i), isLeaf)
  const slots = (base >>> 2) + SLOTS_WORD
  view.i32.copyWithin(slots + 2 * from, slots + 2 * to, slots + 2 * count)
  setCount(view, base, count - (to - from))
  space.markDirty(space.frame, SLOTS_OFFSET + SLOT_BYTES * from, SLOTS_OFFSET + SLOT_BYTES * (count - (to - from)))
}

/** Bytes that the entries [from, to) take, slots included, under a prefix of the given length. */
export function encodedBytes(
  view: MemoryView,
  base: number,
  isLeaf: boolean,
  from: number,
  to: number,
  prefixLength: number,
): number {
  const delta = omittedBytes(prefixLength) - omittedBytes(nodePrefixLength(view, base))
  let bytes = SLOT_BYTES * (to - from)
  for (let i = from; i < to; i++) bytes += payloadBytes(placeLength(slotPlace(view, base, i), isLeaf) - delta)
  return bytes
}

/** Sets the prefix of an empty node to the first `length` bytes of a key. */
export function setPrefixFromKey(view: MemoryView, base: number, key: Int32Array, length: number): void {
  copyKeyWords(key, 0, view.i32, openPrefix(view, base, length), length)
}

/** Sets the prefix of an empty node to the first `length` bytes of an entry of another node. */
export function setPrefixFromEntry(
  view: MemoryView,
  base: number,
  length: number,
  source: MemoryView,
  sourceBase: number,
  lead: number,
  index: number,
): void {
  if (length === 0) return
  const word = openPrefix(view, base, length)
  const omitted = omittedBytes(nodePrefixLength(source, sourceBase))
  const shared = omitted < length ? omitted : length
  copyKeyWords(source.i32, (sourceBase + nodePrefixOffset(source, sourceBase)) >>> 2, view.i32, word, shared)
  if (length === shared) return
  const place = slotPlace(source, sourceBase, index)
  checkPlace(source, sourceBase, place, lead === 0)
  if (placeSuffixLength(place) < length - shared) failNode(source, sourceBase, 'a suffix is too short')
  const from = (sourceBase + placeOffset(place) + lead) >>> 2
  copyKeyWords(source.i32, from, view.i32, word + (shared >>> 2), length - shared)
}

/** Takes room for a prefix in the header or at the end of an empty node; returns its first word in the view. */
function openPrefix(view: MemoryView, base: number, length: number): number {
  const heapStart = PAGE_BYTES - prefixBytes(length)
  if (heapStart < SLOTS_OFFSET) failNode(view, base, 'the prefix exceeds the page')
  const offset = length === 0 ? 0 : length <= NODE_PREFIX_BYTES ? NODE_PREFIX_OFFSET : heapStart
  const word = base >>> 2
  view.i32[word + WORD_HEAP] = length | (heapStart << 16)
  view.i32[word + WORD_DEAD] = offset
  return word + (offset >>> 2)
}

/**
 * Appends the entries [from, to) of one node to another one whose prefix is already set (longer or shorter than the
 * source's, but shared by every entry copied). Marks nothing.
 */
export function appendEntries(
  source: MemoryView,
  sourceBase: number,
  from: number,
  to: number,
  target: MemoryView,
  targetBase: number,
  lead: number,
): void {
  const isLeaf = lead === 0
  const leadWords = lead >>> 2
  const a = source.i32
  const b = target.i32
  const sourceWord = sourceBase >>> 2
  const targetWord = targetBase >>> 2
  const targetPrefix = nodePrefixLength(target, targetBase)
  const sourcePrefix = nodePrefixLength(source, sourceBase)
  const delta = omittedBytes(targetPrefix) - omittedBytes(sourcePrefix)
  const deltaWords = delta >> 2
  const prefixEnd = (sourceBase + nodePrefixOffset(source, sourceBase) + omittedBytes(sourcePrefix)) >>> 2
  const count = nodeCount(target, targetBase)
  const slots = targetWord + SLOTS_WORD + 2 * (count - from)
  const sourceSlots = sourceWord + SLOTS_WORD
  const floor = SLOTS_OFFSET + SLOT_BYTES * (count + to - from)
  let heap = nodeHeapStart(target, targetBase)
  for (let i = from; i < to; i++) {
    const place = a[sourceSlots + 2 * i + 1]
    const offset = placeOffset(place)
    const length = placeLength(place, isLeaf)
    const suffixLength = placeSuffixLength(place) - delta
    if (offset < SLOTS_OFFSET || offset + length > PAGE_BYTES || suffixLength < 0) {
      failNode(source, sourceBase, 'an entry lies outside the heap')
    }
    const size = payloadBytes(length - delta)
    heap -= size
    if (heap < floor) failNode(source, sourceBase, 'the entries exceed a page')
    const slot = slots + 2 * i
    const fromWord = sourceWord + (offset >>> 2)
    const toWord = targetWord + (heap >>> 2)
    const at = toWord + leadWords
    if (delta === 0) {
      copyWords(a, fromWord, b, toWord, size >>> 2)
    } else {
      if (!isLeaf) b[toWord] = a[fromWord]
      const rest = fromWord + leadWords
      const words = (length - lead + 3) >>> 2
      if (delta > 0) {
        // A longer prefix: it is taken off the suffixes.
        copyWords(a, rest + deltaWords, b, at, words - deltaWords)
      } else {
        // A shorter prefix: what it has lost goes to each suffix.
        copyWords(a, prefixEnd + deltaWords, b, at, -deltaWords)
        copyWords(a, rest, b, at - deltaWords, words)
      }
    }
    b[slot] =
      targetPrefix === sourcePrefix
        ? a[sourceSlots + 2 * i]
        : headOf(b, (at << 2) + (targetPrefix & 3), (at << 2) + suffixLength)
    b[slot + 1] = makePlace(heap, suffixLength, place >>> 21)
  }
  setHeapStart(target, targetBase, heap)
  setCount(target, targetBase, count + to - from)
}

/** Rewrites the staged node that `space` points at under a prefix of the given length, without dead bytes. */
export function rebuildNode(space: PageSpace, lead: number, prefixLength: number): void {
  const { view, base } = space
  const count = nodeCount(view, base)
  scratch.u8.set(view.u8.subarray(base, base + PAGE_BYTES))
  resetNode(view, base, nodeLevel(view, base))
  view.i32[(base >>> 2) + WORD_RUN] = scratch.i32[WORD_RUN]
  if (count > 0) setPrefixFromEntry(view, base, prefixLength, scratch, 0, lead, 0)
  appendEntries(scratch, 0, 0, count, view, base, lead)
  space.markDirty(space.frame, 0, SLOTS_OFFSET + SLOT_BYTES * count)
  space.markDirty(space.frame, nodeHeapStart(view, base), PAGE_BYTES)
}

/**
 * Shortens the prefix of the staged node that `space` points at to `length` bytes, if only heads depend on the
 * difference: an entry that breaks the prefix in its last bytes then costs the slots and not the whole page.
 */
export function shortenPrefix(space: PageSpace, lead: number, length: number): boolean {
  const { view, base } = space
  const prefixLength = nodePrefixLength(view, base)
  if (omittedBytes(length) !== omittedBytes(prefixLength) || prefixBytes(length) !== prefixBytes(prefixLength)) {
    return false
  }
  const count = nodeCount(view, base)
  const { i32 } = view
  const word = base >>> 2
  i32[word + WORD_HEAP] += length - prefixLength
  for (let i = 0; i < count; i++) {
    const place = slotPlace(view, base, i)
    checkPlace(view, base, place, lead === 0)
    const at = base + placeOffset(place) + lead
    i32[word + SLOTS_WORD + 2 * i] = headOf(i32, at + (length & 3), at + placeSuffixLength(place))
  }
  space.markDirty(space.frame, 0, SLOTS_OFFSET + SLOT_BYTES * count)
  return true
}

/** Drops the entries from `keep` on of the staged node that `space` points at. */
export function truncateNode(space: PageSpace, keep: number, isLeaf: boolean): void {
  const { view, base } = space
  if (keep === 0) resetNode(view, base, nodeLevel(view, base))
  else {
    const prefixLength = nodePrefixLength(view, base)
    const count = nodeCount(view, base)
    addDead(view, base, encodedBytes(view, base, isLeaf, keep, count, prefixLength) - SLOT_BYTES * (count - keep))
    setCount(view, base, keep)
  }
  space.markDirty(space.frame, 0, NODE_HEADER_END)
}

/**
 * The prefix that the entries [from, to) share, with a key that stands in front of (`at` <= from), behind
 * (`at` >= to) or among them. Without entries the present prefix is kept.
 */
export function sharedPrefix(
  view: MemoryView,
  base: number,
  lead: number,
  from: number,
  to: number,
  at: number,
  key: Int32Array,
  keyLength: number,
): number {
  if (from >= to) return nodePrefixLength(view, base)
  if (at <= from) return commonWithEntry(view, base, lead, to - 1, key, keyLength)
  if (at >= to) return commonWithEntry(view, base, lead, from, key, keyLength)
  return commonOfEntries(view, base, lead, from, to - 1)
}

/** Whether entries of that many bytes and a prefix fit a node. */
export function fitsNode(bytes: number, prefixLength: number): boolean {
  return bytes + prefixBytes(prefixLength) <= NODE_CAPACITY
}

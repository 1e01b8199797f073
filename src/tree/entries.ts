/** Editing the entries of one node: placing, removing, copying to another node, re-encoding under another prefix. */
import { MemoryView } from '../pmem/memory-view.js'
import { PAGE_BYTES } from '../pmem/program.js'
import type { PageSpace } from '../tx/page-space.js'
import {
  checkPlace,
  failNode,
  makePlace,
  nodeCount,
  nodeDeadBytes,
  nodeHeapStart,
  nodeLevel,
  nodePrefixLength,
  nodePrefixOffset,
  NODE_CAPACITY,
  NODE_HEADER_END,
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
import { commonOfEntries, commonWithEntry, copyBytes, headOf } from './search.js'

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
  key: Buffer,
  keyLength: number,
  value: Uint8Array,
  byteLength: number,
  valueField: number,
): void {
  const { view, base } = space
  const count = nodeCount(view, base)
  const prefixLength = nodePrefixLength(view, base)
  const suffixLength = keyLength - prefixLength
  const size = payloadBytes(suffixLength + byteLength)
  const offset = takeHeap(view, base, size, count + 1)
  copyBytes(key, prefixLength, view.u8, base + offset, suffixLength)
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
  key: Buffer,
  keyLength: number,
  child: number,
): void {
  const { view, base } = space
  const count = nodeCount(view, base)
  const prefixLength = nodePrefixLength(view, base)
  const suffixLength = keyLength - prefixLength
  const size = payloadBytes(4 + suffixLength)
  const offset = takeHeap(view, base, size, count + 1)
  view.u32[(base + offset) >>> 2] = child
  copyBytes(key, prefixLength, view.u8, base + offset + 4, suffixLength)
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
  const delta = prefixLength - nodePrefixLength(view, base)
  let bytes = SLOT_BYTES * (to - from)
  for (let i = from; i < to; i++) bytes += payloadBytes(placeLength(slotPlace(view, base, i), isLeaf) - delta)
  return bytes
}

/** Sets the prefix of an empty node from a key. */
export function setPrefixFromKey(view: MemoryView, base: number, key: Buffer, length: number): void {
  const offset = openPrefix(view, base, length)
  copyBytes(key, 0, view.u8, base + offset, length)
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
  const offset = openPrefix(view, base, length)
  const known = nodePrefixLength(source, sourceBase)
  const shared = known < length ? known : length
  copyBytes(source.u8, sourceBase + nodePrefixOffset(source, sourceBase), view.u8, base + offset, shared)
  if (length === shared) return
  const place = slotPlace(source, sourceBase, index)
  checkPlace(source, sourceBase, place, lead === 0)
  if (placeSuffixLength(place) < length - shared) failNode(source, sourceBase, 'a suffix is too short')
  copyBytes(source.u8, sourceBase + placeOffset(place) + lead, view.u8, base + offset + shared, length - shared)
}

function openPrefix(view: MemoryView, base: number, length: number): number {
  const offset = PAGE_BYTES - prefixBytes(length)
  if (offset < SLOTS_OFFSET) failNode(view, base, 'the prefix exceeds the page')
  const word = base >>> 2
  view.i32[word + WORD_HEAP] = length | (offset << 16)
  view.i32[word + WORD_DEAD] = offset
  return offset
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
  const sourcePrefix = nodePrefixLength(source, sourceBase)
  const delta = nodePrefixLength(target, targetBase) - sourcePrefix
  const count = nodeCount(target, targetBase)
  const slots = (targetBase >>> 2) + SLOTS_WORD + 2 * (count - from)
  const sourceSlots = (sourceBase >>> 2) + SLOTS_WORD
  const floor = SLOTS_OFFSET + SLOT_BYTES * (count + to - from)
  let heap = nodeHeapStart(target, targetBase)
  for (let i = from; i < to; i++) {
    const place = source.i32[sourceSlots + 2 * i + 1]
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
    if (delta === 0) {
      copyWords(source, (sourceBase + offset) >>> 2, target, (targetBase + heap) >>> 2, size >>> 2)
      target.i32[slot] = source.i32[sourceSlots + 2 * i]
    } else {
      const at = targetBase + heap
      if (!isLeaf) target.u32[at >>> 2] = source.u32[(sourceBase + offset) >>> 2]
      if (delta > 0) {
        copyBytes(source.u8, sourceBase + offset + lead + delta, target.u8, at + lead, length - lead - delta)
      } else {
        const prefixAt = sourceBase + nodePrefixOffset(source, sourceBase) + sourcePrefix + delta
        copyBytes(source.u8, prefixAt, target.u8, at + lead, -delta)
        copyBytes(source.u8, sourceBase + offset + lead, target.u8, at + lead - delta, length - lead)
      }
      target.i32[slot] = headOf(target.u8, at + lead, at + lead + suffixLength)
    }
    target.i32[slot + 1] = makePlace(heap, suffixLength, place >>> 21)
  }
  setHeapStart(target, targetBase, heap)
  setCount(target, targetBase, count + to - from)
}

function copyWords(source: MemoryView, from: number, target: MemoryView, to: number, words: number): void {
  if (words > 64) {
    target.u8.set(source.u8.subarray(from << 2, (from + words) << 2), to << 2)
    return
  }
  const a = source.i32
  const b = target.i32
  for (let i = 0; i < words; i++) b[to + i] = a[from + i]
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
 * The prefix that the entries [from, to) share, with a key that stands in front of (`at` <= from), behind (`at` >= to)
 * or among them. With a single key in all, the present prefix is kept: a prefix of the whole key would break at once.
 */
export function sharedPrefix(
  view: MemoryView,
  base: number,
  lead: number,
  from: number,
  to: number,
  at: number,
  key: Buffer,
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

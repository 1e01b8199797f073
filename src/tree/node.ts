/**
 * A tree node: one 4 KiB page holding sorted entries, edited in place. Layers: `tree` works on pages that `tx` finds or
 * stages and `pool` allocates; it imports nothing from `api`.
 *
 *     line 0           header (offsets below)
 *     64 ..            slots, 8 bytes each, in key order: {i32 head, u32 place}
 *     ...              free gap
 *     heapStart ..4096 payloads, each 4-byte aligned, and the common prefix
 *
 * head: the first four bytes after the common prefix, big-endian, zero padded, sign flipped, so that the order of int32
 * is the order of bytes. place: bits 0..9 payload offset / 4, bits 10..20 suffix length, bits 21..31 length of the
 * inline value (leaf only; VALUE_IN_EXTENT says that a 16-byte descriptor stands there instead).
 * The suffix of a key leaves out the whole words of the prefix, so that both are aligned alike (see `key.ts`); the head
 * begins right behind the prefix, so that it tells as many keys apart as it can.
 * Leaf payload: key suffix, value. Branch payload: child page id (u32), separator suffix.
 * A branch of n slots has n + 1 children: the leftmost one in the header holds the keys below the first separator, the
 * child of slot i those from separator i on. A branch other than the root may have no slots: then it has one child.
 *
 * The words of a header are always read through one Int32Array: slot words use the sign bit, and a Uint32Array would
 * turn them into heap numbers.
 */
import { DaxkvError } from '../errors.js'
import type { MemoryView } from '../pmem/memory-view.js'
import { PAGE_BYTES } from '../pmem/program.js'
import { HEADER_BYTES, PAGE_TYPE_BRANCH, PAGE_TYPE_LEAF } from '../pool/format.js'

export { MAX_KEY_BYTES } from './key.js'

// Header words (byte offset / 4).
/** u32: the page's own id. */
export const WORD_PAGE_ID = 2
/** u8 type, u8 level (0: leaf), u16 count. */
export const WORD_SHAPE = 3
/** u16 prefix length, u16 heap start. */
export const WORD_HEAP = 4
/** u16 prefix offset, u16 dead bytes in the heap. */
export const WORD_DEAD = 5
/** u32: leftmost child of a branch. */
export const WORD_LEFTMOST = 6
/** u32: the keyspace the tree belongs to. */
export const WORD_KEYSPACE = 7
/** u32 low, u32 high: entries of the whole tree; in the root node only, zero elsewhere. */
export const WORD_ENTRIES_LO = 8
export const WORD_ENTRIES_HI = 9
/**
 * u16 index of the last insert, i16 how many inserts in a row came right behind (positive) or right in front of
 * (negative) the one before: a split keeps pages full where keys ascend or descend. A hint only; any value is legal.
 */
export const WORD_RUN = 10
/** A prefix of up to this many bytes stands in the header: a walk reads that line anyway. A longer one is in the heap. */
export const NODE_PREFIX_BYTES = 20
export const NODE_PREFIX_OFFSET = 44
/** End of what an edit of entries changes in the header. */
export const NODE_HEADER_END = 44

/** What a block copy of a node takes along starts here: all but checksum and page id. */
export const NODE_CONTENT_OFFSET = WORD_SHAPE << 2

export const SLOTS_OFFSET = HEADER_BYTES
export const SLOTS_WORD = SLOTS_OFFSET >>> 2
export const SLOT_BYTES = 8
/** Bytes that slots and heap share. */
export const NODE_CAPACITY = PAGE_BYTES - SLOTS_OFFSET
export const MAX_SLOTS = NODE_CAPACITY / SLOT_BYTES
/** Levels a tree may have; a deeper one is damage (levels fall by one at each step, so a walk always ends). */
export const MAX_LEVELS = 32

/** Key and value together up to this stay in the leaf, so that two entries always fit one. */
export const MAX_INLINE_BYTES = 1994
/** Inline value length that means: a descriptor of an extent follows the key. */
export const VALUE_IN_EXTENT = 2047
/** {u32 page, u32 byteLength, u32 hashLo, u32 hashHi}, at any alignment. */
export const DESCRIPTOR_BYTES = 16

/** Low half of WORD_SHAPE for a node of this level. */
export function shapeOfLevel(level: number): number {
  return level === 0 ? PAGE_TYPE_LEAF : PAGE_TYPE_BRANCH | (level << 8)
}

/** Heap bytes a payload of this length takes. Never 0: offset 4096 would not fit its ten bits. */
export function payloadBytes(length: number): number {
  return length === 0 ? 4 : (length + 3) & ~3
}

/** Heap bytes a prefix of this length takes. */
export function prefixBytes(length: number): number {
  return length <= NODE_PREFIX_BYTES ? 0 : (length + 3) & ~3
}

/** Bytes that the suffixes leave out under a prefix of this length: its whole words. */
export function omittedBytes(prefixLength: number): number {
  return prefixLength & ~3
}

export function nodeCount(view: MemoryView, base: number): number {
  return view.i32[(base >>> 2) + WORD_SHAPE] >>> 16
}

export function nodeLevel(view: MemoryView, base: number): number {
  return (view.i32[(base >>> 2) + WORD_SHAPE] >>> 8) & 0xff
}

export function nodePrefixLength(view: MemoryView, base: number): number {
  return view.i32[(base >>> 2) + WORD_HEAP] & 0xffff
}

export function nodeHeapStart(view: MemoryView, base: number): number {
  return view.i32[(base >>> 2) + WORD_HEAP] >>> 16
}

export function nodePrefixOffset(view: MemoryView, base: number): number {
  return view.i32[(base >>> 2) + WORD_DEAD] & 0xffff
}

export function nodeDeadBytes(view: MemoryView, base: number): number {
  return view.i32[(base >>> 2) + WORD_DEAD] >>> 16
}

/** Second word of a slot. */
export function slotPlace(view: MemoryView, base: number, index: number): number {
  return view.i32[(base >>> 2) + SLOTS_WORD + 2 * index + 1]
}

export function placeOffset(place: number): number {
  return (place & 1023) << 2
}

export function placeSuffixLength(place: number): number {
  return (place >>> 10) & 2047
}

/** Bytes stored after the key suffix of a leaf entry. */
export function placeStoredLength(place: number): number {
  const length = place >>> 21
  return length === VALUE_IN_EXTENT ? DESCRIPTOR_BYTES : length
}

export function makePlace(offset: number, suffixLength: number, valueLength: number): number {
  return (offset >>> 2) | (suffixLength << 10) | (valueLength << 21)
}

/** Payload length of an entry in a node of either kind. */
export function placeLength(place: number, isLeaf: boolean): number {
  return placeSuffixLength(place) + (isLeaf ? placeStoredLength(place) : 4)
}

/** Bytes in use: slots, payloads and prefix. */
export function nodeUsedBytes(view: MemoryView, base: number): number {
  return PAGE_BYTES - nodeHeapStart(view, base) - nodeDeadBytes(view, base) + SLOT_BYTES * nodeCount(view, base)
}

/** Free bytes between the slots and the heap. */
export function nodeGap(view: MemoryView, base: number): number {
  return nodeHeapStart(view, base) - SLOTS_OFFSET - SLOT_BYTES * nodeCount(view, base)
}

/** Child `index` of a branch, 0 being the leftmost. */
export function branchChild(view: MemoryView, base: number, index: number): number {
  const { i32 } = view
  const word = base >>> 2
  // A place outside the heap gives some word of the page: what it leads to is checked like any child.
  if (index === 0) return i32[word + WORD_LEFTMOST] >>> 0
  return i32[word + (i32[word + SLOTS_WORD + (index << 1) - 1] & 1023)] >>> 0
}

export function setShape(view: MemoryView, base: number, level: number, count: number): void {
  view.i32[(base >>> 2) + WORD_SHAPE] = shapeOfLevel(level) | (count << 16)
}

export function setCount(view: MemoryView, base: number, count: number): void {
  const word = (base >>> 2) + WORD_SHAPE
  view.i32[word] = (view.i32[word] & 0xffff) | (count << 16)
}

export function setHeapStart(view: MemoryView, base: number, heapStart: number): void {
  const word = (base >>> 2) + WORD_HEAP
  view.i32[word] = (view.i32[word] & 0xffff) | (heapStart << 16)
}

export function setDeadBytes(view: MemoryView, base: number, dead: number): void {
  const word = (base >>> 2) + WORD_DEAD
  view.i32[word] = (view.i32[word] & 0xffff) | (dead << 16)
}

/** Length of the run of inserts that one at `index` would go on with: positive ascending, negative descending, or 0. */
export function runLength(view: MemoryView, base: number, index: number): number {
  const run = view.i32[(base >>> 2) + WORD_RUN]
  const last = run & 0xffff
  const length = run >> 16
  if (index === last + 1) return length > 0 ? (length < MAX_RUN ? length + 1 : length) : 1
  if (index === last) return length < 0 ? (length > -MAX_RUN ? length - 1 : length) : -1
  return 0
}

export function setRun(view: MemoryView, base: number, index: number, length: number): void {
  view.i32[(base >>> 2) + WORD_RUN] = index | (length << 16)
}

const MAX_RUN = 100

/** Empties a node: no entries, no prefix, no dead bytes, no run. Leaves page id, keyspace, leftmost child and entry count. */
export function resetNode(view: MemoryView, base: number, level: number): void {
  const word = base >>> 2
  view.i32[word + WORD_SHAPE] = shapeOfLevel(level)
  view.i32[word + WORD_HEAP] = PAGE_BYTES << 16
  view.i32[word + WORD_DEAD] = 0
  view.i32[word + WORD_RUN] = 0
}

/** Makes a freshly staged page an empty node. */
export function initNode(view: MemoryView, base: number, level: number, keyspaceId: number): void {
  resetNode(view, base, level)
  view.u32[(base >>> 2) + WORD_KEYSPACE] = keyspaceId
}

/** Whether slots and heap are apart and the prefix lies inside the heap, as three header words have it. */
export function isSoundHeap(count: number, heap: number, dead: number): boolean {
  const heapStart = heap >>> 16
  const prefixLength = heap & 0xffff
  return (
    heapStart >= SLOTS_OFFSET + (count << 3) &&
    heapStart + (dead >>> 16) <= PAGE_BYTES &&
    ((heapStart | dead) & 3) === 0 &&
    (prefixLength <= NODE_PREFIX_BYTES
      ? prefixLength === 0 || (dead & 0xffff) === NODE_PREFIX_OFFSET
      : (dead & 0xffff) >= heapStart && (dead & 0xffff) + prefixLength <= PAGE_BYTES)
  )
}

/**
 * Checks the header of a page just located: right page, right kind and level, slots and heap apart, prefix inside.
 * What a walk reads afterwards stays inside the page, except payloads, whose length each access checks.
 */
export function checkNode(view: MemoryView, base: number, pageId: number, level: number): void {
  const word = base >>> 2
  const { i32 } = view
  const shape = i32[word + WORD_SHAPE]
  if (
    (shape & 0xffff) !== shapeOfLevel(level) ||
    i32[word + WORD_PAGE_ID] !== (pageId | 0) ||
    !isSoundHeap(shape >>> 16, i32[word + WORD_HEAP], i32[word + WORD_DEAD])
  ) {
    failHeader(view, base, pageId, level)
  }
}

/** Says what is wrong with a header. */
export function failHeader(view: MemoryView, base: number, pageId: number, level: number): never {
  const word = base >>> 2
  if (view.u32[word + WORD_PAGE_ID] === pageId && (view.i32[word + WORD_SHAPE] & 0xffff) === shapeOfLevel(level)) {
    failPage(pageId, 'the node header is inconsistent')
  }
  failPage(pageId, `a tree node of level ${level} was expected`)
}

/** Level that a root page just located claims; its header is checked by whoever enters it. */
export function rootLevel(view: MemoryView, base: number, pageId: number): number {
  const level = nodeLevel(view, base)
  if (level >= MAX_LEVELS) failPage(pageId, `the tree claims ${level + 1} levels`)
  return level
}

/** Level of a root page just located; its header is checked like any other. */
export function checkRoot(view: MemoryView, base: number, pageId: number): number {
  const level = rootLevel(view, base, pageId)
  checkNode(view, base, pageId, level)
  return level
}

/** Checks that the payload of an entry lies inside the page's heap. */
export function checkPlace(view: MemoryView, base: number, place: number, isLeaf: boolean): void {
  const offset = placeOffset(place)
  if (offset < nodeHeapStart(view, base) || offset + placeLength(place, isLeaf) > PAGE_BYTES) {
    failNode(view, base, 'an entry lies outside the heap')
  }
}

/** Throws CORRUPT for a page. */
export function failPage(pageId: number, what: string): never {
  throw new DaxkvError('CORRUPT', `page ${pageId}: ${what}; run check()`, {
    offset: pageId * PAGE_BYTES,
    length: PAGE_BYTES,
  })
}

/** Throws CORRUPT for the node at a place in memory. */
export function failNode(view: MemoryView, base: number, what: string): never {
  return failPage(view.u32[(base >>> 2) + WORD_PAGE_ID], what)
}

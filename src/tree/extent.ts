/** Values too long for a leaf: raw bytes in contiguous pages, described by 16 bytes in the entry. */
import { DaxkvError } from '../errors.js'
import type { MemoryView } from '../pmem/memory-view.js'
import { PAGE_BYTES } from '../pmem/program.js'
import {
  checkPlace,
  DESCRIPTOR_BYTES,
  failNode,
  MAX_INLINE_BYTES,
  placeOffset,
  placeSuffixLength,
  VALUE_IN_EXTENT,
} from './node.js'
import type { PageSpace } from '../tx/page-space.js'
import type { Tree } from './tree.js'

const descriptor = Buffer.alloc(DESCRIPTOR_BYTES)
const hash = new Uint32Array(2)

/** Whether a value stays in the leaf. */
export function fitsInline(keyLength: number, valueLength: number): boolean {
  return keyLength + valueLength <= MAX_INLINE_BYTES && valueLength < VALUE_IN_EXTENT
}

export function extentPages(byteLength: number): number {
  return Math.ceil(byteLength / PAGE_BYTES)
}

/** Writes a value to a new extent and returns its descriptor (overwritten by the next call). */
export function storeExtent(tree: Tree, value: Uint8Array, valueLength: number): Buffer {
  const { allocator, memory, space } = tree.context
  if (valueLength > 0xffff_ffff) {
    throw new DaxkvError('VALUE_TOO_LARGE', `the value has ${valueLength} bytes`, {
      limit: 0xffff_ffff,
      actual: valueLength,
    })
  }
  const page = allocator.allocateExtent(extentPages(valueLength))
  const bytes = valueLength === value.length ? value : value.subarray(0, valueLength)
  memory.writeExtent(page, bytes, hash, space.lazyExtents)
  if (space.lazyExtents) space.noteExtent(page, valueLength)
  descriptor.writeUInt32LE(page, 0)
  descriptor.writeUInt32LE(valueLength, 4)
  descriptor.writeUInt32LE(hash[0], 8)
  descriptor.writeUInt32LE(hash[1], 12)
  return descriptor
}

/** Where a lookup leaves the value it found: the tree itself, or a cursor. */
export interface ValueHolder {
  valueView: MemoryView
  valueStart: number
  valueLength: number
  valuePage: number
}

/** Points the value fields of a tree or cursor at the extent an entry describes. */
export function locateExtent(
  holder: ValueHolder,
  space: PageSpace,
  view: MemoryView,
  base: number,
  place: number,
): void {
  const at = descriptorOffset(view, base, place)
  const page = view.u8.readUInt32LE(at)
  const byteLength = view.u8.readUInt32LE(at + 4)
  // An extent is never staged: it is written before the commit into pages nothing else refers to.
  space.locateCommitted(page)
  if (byteLength === 0 || page + extentPages(byteLength) > space.capacityPages) {
    failNode(view, base, `a value of ${byteLength} bytes at page ${page} leaves the pool`)
  }
  if (space.verifiesReads) {
    space.verifyExtent(page, byteLength, view.u8.readUInt32LE(at + 8), view.u8.readUInt32LE(at + 12))
  }
  if (space.base + byteLength > space.view.byteLength) space.gather(page, byteLength)
  holder.valueView = space.view
  holder.valueStart = space.base
  holder.valueLength = byteLength
  holder.valuePage = page
}

/** Frees the extent of an entry, if it has one. */
export function freeExtent(tree: Tree, view: MemoryView, base: number, place: number): void {
  if (place >>> 21 !== VALUE_IN_EXTENT) return
  const at = descriptorOffset(view, base, place)
  const page = view.u8.readUInt32LE(at)
  const byteLength = view.u8.readUInt32LE(at + 4)
  if (byteLength === 0) failNode(view, base, 'an extent is empty')
  tree.context.allocator.free(page, extentPages(byteLength))
}

/** Offset of a descriptor in the view. */
export function descriptorOffset(view: MemoryView, base: number, place: number): number {
  checkPlace(view, base, place, true)
  return base + placeOffset(place) + placeSuffixLength(place)
}

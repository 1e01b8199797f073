import { randomUUID } from 'node:crypto'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import { encodeAnchor } from './anchor.js'
import {
  BITMAP_OFFSET_BITS,
  HEADER_OFFSET_PAGE_ID,
  HEADER_OFFSET_TYPE,
  PAGE_ANCHOR_A,
  PAGE_IDENTITY_A,
  PAGE_IDENTITY_B,
  PAGE_ROOT,
  PAGE_TYPE_BITMAP,
  PAGE_TYPE_LEAF,
  PAGE_TYPE_ROOT,
  ROOT_OFFSET_CAPACITY_PAGES,
  ROOT_OFFSET_CATALOG_PAGE,
  ROOT_OFFSET_NEXT_KEYSPACE_ID,
} from './format.js'
import type { Geometry } from './geometry.js'
import { encodeIdentity } from './identity.js'
import { ProgramBuilder } from './program-builder.js'

/** Keyspace id of the catalog tree; user keyspaces count from 1. */
export const CATALOG_KEYSPACE_ID = 0

/**
 * Writes the pages of an empty pool into zeroed memory. Nobody can see the pool yet (it has no name, or is memory
 * only), so the order of stores is free; everything is durable when this returns.
 */
export function formatPool(
  memory: PersistentMemory,
  geometry: Geometry,
  capacityPages: number,
  random: (words: Uint32Array) => void,
): void {
  const builder = new ProgramBuilder(memory)
  const catalogPage = geometry.firstFreePage

  const root = builder.frame()
  writeHeader(root.bytes, 4, PAGE_TYPE_ROOT)
  root.bytes.writeUInt32LE(capacityPages, ROOT_OFFSET_CAPACITY_PAGES)
  root.bytes.writeUInt32LE(catalogPage, ROOT_OFFSET_CATALOG_PAGE)
  root.bytes.writeUInt32LE(CATALOG_KEYSPACE_ID + 1, ROOT_OFFSET_NEXT_KEYSPACE_ID)
  builder.checksumFresh(PAGE_ROOT, root.frame).store(PAGE_ROOT, root.frame)

  const catalog = builder.frame()
  writeEmptyLeaf(catalog.bytes, catalogPage)
  builder.checksumFresh(catalogPage, catalog.frame).store(catalogPage, catalog.frame)

  storeBitmaps(builder, geometry, 0, capacityPages, catalogPage + 1)

  const salt = new Uint32Array(2)
  random(salt)
  const anchor = builder.frame()
  encodeAnchor(anchor.bytes, {
    seq: 1,
    epoch: 1,
    saltLo: salt[0],
    saltHi: salt[1],
    txid: 0,
    ringLine: 0,
    clean: true,
    unsafeShutdowns: 0,
    bootId: '',
  })
  builder.store(PAGE_ANCHOR_A, anchor.frame, 3, 0)

  const identity = builder.frame()
  encodeIdentity(identity.bytes, {
    uuid: randomUUID(),
    segmentShift: geometry.segmentShift,
    logPages: geometry.logPages,
    createdMs: Date.now(),
  })
  builder.store(PAGE_IDENTITY_A, identity.frame, 3, 0).store(PAGE_IDENTITY_B, identity.frame, 3, 0)
  builder.syncAll().run()
}

/**
 * Adds stores of the bitmap pages of every segment that starts in [fromPage, toPage). They are fresh pages.
 * `firstSegmentUsed` pages are marked allocated in segment 0 (fixed pages, log, bitmaps, catalog root).
 */
export function storeBitmaps(
  builder: ProgramBuilder,
  geometry: Geometry,
  fromPage: number,
  toPage: number,
  firstSegmentUsed: number,
): void {
  for (const { page, bits } of freshBitmaps(geometry, fromPage, toPage, firstSegmentUsed)) {
    const bitmap = builder.frame()
    fillBitmap(bitmap.bytes, page, bits)
    builder.checksumFresh(page, bitmap.frame).store(page, bitmap.frame)
  }
}

/** Bitmap pages of the segments that start in [fromPage, toPage), each with the number of leading bits set. */
export function* freshBitmaps(
  geometry: Geometry,
  fromPage: number,
  toPage: number,
  firstSegmentUsed = 0,
): Generator<{ page: number; bits: number }> {
  const { segmentPages, bitmapsPerSegment } = geometry
  for (let segment = Math.ceil(fromPage / segmentPages); segment * segmentPages < toPage; segment++) {
    let used = segment === 0 ? firstSegmentUsed : bitmapsPerSegment
    for (let i = 0; i < bitmapsPerSegment; i++) {
      const index = segment * bitmapsPerSegment + i
      const bits = Math.min(used, geometry.bitmapPageCount(index))
      used -= bits
      yield { page: geometry.bitmapPage(index), bits }
    }
  }
}

/** Builds a bitmap page whose first `bits` pages are allocated. */
export function fillBitmap(bytes: Buffer, pageId: number, bits: number): void {
  writeHeader(bytes, pageId, PAGE_TYPE_BITMAP)
  const whole = bits >>> 3
  bytes.fill(0xff, BITMAP_OFFSET_BITS, BITMAP_OFFSET_BITS + whole)
  if ((bits & 7) !== 0) bytes[BITMAP_OFFSET_BITS + whole] = (1 << (bits & 7)) - 1
}

function writeHeader(bytes: Buffer, pageId: number, type: number): void {
  bytes.writeUInt32LE(pageId, HEADER_OFFSET_PAGE_ID)
  bytes[HEADER_OFFSET_TYPE] = type
}

/** An empty leaf as `tree/node.ts` lays it out: no entries, heap empty (starts at the page end). */
function writeEmptyLeaf(bytes: Buffer, pageId: number): void {
  writeHeader(bytes, pageId, PAGE_TYPE_LEAF)
  bytes.writeUInt16LE(4096, 18)
}

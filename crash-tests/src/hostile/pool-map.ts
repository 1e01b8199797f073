/**
 * Where things lie in the image of a pool: what the mutations aim at. Follows docs/format.md and shares no code with the
 * tree; reads sound images only.
 */
import { PAGE_BYTES, RECORD_MAGIC } from '../../../src/pmem/program.js'
import {
  ANCHOR_OFFSET_EPOCH,
  ANCHOR_OFFSET_RING,
  ANCHOR_OFFSET_SALT,
  ANCHOR_OFFSET_SEQ,
  ANCHOR_OFFSET_TXID,
  IDENTITY_OFFSET_LOG_PAGES,
  IDENTITY_OFFSET_SEGMENT_SHIFT,
  PAGE_ANCHOR_A,
  PAGE_ANCHOR_B,
  PAGE_LOG_START,
  PAGE_ROOT,
  ROOT_OFFSET_CAPACITY_PAGES,
  ROOT_OFFSET_CATALOG_PAGE,
} from '../../../src/pool/format.js'
import { Geometry } from '../../../src/pool/geometry.js'

/** Slots of a node begin here. */
export const SLOTS = 64
export const VALUE_IN_EXTENT = 2047
/** Offset of the leftmost child in a branch. */
export const LEFTMOST = 24

export interface MappedNode {
  readonly page: number
  readonly level: number
  readonly count: number
  /** Id of the keyspace, 0 in the catalog. */
  readonly tree: number
  readonly isRoot: boolean
}

/** A 16-byte descriptor of an extent. */
export interface MappedExtent {
  readonly node: number
  /** Byte offset of the descriptor in the image. */
  readonly at: number
  readonly page: number
  readonly byteLength: number
}

/** An entry of the catalog: a keyspace record, or structures. */
export interface MappedCatalogEntry {
  readonly node: number
  /** Byte offset and length of the key's suffix and of the value in the image. */
  readonly keyAt: number
  readonly keyLength: number
  readonly valueAt: number
  readonly valueLength: number
  readonly isRecord: boolean
}

export interface MappedAnchor {
  readonly page: number
  readonly seq: number
  readonly epoch: number
  readonly txid: number
  readonly saltLo: number
  readonly saltHi: number
  readonly ringLine: number
}

export interface PoolMap {
  readonly geometry: Geometry
  readonly capacityPages: number
  readonly catalogPage: number
  readonly nodes: readonly MappedNode[]
  readonly leaves: readonly MappedNode[]
  readonly branches: readonly MappedNode[]
  readonly extents: readonly MappedExtent[]
  readonly catalog: readonly MappedCatalogEntry[]
  readonly bitmapPages: readonly number[]
  readonly freePages: readonly number[]
  /** The newest anchor. */
  readonly anchor: MappedAnchor
  /** Byte offsets of what looks like a record header of the newest anchor's epoch. */
  readonly records: readonly number[]
}

/** Reads the map of a sound image. */
export function mapPool(image: Buffer): PoolMap {
  const geometry = new Geometry(
    image.readUInt32LE(IDENTITY_OFFSET_SEGMENT_SHIFT),
    image.readUInt32LE(IDENTITY_OFFSET_LOG_PAGES),
  )
  const root = PAGE_ROOT * PAGE_BYTES
  const capacityPages = image.readUInt32LE(root + ROOT_OFFSET_CAPACITY_PAGES)
  const catalogPage = image.readUInt32LE(root + ROOT_OFFSET_CATALOG_PAGE)
  const nodes: MappedNode[] = []
  const extents: MappedExtent[] = []
  const catalog: MappedCatalogEntry[] = []
  walk(catalogPage, true)
  for (const { isRecord, valueAt } of [...catalog]) if (isRecord) walk(image.readUInt32LE(valueAt + 4), true)
  const bitmapPages = Array.from({ length: geometry.bitmapCount(capacityPages) }, (_, i) => geometry.bitmapPage(i))
  return {
    geometry,
    capacityPages,
    catalogPage,
    nodes,
    leaves: nodes.filter(({ level }) => level === 0),
    branches: nodes.filter(({ level }) => level > 0),
    extents,
    catalog,
    bitmapPages,
    freePages: freePages(),
    ...logOf(image),
  }

  function walk(page: number, isRoot: boolean): void {
    const base = page * PAGE_BYTES
    const level = image[base + 13]
    const count = image.readUInt16LE(base + 14)
    const tree = image.readUInt32LE(base + 28)
    nodes.push({ page, level, count, tree, isRoot })
    for (let slot = 0; slot < count; slot++) {
      if (level === 0) mapEntry(page, tree, slot)
    }
    if (level > 0) for (const at of childOffsets(image, page)) walk(image.readUInt32LE(at), false)
  }

  function mapEntry(page: number, tree: number, slot: number): void {
    const base = page * PAGE_BYTES
    const place = image.readUInt32LE(base + SLOTS + slot * 8 + 4)
    const keyAt = base + (place & 1023) * 4
    const keyLength = (place >>> 10) & 2047
    const valueAt = keyAt + keyLength
    const inExtent = place >>> 21 === VALUE_IN_EXTENT
    if (inExtent) {
      extents.push({
        node: page,
        at: valueAt,
        page: image.readUInt32LE(valueAt),
        byteLength: image.readUInt32LE(valueAt + 4),
      })
    }
    if (tree !== 0) return
    const valueLength = inExtent ? 16 : place >>> 21
    // Only records have 16 bytes; structures are JSON of other lengths here.
    catalog.push({ node: page, keyAt, keyLength, valueAt, valueLength, isRecord: valueLength === 16 && !inExtent })
  }

  function freePages(): number[] {
    const free: number[] = []
    for (let page = 0; page < capacityPages; page++) {
      const index = geometry.bitmapOf(page)
      const bit = page - geometry.bitmapFirstPage(index)
      const byte = image[geometry.bitmapPage(index) * PAGE_BYTES + 64 + (bit >>> 3)]
      if (((byte >>> (bit & 7)) & 1) === 0) free.push(page)
    }
    return free
  }
}

/** Byte offsets of the child ids of a branch in an image, the leftmost first. */
export function childOffsets(image: Buffer, page: number): number[] {
  const base = page * PAGE_BYTES
  const offsets = [base + LEFTMOST]
  const count = image.readUInt16LE(base + 14)
  for (let slot = 0; slot < count; slot++) {
    offsets.push(base + (image.readUInt32LE(base + SLOTS + slot * 8 + 4) & 1023) * 4)
  }
  return offsets
}

function newestAnchor(image: Buffer): MappedAnchor {
  const [a, b] = [PAGE_ANCHOR_A, PAGE_ANCHOR_B].map((page): MappedAnchor => {
    const at = page * PAGE_BYTES
    return {
      page,
      seq: image.readUInt32LE(at + ANCHOR_OFFSET_SEQ),
      epoch: image.readUInt32LE(at + ANCHOR_OFFSET_EPOCH),
      txid: image.readUInt32LE(at + ANCHOR_OFFSET_TXID),
      saltLo: image.readUInt32LE(at + ANCHOR_OFFSET_SALT),
      saltHi: image.readUInt32LE(at + ANCHOR_OFFSET_SALT + 4),
      ringLine: image.readUInt32LE(at + ANCHOR_OFFSET_RING),
    }
  })
  return a.seq >= b.seq ? a : b
}

/** The newest anchor of an image and the records of its epoch. */
export function logOf(image: Buffer): Pick<PoolMap, 'anchor' | 'records'> {
  const anchor = newestAnchor(image)
  const end = PAGE_LOG_START + image.readUInt32LE(IDENTITY_OFFSET_LOG_PAGES)
  const records: number[] = []
  for (let page = PAGE_LOG_START; page < end; page++) {
    const at = page * PAGE_BYTES
    if (image.readUInt32LE(at) === RECORD_MAGIC && image.readUInt32LE(at + 8) === anchor.epoch) records.push(at)
  }
  return { anchor, records }
}

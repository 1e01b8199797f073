/** Identity, anchors, root page and bitmaps: each field, with the hash or checksum computed anew or not. */
import { PAGE_BYTES } from '../../../src/pmem/program.js'
import {
  ANCHOR_OFFSET_CLEAN,
  ANCHOR_OFFSET_EPOCH,
  ANCHOR_OFFSET_MAGIC,
  ANCHOR_OFFSET_RING,
  ANCHOR_OFFSET_SALT,
  ANCHOR_OFFSET_SEQ,
  ANCHOR_OFFSET_TXID,
  BITMAP_OFFSET_BITS,
  IDENTITY_OFFSET_BITMAP_PAGE,
  IDENTITY_OFFSET_COMPAT,
  IDENTITY_OFFSET_CREATED_MS,
  IDENTITY_OFFSET_INCOMPAT,
  IDENTITY_OFFSET_LOG_PAGE,
  IDENTITY_OFFSET_LOG_PAGES,
  IDENTITY_OFFSET_MAGIC,
  IDENTITY_OFFSET_PAGE_BYTES,
  IDENTITY_OFFSET_RO_COMPAT,
  IDENTITY_OFFSET_SEGMENT_SHIFT,
  IDENTITY_OFFSET_UUID,
  IDENTITY_OFFSET_VERSION,
  PAGE_ANCHOR_A,
  PAGE_ANCHOR_B,
  PAGE_IDENTITY_A,
  PAGE_IDENTITY_B,
  PAGE_ROOT,
  ROOT_OFFSET_CAPACITY_PAGES,
  ROOT_OFFSET_CATALOG_PAGE,
  ROOT_OFFSET_NEXT_KEYSPACE_ID,
} from '../../../src/pool/format.js'
import { hostileNumber, type HostileImage, type Mutation } from './hostile-image.js'
import { sealFixed, sealPage } from './seal.js'

const IDENTITY_FIELDS = [
  IDENTITY_OFFSET_MAGIC,
  IDENTITY_OFFSET_VERSION,
  IDENTITY_OFFSET_COMPAT,
  IDENTITY_OFFSET_RO_COMPAT,
  IDENTITY_OFFSET_INCOMPAT,
  IDENTITY_OFFSET_UUID,
  IDENTITY_OFFSET_PAGE_BYTES,
  IDENTITY_OFFSET_SEGMENT_SHIFT,
  IDENTITY_OFFSET_LOG_PAGE,
  IDENTITY_OFFSET_LOG_PAGES,
  IDENTITY_OFFSET_BITMAP_PAGE,
  IDENTITY_OFFSET_CREATED_MS + 4,
]

const ANCHOR_FIELDS = [
  ANCHOR_OFFSET_MAGIC,
  ANCHOR_OFFSET_CLEAN,
  ANCHOR_OFFSET_SEQ,
  ANCHOR_OFFSET_SEQ + 4,
  ANCHOR_OFFSET_EPOCH,
  ANCHOR_OFFSET_EPOCH + 4,
  ANCHOR_OFFSET_SALT,
  ANCHOR_OFFSET_TXID,
  ANCHOR_OFFSET_TXID + 4,
  ANCHOR_OFFSET_RING,
  ANCHOR_OFFSET_RING + 4,
]

const ROOT_FIELDS = [ROOT_OFFSET_CAPACITY_PAGES, ROOT_OFFSET_CATALOG_PAGE, ROOT_OFFSET_NEXT_KEYSPACE_ID, 12, 8]

/** Changes a field of 32 bits of a page. */
function changeField(target: HostileImage, page: number, fields: readonly number[], what: string): void {
  const offset = fields[target.random.below(fields.length)]
  const at = page * PAGE_BYTES + offset
  const old = target.bytes.readUInt32LE(at)
  const value = hostileNumber(target, old, 32)
  target.bytes.writeUInt32LE(value, at)
  target.noteAt(at, `${what}: ${old} becomes ${value}`)
}

/** Changes one copy or both, and makes them sound again or not. */
function changeFixed(
  target: HostileImage,
  pages: readonly [number, number],
  fields: readonly number[],
  what: string,
): void {
  const which = target.random.below(3)
  const sealed = target.chance(75)
  pages.forEach((page, index) => {
    if (which !== 2 && which !== index) return
    for (let count = target.chance(80) ? 1 : 3; count > 0; count--) changeField(target, page, fields, what)
    if (sealed) sealFixed(target.bytes, page)
  })
  // Now and then both copies say the same, as a real pool's identities do.
  if (which === 2 && sealed && target.chance(60)) {
    target.bytes.copy(target.bytes, pages[1] * PAGE_BYTES, pages[0] * PAGE_BYTES, pages[0] * PAGE_BYTES + 128)
  }
  target.forged ||= sealed
}

function sealUsually(target: HostileImage, page: number): void {
  if (!target.chance(85)) return
  sealPage(target.bytes, page)
  target.forged = true
}

export const FIXED_MUTATIONS: readonly Mutation[] = [
  {
    name: 'identity',
    apply(target: HostileImage): boolean {
      changeFixed(target, [PAGE_IDENTITY_A, PAGE_IDENTITY_B], IDENTITY_FIELDS, 'identity')
      return true
    },
  },
  {
    name: 'a plausible other geometry',
    apply(target: HostileImage): boolean {
      const shift = 8 + target.random.below(11)
      const logPages = 1 + target.random.below(Math.min(2 ** shift, target.chance(50) ? 64 : 2 ** 18) - 1)
      for (const page of [PAGE_IDENTITY_A, PAGE_IDENTITY_B]) {
        const at = page * PAGE_BYTES
        target.bytes.writeUInt32LE(shift, at + IDENTITY_OFFSET_SEGMENT_SHIFT)
        target.bytes.writeUInt32LE(logPages, at + IDENTITY_OFFSET_LOG_PAGES)
        target.bytes.writeUInt32LE(6 + logPages, at + IDENTITY_OFFSET_BITMAP_PAGE)
        sealFixed(target.bytes, page)
      }
      target.note('identity', `segments of 2^${shift} pages, ${logPages} log pages`)
      target.forged = true
      return true
    },
  },
  {
    name: 'anchor',
    apply(target: HostileImage): boolean {
      changeFixed(target, [PAGE_ANCHOR_A, PAGE_ANCHOR_B], ANCHOR_FIELDS, 'anchor')
      return true
    },
  },
  {
    name: 'root page',
    apply(target: HostileImage): boolean {
      for (let count = 1 + target.random.below(2); count > 0; count--)
        changeField(target, PAGE_ROOT, ROOT_FIELDS, 'root page')
      sealUsually(target, PAGE_ROOT)
      return true
    },
  },
  {
    name: 'bitmap',
    apply(target: HostileImage): boolean {
      const page = target.pick(target.map.bitmapPages)
      if (page === undefined) return false
      const at = page * PAGE_BYTES
      const used = Math.ceil(target.map.capacityPages / 8)
      switch (target.random.below(4)) {
        case 0:
          for (let count = 1 + target.random.below(4); count > 0; count--) {
            target.bytes[at + BITMAP_OFFSET_BITS + target.random.below(used)] ^= 1 << target.random.below(8)
          }
          break
        case 1:
          target.bytes.fill(0, at + BITMAP_OFFSET_BITS, at + PAGE_BYTES)
          break
        case 2:
          target.bytes.fill(
            0xff,
            at + BITMAP_OFFSET_BITS,
            at + BITMAP_OFFSET_BITS + target.random.below(PAGE_BYTES - 64),
          )
          break
        default:
          changeField(target, page, [8, 12, 16, 64, 68, 72], 'bitmap page')
      }
      target.noteAt(at, 'bitmap changed')
      sealUsually(target, page)
      return true
    },
  },
]

import { PAGE_BYTES } from '../../src/pmem/program.js'
import {
  HEADER_OFFSET_PAGE_ID,
  HEADER_OFFSET_TYPE,
  IDENTITY_OFFSET_LOG_PAGES,
  PAGE_ANCHOR_A,
  PAGE_LOG_START,
  PAGE_ROOT,
  PAGE_TYPE_BITMAP,
  PAGE_TYPE_BRANCH,
  PAGE_TYPE_LEAF,
  PAGE_VOLATILE,
} from '../../src/pool/format.js'

export type PageRole = 'identity' | 'anchor' | 'root' | 'log' | 'bitmap' | 'branch' | 'leaf' | 'other'

/** What a page of a pool image is for, as far as the page itself says: free pages and large values are `other`. */
export function pageRole(image: Uint8Array, pageId: number): PageRole {
  const bytes = new DataView(image.buffer, image.byteOffset, image.length)
  if (pageId < PAGE_ANCHOR_A) return 'identity'
  if (pageId < PAGE_ROOT) return 'anchor'
  if (pageId === PAGE_ROOT) return 'root'
  if (pageId === PAGE_VOLATILE) return 'other'
  if (pageId < PAGE_LOG_START + bytes.getUint32(IDENTITY_OFFSET_LOG_PAGES, true)) return 'log'
  const start = pageId * PAGE_BYTES
  if (start + PAGE_BYTES > image.length || bytes.getUint32(start + HEADER_OFFSET_PAGE_ID, true) !== pageId)
    return 'other'
  const type = bytes.getUint8(start + HEADER_OFFSET_TYPE)
  if (type === PAGE_TYPE_BITMAP) return 'bitmap'
  if (type === PAGE_TYPE_BRANCH) return 'branch'
  return type === PAGE_TYPE_LEAF ? 'leaf' : 'other'
}

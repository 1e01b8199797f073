import { PAGE_BYTES } from '../../src/pmem/program.js'
import { IDENTITY_OFFSET_LOG_PAGES, PAGE_ANCHOR_A, PAGE_ANCHOR_B, PAGE_LOG_START } from '../../src/pool/format.js'

/** What a line of the pool is for, as far as the ways it can go wrong differ. */
export type Region = 'anchor' | 'log' | 'data'

/** Regions of the pool whose identity page lies at the start of an image. */
export function regionsOf(image: Uint8Array): (offset: number) => Region {
  const logPages = new DataView(image.buffer, image.byteOffset).getUint32(IDENTITY_OFFSET_LOG_PAGES, true)
  return (offset) => {
    const page = Math.floor(offset / PAGE_BYTES)
    if (page === PAGE_ANCHOR_A || page === PAGE_ANCHOR_B) return 'anchor'
    return page >= PAGE_LOG_START && page < PAGE_LOG_START + logPages ? 'log' : 'data'
  }
}

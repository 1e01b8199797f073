/**
 * The on-media format, all of it: named offsets and sizes. `docs/format.md` draws the same bytes; `test/docs/format.test.ts`
 * holds the two together. Little-endian throughout. Offsets are in bytes from the start of the page named.
 *
 *     page 0, 1            identity, twice (immutable)
 *     page 2, 3            anchor, twice (epoch, salt, txid; written at open and close)
 *     page 4               root page (transactional: capacity, catalog root)
 *     page 5               volatile words (sequence, owner; never logged, meaningless after a crash)
 *     page 6 ..            log area (logPages)
 *     then                 allocation bitmaps of segment 0
 *     then                 pages
 *     first pages of every further segment: its allocation bitmaps
 */
import { LINE_BYTES, PAGE_BYTES } from '../pmem/program.js'

export const FORMAT_VERSION = 1

export const PAGE_IDENTITY_A = 0
export const PAGE_IDENTITY_B = 1
export const PAGE_ANCHOR_A = 2
export const PAGE_ANCHOR_B = 3
export const PAGE_ROOT = 4
export const PAGE_VOLATILE = 5
export const PAGE_LOG_START = 6

// --- identity (128 bytes) ---
export const IDENTITY_MAGIC = 'DAXKVPL\0'
export const IDENTITY_OFFSET_MAGIC = 0
export const IDENTITY_OFFSET_VERSION = 8
/** Features a reader and writer that does not know them may ignore / may only read / must refuse. */
export const IDENTITY_OFFSET_COMPAT = 12
export const IDENTITY_OFFSET_RO_COMPAT = 16
export const IDENTITY_OFFSET_INCOMPAT = 20
export const IDENTITY_OFFSET_UUID = 24
export const IDENTITY_OFFSET_PAGE_BYTES = 40
export const IDENTITY_OFFSET_SEGMENT_SHIFT = 44
export const IDENTITY_OFFSET_LOG_PAGE = 48
export const IDENTITY_OFFSET_LOG_PAGES = 52
export const IDENTITY_OFFSET_BITMAP_PAGE = 56
export const IDENTITY_OFFSET_CREATED_MS = 64 // two u32: low, high
export const IDENTITY_OFFSET_HASH = 120
export const IDENTITY_BYTES = 128

// --- anchor (two lines, one checksum) ---
export const ANCHOR_MAGIC = 0x41584144 // "DAXA"
export const ANCHOR_OFFSET_MAGIC = 0
export const ANCHOR_OFFSET_CLEAN = 4
export const ANCHOR_OFFSET_SEQ = 8
export const ANCHOR_OFFSET_EPOCH = 16
export const ANCHOR_OFFSET_SALT = 24
export const ANCHOR_OFFSET_TXID = 32
/** Line in the log area where the next redo record is expected; 0 for undo. */
export const ANCHOR_OFFSET_RING = 40
export const ANCHOR_OFFSET_UNSAFE_SHUTDOWNS = 48
export const ANCHOR_OFFSET_BOOT_ID = 64
export const ANCHOR_OFFSET_HASH = 120
export const ANCHOR_BYTES = 128

// --- header line of every page with a checksum (root, bitmap, tree) ---
export const HEADER_OFFSET_CHECKSUM = 0
export const HEADER_OFFSET_PAGE_ID = 8
export const HEADER_OFFSET_TYPE = 12
/** The rest of line 0 belongs to the page type; see `tree/node.ts`. */
export const HEADER_BYTES = LINE_BYTES

export const PAGE_TYPE_ROOT = 1
export const PAGE_TYPE_BITMAP = 2
export const PAGE_TYPE_LEAF = 3
export const PAGE_TYPE_BRANCH = 4

// --- root page ---
/** Capacity has a line of its own (line 1): growth commits it while a user transaction may have the page staged. */
export const ROOT_OFFSET_CAPACITY_PAGES = 64
export const ROOT_OFFSET_CATALOG_PAGE = 128
export const ROOT_OFFSET_NEXT_KEYSPACE_ID = 132

// --- bitmap page ---
export const BITMAP_OFFSET_BITS = 64
export const BITMAP_WORDS = (PAGE_BYTES - BITMAP_OFFSET_BITS) / 4
/** Pages one bitmap page describes. A set bit means allocated. */
export const BITMAP_PAGES = BITMAP_WORDS * 32

export const DEFAULT_SEGMENT_SHIFT = 18
/** Page ids are u32 and the last one is kept free as "none". */
export const MAX_PAGES = 0xffff_ffff

/**
 * The persist program: the short list of operations that describes one commit (or one step of opening and recovering
 * a pool). It is a sequence of u32 words in a command buffer that the executor holds natively; every executor
 * (native, simulated, portable) runs the same words.
 *
 * Addresses are never bytes of the process: a pool line is (page id, line mask), a staged page is a frame number.
 * A page is 4096 bytes = 64 lines of 64 bytes; bit i of the pair (maskLo, maskHi) stands for line i.
 * Executors check every operand against the mapping before the first store: a program is run whole or not at all
 * (except for faults and I/O errors in the middle, which poison the store).
 */

export const PAGE_BYTES = 4096
export const LINE_BYTES = 64
export const LINES_PER_PAGE = 64
export const PAGE_SHIFT = 12

/** `[OP_FENCE]` - every flush so far is durable before any later store: sfence, or msync under granularity page. */
export const OP_FENCE = 1
/**
 * `[OP_CHECKSUM, pageId, frame, maskLo, maskHi]` - brings the checksum field (bytes 0..7) of the staged page up to
 * date: staged.checksum = pool.checksum XOR, for each line in the mask, lineHash(pool line) XOR lineHash(staged line).
 * The mask always includes line 0. Changes staging memory only.
 */
export const OP_CHECKSUM = 2
/** `[OP_CHECKSUM_FRESH, pageId, frame]` - checksum of all 64 lines of a staged page that did not exist before. */
export const OP_CHECKSUM_FRESH = 3
/** `[OP_STORE, pageId, frame, maskLo, maskHi]` - copies the masked lines from the frame into the pool and flushes each. */
export const OP_STORE = 4
/**
 * `[OP_RECORD, kind, logPage, logPages, epochLo, epochHi, txidLo, txidHi, saltLo, saltHi, extentCount, pageCount,
 *   (extentPage, extentPages) * extentCount, (pageId, frame, maskLo, maskHi) * pageCount]`
 * - builds a log record (layout below) in the log slot and writes it with non-temporal stores (under granularity page through
 * the cache), continuing in the extents when the slot is full. It begins on the first line of the slot; one without extents
 * may begin on a later line of the first page: kind + line * RECORD_FIRST_LINE. Kind RECORD_UNDO takes line bodies from the
 * pool (pre-images), kind RECORD_REDO from the frames (post-images). A redo entry whose frame is FRAME_IN_POOL takes them from
 * the pool, where the post-images of raw extents stand already. Kind RECORD_SLOT is as RECORD_REDO, but the lines of an entry
 * whose frame has the bit FRAME_UNLOGGED are not in the record, only in its fresh hash; it begins on the first line of its slot.
 */
export const OP_RECORD = 5
/** `[OP_FLUSH, pageId, maskLo, maskHi]` - flushes lines without storing (the cache may know more than the medium). */
export const OP_FLUSH = 6
/** `[OP_SYNC_ALL]` - fence, and fdatasync of the whole file in every granularity; used at open, recovery and close. */
export const OP_SYNC_ALL = 7
/**
 * `[OP_STORE_LAZY, pageId, frame, maskLo, maskHi]` - copies the masked lines into the pool without flushing or noting them:
 * no fence makes them durable, only OP_SYNC_ALL or a later flush. For lines that a durable redo record covers.
 */
export const OP_STORE_LAZY = 8

/**
 * `[OP_APPLY, logPage, logPages, firstLine]` - copies the lines of the redo record that lies in these log pages, from a line of
 * the first one on, to their places, as OP_STORE_LAZY does: for a record that a barrier has made durable after the frames
 * it was written from have changed.
 */
export const OP_APPLY = 9

/**
 * `[OP_CHECKSUM_FROM, pageId, frame, baseFrame, maskLo, maskHi]` - as OP_CHECKSUM, but from another staged version of the page
 * instead of the pool's: for a page whose last record has not been applied yet.
 */
export const OP_CHECKSUM_FROM = 10

/** Words of each operation; OP_RECORD has tables behind these. */
const OPERATION_WORDS: readonly number[] = [0, 1, 5, 3, 5, 12, 4, 1, 5, 4, 6]

/** Length in words of the operation at word `at` of a valid program. */
export function operationWords(program: Uint32Array, at: number): number {
  const words = OPERATION_WORDS[program[at]]
  return program[at] === OP_RECORD ? words + program[at + 10] * 2 + program[at + 11] * 4 : words
}

/** In place of a frame in an entry of a redo record: the lines are taken from the pool itself. */
export const FRAME_IN_POOL = 0xffff_ffff
/**
 * Added to the frame in an entry of a slot record: the page is stored in its place before the record is durable, and the record
 * holds no more than a hash of these lines. FRAME_IN_POOL has the bit, too: the lines that are hashed are the pool's.
 */
export const FRAME_UNLOGGED = 0x8000_0000

export const RECORD_UNDO = 1
/** One of the ring of redo records (protocol C). */
export const RECORD_REDO = 2
/** A redo record in one of the two slots that alternate (protocol B). */
export const RECORD_SLOT = 3
/** Last word of an entry of a slot record's directory whose lines are not in the record. */
export const DIRECTORY_UNLOGGED = 1
/** Factor of the first line in the kind word of OP_RECORD. */
export const RECORD_FIRST_LINE = 256

/**
 * Log record layout, little-endian, in units of one line (64 bytes):
 *
 *     line 0   header (offsets below)
 *     ...      extent table: extentCount * {u32 page, u32 pages}, zero-padded to a line
 *     ...      directory: pageCount * {u32 pageId, u32 maskLo, u32 maskHi, u32 flags}, zero-padded to a line. flags: 0, or
 *              DIRECTORY_UNLOGGED for the fresh pages of a slot record, which come behind the others and have no bodies
 *     ...      line bodies, in directory order, ascending line number within a page
 *
 * The record is one stream: it fills the log slot from its first byte and goes on in the extents in table order.
 * hash = XXH64(seed = salt) of the header with its hash field zero, then the extent table, directory and bodies with
 * their padding. postHash = XXH64(seed = salt) of the post-images of all covered lines, in the order of the bodies; zero in
 * redo and slot records, which are their post-images. freshHash = XXH64(seed = salt) of the unlogged lines of a slot record, in
 * the order of the directory; zero in the others.
 */
export const RECORD_MAGIC = 0x52584144 // "DAXR"
export const RECORD_OFFSET_MAGIC = 0
export const RECORD_OFFSET_KIND = 4
export const RECORD_OFFSET_EPOCH = 8
export const RECORD_OFFSET_TXID = 16
export const RECORD_OFFSET_PAGE_COUNT = 24
export const RECORD_OFFSET_LINE_COUNT = 28
export const RECORD_OFFSET_EXTENT_COUNT = 32
/** All lines of the record, header included. */
export const RECORD_OFFSET_TOTAL_LINES = 36
export const RECORD_OFFSET_POST_HASH = 40
/** Hash of the lines that are not logged (slot records only). */
export const RECORD_OFFSET_FRESH_HASH = 48
export const RECORD_OFFSET_HASH = 56
export const RECORD_HEADER_BYTES = 64

/** Number of lines a record takes. */
export function recordLines(extentCount: number, pageCount: number, bodyLines: number): number {
  return 1 + Math.ceil((extentCount * 8) / LINE_BYTES) + Math.ceil((pageCount * 16) / LINE_BYTES) + bodyLines
}

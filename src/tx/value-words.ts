import { FRAME_IN_POOL, LINE_BYTES, LINES_PER_PAGE, OP_FLUSH, PAGE_BYTES } from '../pmem/program.js'
import { RECORD_ENTRY_WORDS } from './committer.js'

const ALL_LINES = 0xffff_ffff

/** For every page of the values an entry of the record, or a flush: both are four words with the mask at the end. */
export function putValues(
  words: Uint32Array,
  start: number,
  values: ReadonlyMap<number, number>,
  asEntries: boolean,
): number {
  let at = start
  for (const [page, byteLength] of values) {
    for (let i = 0; i * PAGE_BYTES < byteLength; i++) {
      const lines = Math.min(LINES_PER_PAGE, Math.ceil((byteLength - i * PAGE_BYTES) / LINE_BYTES))
      words[at] = asEntries ? page + i : OP_FLUSH
      words[at + 1] = asEntries ? FRAME_IN_POOL : page + i
      words[at + 2] = lines >= 32 ? ALL_LINES : 2 ** lines - 1
      words[at + 3] = lines <= 32 ? 0 : lines === 64 ? ALL_LINES : 2 ** (lines - 32) - 1
      at += RECORD_ENTRY_WORDS
    }
  }
  return at
}

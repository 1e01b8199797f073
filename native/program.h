/* The words of a persist program; src/pmem/program.ts is where they are documented. */
#ifndef DAXKV_PROGRAM_H
#define DAXKV_PROGRAM_H

#include <stdint.h>

#include "pool.h"

enum opcode {
  OP_FENCE = 1,
  OP_CHECKSUM = 2,
  OP_CHECKSUM_FRESH = 3,
  OP_STORE = 4,
  OP_RECORD = 5,
  OP_FLUSH = 6,
  OP_SYNC_ALL = 7,
  OP_STORE_LAZY = 8,
  OP_APPLY = 9,
  OP_CHECKSUM_FROM = 10
};

enum record_kind { RECORD_UNDO = 1, RECORD_REDO = 2, RECORD_SLOT = 3 };

/* In place of a frame in an entry of a redo record: the lines are taken from the pool. */
#define FRAME_IN_POOL UINT32_MAX
/* Bit of the frame in an entry of a slot record: the lines are hashed, not logged. FRAME_IN_POOL has it, too. */
#define FRAME_UNLOGGED 0x80000000u

/* Words of an operation of fixed length, or 0 for OP_RECORD and for what is no operation. */
static inline unsigned fixed_length(uint32_t opcode) {
  static const uint8_t lengths[] = {[OP_FENCE] = 1, [OP_CHECKSUM] = 5, [OP_CHECKSUM_FRESH] = 3, [OP_STORE] = 5,
                                    [OP_FLUSH] = 4, [OP_SYNC_ALL] = 1, [OP_STORE_LAZY] = 5,   [OP_APPLY] = 4,
                                    [OP_CHECKSUM_FROM] = 6};
  return opcode < sizeof lengths ? lengths[opcode] : 0;
}

/* The kind word of OP_RECORD: the kind, and the line of the first page on which the record begins. */
#define RECORD_FIRST_LINE 256u

/* Word numbers within OP_RECORD. */
enum record_word {
  RECORD_WORD_KIND = 1,
  RECORD_WORD_LOG_PAGE = 2,
  RECORD_WORD_LOG_PAGES = 3,
  RECORD_WORD_EPOCH = 4,
  RECORD_WORD_TXID = 6,
  RECORD_WORD_SALT = 8,
  RECORD_WORD_EXTENT_COUNT = 10,
  RECORD_WORD_PAGE_COUNT = 11,
  RECORD_WORDS = 12
};
#define EXTENT_WORDS 2u
#define ENTRY_WORDS 4u

static inline uint64_t join_words(const uint32_t *words) { return (uint64_t)words[1] << 32 | words[0]; }

static inline uint32_t record_kind(const uint32_t *record) { return record[RECORD_WORD_KIND] % RECORD_FIRST_LINE; }

static inline uint32_t record_first_line(const uint32_t *record) {
  return record[RECORD_WORD_KIND] / RECORD_FIRST_LINE;
}

/* The (pageId, frame, maskLo, maskHi) entries of an OP_RECORD. */
static inline const uint32_t *record_entries(const uint32_t *record) {
  return record + RECORD_WORDS + (size_t)record[RECORD_WORD_EXTENT_COUNT] * EXTENT_WORDS;
}

/* Words of an OP_RECORD, whose counts lie within the program. */
static inline uint64_t record_length(const uint32_t *record) {
  return RECORD_WORDS + (uint64_t)record[RECORD_WORD_EXTENT_COUNT] * EXTENT_WORDS +
         (uint64_t)record[RECORD_WORD_PAGE_COUNT] * ENTRY_WORDS;
}

static inline uint64_t lines_for(uint64_t bytes) { return (bytes + LINE_BYTES - 1) / LINE_BYTES; }

/* All lines of the record, header included. */
static inline uint64_t record_lines(uint32_t extent_count, uint32_t page_count, uint64_t body_lines) {
  return 1 + lines_for((uint64_t)extent_count * 8) + lines_for((uint64_t)page_count * 16) + body_lines;
}

static inline bool entry_is_unlogged(uint32_t kind, const uint32_t *entry) {
  return kind == RECORD_SLOT && (entry[1] & FRAME_UNLOGGED) != 0;
}

static inline uint64_t record_body_lines(const uint32_t *record) {
  const uint32_t *entry = record_entries(record);
  uint32_t kind = record_kind(record);
  uint64_t lines = 0;
  for (uint32_t i = 0; i < record[RECORD_WORD_PAGE_COUNT]; i++, entry += ENTRY_WORDS) {
    if (entry_is_unlogged(kind, entry)) continue;
    lines += (unsigned)__builtin_popcountll(join_words(entry + 2));
  }
  return lines;
}

/*
 * Length in words of the operation at `words` after every operand has been checked against the pool, or 0 and why not.
 * Nothing is stored by it: a program is run whole or not at all.
 */
uint64_t validate_operation(struct pool *pool, const uint32_t *words, uint64_t words_left, enum refusal *why);

/* Builds the record and writes it. Operands are valid. Returns an errno. */
int record_write(struct pool *pool, const uint32_t *record);

/* Copies the lines of the redo record of an OP_APPLY to their pages. EIO when no such record is there any more. */
int record_apply(struct pool *pool, const uint32_t *words);

#endif

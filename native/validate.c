#include <stdlib.h>

#include "program.h"

static bool span_is_inside(const struct pool *pool, uint32_t first, uint32_t pages) {
  return pages > 0 && (uint64_t)first + pages <= pool->page_count;
}

static enum refusal check_page(const struct pool *pool, uint32_t page_id) {
  return page_id < pool->page_count ? REFUSED_NOT : REFUSED_PAGE;
}

static enum refusal check_frame(const struct pool *pool, uint32_t frame) {
  return frame >> CHUNK_SHIFT < pool->chunk_count ? REFUSED_NOT : REFUSED_FRAME;
}

static enum refusal check_line(uint32_t line) { return line < LINES_PER_PAGE ? REFUSED_NOT : REFUSED_SLOT; }

static enum refusal check_mask(const uint32_t *mask) { return join_words(mask) != 0 ? REFUSED_NOT : REFUSED_MASK; }

static enum refusal check_staged(const struct pool *pool, const uint32_t *page_and_frame) {
  enum refusal why = check_page(pool, page_and_frame[0]);
  return why != REFUSED_NOT ? why : check_frame(pool, page_and_frame[1]);
}

static int compare_spans(const void *left, const void *right) {
  const struct page_span *a = left, *b = right;
  return a->first < b->first ? -1 : a->first > b->first;
}

static bool reserve_spans(struct pool *pool, size_t count) {
  if (count <= pool->span_capacity) return true;
  struct page_span *spans = realloc(pool->spans, count * sizeof *spans);
  if (spans == NULL) return false;
  pool->spans = spans;
  pool->span_capacity = count;
  return true;
}

/* Collects slot and extents, sorted, in pool->spans; refuses those that leave the pool or overlap. */
static enum refusal check_spans(struct pool *pool, const uint32_t *record, uint64_t *capacity_pages) {
  uint32_t extent_count = record[RECORD_WORD_EXTENT_COUNT];
  uint32_t log_page = record[RECORD_WORD_LOG_PAGE], log_pages = record[RECORD_WORD_LOG_PAGES];
  if (!span_is_inside(pool, log_page, log_pages)) return REFUSED_SLOT;
  if (!reserve_spans(pool, (size_t)extent_count + 1)) return REFUSED_MEMORY;
  struct page_span *spans = pool->spans;
  spans[0] = (struct page_span){log_page, (uint64_t)log_page + log_pages};
  *capacity_pages = log_pages;
  const uint32_t *extent = record + RECORD_WORDS;
  for (uint32_t i = 1; i <= extent_count; i++, extent += EXTENT_WORDS) {
    if (!span_is_inside(pool, extent[0], extent[1])) return REFUSED_EXTENT;
    spans[i] = (struct page_span){extent[0], (uint64_t)extent[0] + extent[1]};
    *capacity_pages += extent[1];
  }
  if (extent_count == 0) return REFUSED_NOT;
  qsort(spans, (size_t)extent_count + 1, sizeof *spans, compare_spans);
  for (uint32_t i = 1; i <= extent_count; i++) {
    if (spans[i].first < spans[i - 1].end) return REFUSED_OVERLAP;
  }
  return REFUSED_NOT;
}

/* A covered page under the record itself would destroy the image that recovery needs. */
static bool span_holds(const struct page_span *spans, size_t count, uint32_t page_id) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (spans[middle].end <= page_id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < count && spans[low].first <= page_id;
}

static enum refusal check_entries(struct pool *pool, const uint32_t *record) {
  const uint32_t *entry = record_entries(record);
  size_t span_count = (size_t)record[RECORD_WORD_EXTENT_COUNT] + 1;
  uint32_t kind = record_kind(record);
  for (uint32_t i = 0; i < record[RECORD_WORD_PAGE_COUNT]; i++, entry += ENTRY_WORDS) {
    bool in_pool = kind != RECORD_UNDO && entry[1] == FRAME_IN_POOL;
    enum refusal why = check_page(pool, entry[0]);
    uint32_t frame = entry_is_unlogged(kind, entry) ? entry[1] & ~FRAME_UNLOGGED : entry[1];
    if (why == REFUSED_NOT && !in_pool) why = check_frame(pool, frame);
    if (why == REFUSED_NOT) why = check_mask(entry + 2);
    if (why != REFUSED_NOT) return why;
    if (span_holds(pool->spans, span_count, entry[0])) return REFUSED_OVERLAP;
  }
  return REFUSED_NOT;
}

static uint64_t validate_record(struct pool *pool, const uint32_t *record, uint64_t words_left, enum refusal *why) {
  *why = REFUSED_TRUNCATED;
  if (words_left < RECORD_WORDS) return 0;
  uint64_t length = record_length(record);
  if (length > words_left) return 0;
  uint32_t kind = record_kind(record), first_line = record_first_line(record);
  uint32_t page_count = record[RECORD_WORD_PAGE_COUNT];
  *why = kind >= RECORD_UNDO && kind <= RECORD_SLOT ? REFUSED_NOT : REFUSED_KIND;
  if (*why == REFUSED_NOT) *why = check_line(first_line);
  bool first_only = kind == RECORD_SLOT || record[RECORD_WORD_EXTENT_COUNT] > 0;
  if (*why == REFUSED_NOT && first_line > 0 && first_only) *why = REFUSED_SLOT;
  /* An empty transaction writes nothing: a record of no pages could be mistaken for a zeroed log. */
  if (*why == REFUSED_NOT && page_count == 0) *why = REFUSED_COUNT;
  uint64_t capacity_pages = 0;
  if (*why == REFUSED_NOT) *why = check_spans(pool, record, &capacity_pages);
  if (*why == REFUSED_NOT) *why = check_entries(pool, record);
  if (*why != REFUSED_NOT) return 0;
  uint64_t body_lines = record_body_lines(record);
  /* Fresh pages that no line of an older one leads to would belong to nobody. */
  if (body_lines == 0) *why = REFUSED_COUNT;
  uint64_t lines = record_lines(record[RECORD_WORD_EXTENT_COUNT], page_count, body_lines);
  /* The total is a u32 field of the header. */
  if (lines > capacity_pages * LINES_PER_PAGE - first_line || lines > UINT32_MAX) *why = REFUSED_FIT;
  return *why == REFUSED_NOT ? length : 0;
}

uint64_t validate_operation(struct pool *pool, const uint32_t *words, uint64_t words_left, enum refusal *why) {
  uint32_t opcode = words[0];
  if (opcode == OP_RECORD) return validate_record(pool, words, words_left, why);
  unsigned length = fixed_length(opcode);
  *why = REFUSED_OPCODE;
  if (length == 0) return 0;
  *why = REFUSED_TRUNCATED;
  if (length > words_left) return 0;
  *why = REFUSED_NOT;
  bool stores = opcode == OP_STORE || opcode == OP_STORE_LAZY;
  bool checksums = opcode == OP_CHECKSUM || opcode == OP_CHECKSUM_FROM;
  const uint32_t *mask = opcode == OP_CHECKSUM_FROM ? words + 4 : words + 3;
  if (checksums || opcode == OP_CHECKSUM_FRESH || stores) *why = check_staged(pool, words + 1);
  if (*why == REFUSED_NOT && opcode == OP_CHECKSUM_FROM) *why = check_frame(pool, words[3]);
  if (opcode == OP_FLUSH) *why = check_page(pool, words[1]);
  if (opcode == OP_APPLY && !span_is_inside(pool, words[1], words[2])) *why = REFUSED_SLOT;
  if (*why == REFUSED_NOT && opcode == OP_APPLY) *why = check_line(words[3]);
  if (*why == REFUSED_NOT && (checksums || stores)) *why = check_mask(mask);
  if (*why == REFUSED_NOT && opcode == OP_FLUSH) *why = check_mask(words + 2);
  /* The checksum field lies in line 0, so a mask without it would leave the new checksum unstored. */
  if (*why == REFUSED_NOT && checksums && (mask[0] & 1u) == 0) *why = REFUSED_MASK;
  return *why == REFUSED_NOT ? length : 0;
}

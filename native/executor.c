#include "executor.h"

#include <errno.h>
#include <string.h>

#include "operation-hook.h"
#include "page-writes.h"
#include "persist.h"
#include "program.h"
#include "xxh64.h"

static void set_status(struct pool *pool, enum run_status code, int error, uint64_t word_index, enum refusal why) {
  pool->control->status.code = code;
  pool->control->status.error = error;
  pool->control->status.word_index = (double)word_index;
  pool->control->status.refusal = why;
}

static void set_media_status(struct pool *pool, uint64_t word_index) {
  const struct fault *fault = &pool->faults.last;
  set_status(pool, STATUS_MEDIA_ERROR, EIO, word_index, REFUSED_NOT);
  pool->control->status.offset = (double)fault->offset;
  pool->control->status.length = (double)fault->length;
  pool->control->status.kind = fault->kind;
}

static uint64_t load_checksum(const uint8_t *page) {
  uint64_t checksum;
  memcpy(&checksum, page, sizeof checksum);
  return checksum;
}

static uint64_t hash_page_lines(const uint8_t *page, uint32_t page_id, uint64_t mask) {
  uint64_t hash = 0;
  for (; mask != 0; mask &= mask - 1) {
    unsigned line = (unsigned)__builtin_ctzll(mask);
    hash ^= page_line_hash(page + (size_t)line * LINE_BYTES, page_id, line);
  }
  return hash;
}

/* Most of them are in no cache any more: asked for all at once they come together. */
static void fetch_lines(const uint8_t *page, uint64_t mask) {
  for (; mask != 0; mask &= mask - 1) __builtin_prefetch(page + (size_t)__builtin_ctzll(mask) * LINE_BYTES);
}

/* From a version of the page whose checksum is right, and which differs in the masked lines only. */
static void update_checksum(uint8_t *staged, const uint8_t *base, uint32_t page_id, uint64_t mask) {
  fetch_lines(base, mask);
  fetch_lines(staged, mask);
  uint64_t checksum =
      load_checksum(base) ^ hash_page_lines(base, page_id, mask) ^ hash_page_lines(staged, page_id, mask);
  memcpy(staged, &checksum, sizeof checksum);
}

static void run_checksum(struct pool *pool, const uint32_t *words) {
  update_checksum(pool_frame(pool, words[2]), pool_base_page(pool, words[1]), words[1], join_words(words + 3));
}

static void run_checksum_from(struct pool *pool, const uint32_t *words) {
  update_checksum(pool_frame(pool, words[2]), pool_frame(pool, words[3]), words[1], join_words(words + 4));
}

static void run_checksum_fresh(struct pool *pool, const uint32_t *words) {
  uint8_t *staged = pool_frame(pool, words[2]);
  uint64_t checksum = hash_page_lines(staged, words[1], UINT64_MAX);
  memcpy(staged, &checksum, sizeof checksum);
}

static void run_store(struct pool *pool, const uint32_t *words) {
  uint8_t *target = pool_write_page(pool, words[1]);
  const uint8_t *source = pool_frame(pool, words[2]);
  uint64_t mask = join_words(words + 3);
  if (mask == UINT64_MAX) {
    for (size_t at = 0; at < PAGE_BYTES; at += LINE_BYTES) cpu_stream_line(target + at, source + at);
    persist_account_stream(pool, words[1], LINES_PER_PAGE);
    return;
  }
  persist_account_flush(pool, words[1], (unsigned)__builtin_popcountll(mask));
  for (; mask != 0; mask &= mask - 1) {
    size_t at = (size_t)__builtin_ctzll(mask) * LINE_BYTES;
    memcpy(target + at, source + at, LINE_BYTES);
    persist_flush_line(pool, target + at);
  }
}

/* Covered by a durable record: nothing is flushed, and the page is not noted for the next msync. */
static int run_store_lazy(struct pool *pool, const uint32_t *words) {
  const uint8_t *source = pool_frame(pool, words[2]);
  uint64_t mask = join_words(words + 3);
  if (page_writes_are_better(pool, words[1])) return page_writes_page(pool, words[1], mask, source);
  uint8_t *target = pool_write_page(pool, words[1]);
  persist_note_lazy(pool, words[1]);
  if (mask == UINT64_MAX) {
    memcpy(target, source, PAGE_BYTES);
    return 0;
  }
  for (; mask != 0; mask &= mask - 1) {
    size_t at = (size_t)__builtin_ctzll(mask) * LINE_BYTES;
    memcpy(target + at, source + at, LINE_BYTES);
  }
  return 0;
}

static void run_flush(struct pool *pool, const uint32_t *words) {
  const uint8_t *page = pool_write_page(pool, words[1]);
  uint64_t mask = join_words(words + 2);
  persist_account_flush(pool, words[1], (unsigned)__builtin_popcountll(mask));
  for (; mask != 0; mask &= mask - 1) persist_flush_line(pool, page + (size_t)__builtin_ctzll(mask) * LINE_BYTES);
}

static int run_sync_all(struct pool *pool) {
  pool->control->counters[COUNT_FENCES] += 1;
  cpu_fence();
  page_writes_all_clean(pool);
  return persist_sync_file(pool);
}

static int run_operation(struct pool *pool, const uint32_t *words) {
  switch (words[0]) {
    case OP_FENCE:
      return persist_fence(pool);
    case OP_CHECKSUM:
      run_checksum(pool, words);
      return 0;
    case OP_CHECKSUM_FRESH:
      run_checksum_fresh(pool, words);
      return 0;
    case OP_CHECKSUM_FROM:
      run_checksum_from(pool, words);
      return 0;
    case OP_STORE:
      run_store(pool, words);
      return 0;
    case OP_RECORD:
      return record_write(pool, words);
    case OP_FLUSH:
      run_flush(pool, words);
      return 0;
    case OP_STORE_LAZY:
      return run_store_lazy(pool, words);
    case OP_APPLY:
      return record_apply(pool, words);
    default:
      return run_sync_all(pool);
  }
}

static bool validate_program(struct pool *pool, uint64_t words) {
  if (words > pool->program_words) {
    set_status(pool, STATUS_REFUSED, EINVAL, 0, REFUSED_LENGTH);
    return false;
  }
  for (uint64_t at = 0; at < words;) {
    enum refusal why = REFUSED_NOT;
    uint64_t length = validate_operation(pool, pool->program + at, words - at, &why);
    if (length == 0) {
      set_status(pool, STATUS_REFUSED, EINVAL, at, why);
      return false;
    }
    at += length;
  }
  return true;
}

static bool is_gathered(uint32_t opcode) { return opcode == OP_APPLY; }

void executor_run(struct pool *pool) {
  uint64_t words = pool->control->call.words;
  if (!validate_program(pool, words)) return;
  pool->faults_before = atomic_load(&pool->faults.seen);
  pool->control->counters[COUNT_PROGRAMS] += 1;
  for (uint64_t at = 0; at < words;) {
    const uint32_t *words_at = pool->program + at;
    uint64_t next = at + (words_at[0] == OP_RECORD ? record_length(words_at) : fixed_length(words_at[0]));
    int error = operation_hook();
    if (error == 0) error = run_operation(pool, words_at);
    /* Records applied one after the other are gathered: no other operation may overtake them. */
    if (error == 0 && (next == words || !is_gathered(pool->program[next]))) error = page_writes_flush(pool);
    if (error != 0) {
      page_writes_drop(pool);
      set_status(pool, STATUS_PERSIST_FAILED, error, at, REFUSED_NOT);
      return;
    }
    /* Before the next operation: an image read as zeros must not be relied on by the stores that follow a fence. */
    if (atomic_load(&pool->faults.seen) != pool->faults_before) {
      page_writes_drop(pool);
      set_media_status(pool, at);
      return;
    }
    at = next;
  }
  pool->control->status.code = STATUS_OK;
}

static bool extent_is_inside(struct pool *pool, uint32_t page_id, uint64_t byte_length) {
  uint64_t pages = (byte_length + PAGE_BYTES - 1) >> PAGE_SHIFT;
  if ((uint64_t)page_id + pages <= pool->page_count) return true;
  set_status(pool, STATUS_REFUSED, EINVAL, 0, REFUSED_EXTENT);
  return false;
}

static void set_hash(struct pool *pool, uint64_t hash) {
  pool->control->call.hash_lo = (uint32_t)hash;
  pool->control->call.hash_hi = (uint32_t)(hash >> 32);
}

/* Copies up to one page; full lines past the cache, the last piece of a line flushed. */
static void write_extent_page(struct pool *pool, uint32_t page_id, const uint8_t *bytes, size_t length) {
  uint8_t *target = pool_write_page(pool, page_id);
  if (pool->control->call.lazily != 0) {
    persist_note_lazy(pool, page_id);
    memcpy(target, bytes, length);
    return;
  }
  size_t full = length & ~(size_t)(LINE_BYTES - 1);
  for (size_t at = 0; at < full; at += LINE_BYTES) cpu_stream_line(target + at, bytes + at);
  if (full > 0) persist_account_stream(pool, page_id, (unsigned)(full / LINE_BYTES));
  if (full == length) return;
  memcpy(target + full, bytes + full, length - full);
  persist_account_flush(pool, page_id, 1);
  persist_flush_line(pool, target + full);
}

void executor_write_extent(struct pool *pool, const uint8_t *bytes, size_t byte_length) {
  uint32_t page_id = pool->control->call.page_id;
  if (!extent_is_inside(pool, page_id, byte_length)) return;
  uint32_t faults_before = atomic_load(&pool->faults.seen);
  struct xxh64 hash;
  xxh64_start(&hash, 0);
  size_t left = byte_length;
  for (; left >= PAGE_BYTES; left -= PAGE_BYTES, bytes += PAGE_BYTES) {
    xxh64_lines(&hash, bytes, LINES_PER_PAGE);
    write_extent_page(pool, page_id++, bytes, PAGE_BYTES);
  }
  if (left > 0) write_extent_page(pool, page_id, bytes, left);
  set_hash(pool, xxh64_finish(&hash, bytes, left));
  pool->control->status.code = STATUS_OK;
  if (atomic_load(&pool->faults.seen) != faults_before) set_media_status(pool, 0);
}

void executor_hash_extent(struct pool *pool) {
  uint32_t page_id = pool->control->call.page_id;
  uint64_t left = pool->control->call.byte_length;
  if (!extent_is_inside(pool, page_id, left)) return;
  struct xxh64 hash;
  xxh64_start(&hash, 0);
  for (; left >= PAGE_BYTES; left -= PAGE_BYTES, page_id++) {
    xxh64_lines(&hash, pool_read_page(pool, page_id), LINES_PER_PAGE);
  }
  const uint8_t *tail = left > 0 ? pool_read_page(pool, page_id) : NULL;
  set_hash(pool, xxh64_finish(&hash, tail, (size_t)left));
  pool->control->status.code = STATUS_OK;
}

void executor_verify_page(struct pool *pool) {
  uint32_t page_id = pool->control->call.page_id;
  pool->control->call.result = 0;
  if (!extent_is_inside(pool, page_id, PAGE_BYTES)) return;
  const uint8_t *page = pool_read_page(pool, page_id);
  pool->control->call.result = load_checksum(page) == hash_page_lines(page, page_id, UINT64_MAX) ? 1 : 0;
  pool->control->status.code = STATUS_OK;
}

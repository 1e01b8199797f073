#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "page-writes.h"
#include "persist.h"
#include "program.h"
#include "xxh64.h"

#define RECORD_MAGIC 0x52584144u

/* RECORD_OFFSET_* of program.ts. */
struct record_header {
  uint32_t magic;
  uint32_t kind;
  uint64_t epoch;
  uint64_t txid;
  uint32_t page_count;
  uint32_t line_count;
  uint32_t extent_count;
  uint32_t total_lines;
  uint64_t post_hash;
  uint64_t fresh_hash;
  uint64_t hash;
};
_Static_assert(sizeof(struct record_header) == LINE_BYTES, "the header is one line");
_Static_assert(offsetof(struct record_header, page_count) == 24, "RECORD_OFFSET_PAGE_COUNT");
_Static_assert(offsetof(struct record_header, post_hash) == 40, "RECORD_OFFSET_POST_HASH");
_Static_assert(offsetof(struct record_header, fresh_hash) == 48, "RECORD_OFFSET_FRESH_HASH");
_Static_assert(offsetof(struct record_header, hash) == 56, "RECORD_OFFSET_HASH");

/* Where the next line of the record goes: through the slot, then through the extents in table order. */
struct record_stream {
  struct pool *pool;
  const uint32_t *next_extent;
  uint64_t page;
  uint64_t end_page;
  uint8_t *page_bytes;
  unsigned line;
  /* Durable by msync, which writes the page cache back: past the CPU's cache it would come back from memory to be applied. */
  bool cached;
  /* Not NULL: where the record is put together, line by line. */
  uint8_t *buffer;
  struct xxh64 hash;
};

static void enter_page(struct record_stream *stream) {
  if (stream->page == stream->end_page) {
    stream->page = stream->next_extent[0];
    stream->end_page = stream->page + stream->next_extent[1];
    stream->next_extent += EXTENT_WORDS;
  }
  stream->page_bytes = pool_write_page(stream->pool, (uint32_t)stream->page);
  stream->line = 0;
}

static uint8_t *next_line(struct record_stream *stream) {
  if (stream->buffer != NULL) {
    stream->buffer += LINE_BYTES;
    return stream->buffer - LINE_BYTES;
  }
  if (stream->line == LINES_PER_PAGE) {
    stream->page++;
    enter_page(stream);
  }
  persist_account_stream(stream->pool, (uint32_t)stream->page, 1);
  return stream->page_bytes + (size_t)stream->line++ * LINE_BYTES;
}

static void store_line(const struct record_stream *stream, uint8_t *target, const void *line) {
  if (stream->cached) {
    memcpy(target, line, LINE_BYTES);
  } else {
    cpu_stream_line(target, line);
  }
}

static void put_line(struct record_stream *stream, const void *line) {
  xxh64_lines(&stream->hash, line, 1);
  store_line(stream, next_line(stream), line);
}

static void put_extent_table(struct record_stream *stream, const uint32_t *record) {
  const uint32_t *extent = record + RECORD_WORDS;
  uint32_t left = record[RECORD_WORD_EXTENT_COUNT];
  while (left > 0) {
    uint32_t line[LINE_BYTES / 4] = {0};
    uint32_t count = left < LINE_BYTES / 8 ? left : LINE_BYTES / 8;
    memcpy(line, extent, (size_t)count * 8);
    put_line(stream, line);
    extent += (size_t)count * EXTENT_WORDS;
    left -= count;
  }
}

static void put_directory(struct record_stream *stream, const uint32_t *record) {
  const uint32_t *entry = record_entries(record);
  uint32_t kind = record_kind(record);
  uint32_t left = record[RECORD_WORD_PAGE_COUNT];
  while (left > 0) {
    uint32_t line[LINE_BYTES / 4] = {0};
    uint32_t count = left < LINE_BYTES / 16 ? left : LINE_BYTES / 16;
    for (uint32_t i = 0; i < count; i++, entry += ENTRY_WORDS) {
      line[i * 4] = entry[0];
      line[i * 4 + 1] = entry[2];
      line[i * 4 + 2] = entry[3];
      line[i * 4 + 3] = entry_is_unlogged(kind, entry);
    }
    put_line(stream, line);
    left -= count;
  }
}

/* The page that holds the new lines of an entry. */
static const uint8_t *post_image(const struct pool *pool, const uint32_t *entry) {
  return entry[1] == FRAME_IN_POOL ? pool_write_page(pool, entry[0]) : pool_frame(pool, entry[1] & ~FRAME_UNLOGGED);
}

static void put_bodies(struct record_stream *stream, const uint32_t *record) {
  const struct pool *pool = stream->pool;
  uint32_t kind = record_kind(record);
  const uint32_t *entry = record_entries(record);
  for (uint32_t i = 0; i < record[RECORD_WORD_PAGE_COUNT]; i++, entry += ENTRY_WORDS) {
    if (entry_is_unlogged(kind, entry)) continue;
    const uint8_t *page = kind == RECORD_UNDO ? pool_write_page(pool, entry[0]) : post_image(pool, entry);
    for (uint64_t mask = join_words(entry + 2); mask != 0; mask &= mask - 1) {
      put_line(stream, page + (size_t)__builtin_ctzll(mask) * LINE_BYTES);
    }
  }
}

/* Hash of what the covered lines will hold: recovery knows by it a finished undo transaction from a torn one. */
static uint64_t hash_post_images(const struct pool *pool, const uint32_t *record) {
  struct xxh64 hash;
  xxh64_start(&hash, join_words(record + RECORD_WORD_SALT));
  const uint32_t *entry = record_entries(record);
  for (uint32_t i = 0; i < record[RECORD_WORD_PAGE_COUNT]; i++, entry += ENTRY_WORDS) {
    const uint8_t *frame = pool_frame(pool, entry[1]);
    for (uint64_t mask = join_words(entry + 2); mask != 0; mask &= mask - 1) {
      xxh64_lines(&hash, frame + (size_t)__builtin_ctzll(mask) * LINE_BYTES, 1);
    }
  }
  return xxh64_finish(&hash, NULL, 0);
}

/* Hash of the lines that stand in their places before the record is durable: by it recovery knows whether they do. */
static uint64_t hash_unlogged(const struct pool *pool, const uint32_t *record) {
  struct xxh64 hash;
  xxh64_start(&hash, join_words(record + RECORD_WORD_SALT));
  const uint32_t *entry = record_entries(record);
  for (uint32_t i = 0; i < record[RECORD_WORD_PAGE_COUNT]; i++, entry += ENTRY_WORDS) {
    if (!entry_is_unlogged(RECORD_SLOT, entry)) continue;
    const uint8_t *page = post_image(pool, entry);
    uint64_t mask = join_words(entry + 2);
    if (mask == UINT64_MAX) {
      xxh64_lines(&hash, page, LINES_PER_PAGE);
      continue;
    }
    for (; mask != 0; mask &= mask - 1) {
      xxh64_lines(&hash, page + (size_t)__builtin_ctzll(mask) * LINE_BYTES, 1);
    }
  }
  return xxh64_finish(&hash, NULL, 0);
}

static struct record_header make_header(const struct pool *pool, const uint32_t *record) {
  uint64_t body_lines = record_body_lines(record);
  uint32_t extent_count = record[RECORD_WORD_EXTENT_COUNT], page_count = record[RECORD_WORD_PAGE_COUNT];
  return (struct record_header){
      .magic = RECORD_MAGIC,
      .kind = record_kind(record),
      .epoch = join_words(record + RECORD_WORD_EPOCH),
      .txid = join_words(record + RECORD_WORD_TXID),
      .page_count = page_count,
      .line_count = (uint32_t)body_lines,
      .extent_count = extent_count,
      .total_lines = (uint32_t)record_lines(extent_count, page_count, body_lines),
      .post_hash = record_kind(record) == RECORD_UNDO ? hash_post_images(pool, record) : 0,
      .fresh_hash = record_kind(record) == RECORD_SLOT ? hash_unlogged(pool, record) : 0,
  };
}

/*
 * Memory for the whole record, or NULL: where it is stored through the mapping. Under granularity page it is put together in memory
 * and written by one system call: the page faults of storing it through the mapping cost several times as much, and dirty
 * mappings make the msync longer.
 */
static uint8_t *record_buffer(struct pool *pool, const struct record_header *header) {
  if (pool->granularity != GRANULARITY_PAGE || header->extent_count > 0) return NULL;
  size_t length = (size_t)header->total_lines * LINE_BYTES;
  if (length > pool->record_capacity) {
    uint8_t *bytes = realloc(pool->record_bytes, length);
    /* Not worth failing for. */
    if (bytes == NULL) return NULL;
    pool->record_bytes = bytes;
    pool->record_capacity = length;
  }
  return pool->record_bytes;
}

/* The mapping shows what is written: both are the page cache. A crash in between leaves a record that is not whole. */
static int write_buffer(struct pool *pool, const uint32_t *record, uint32_t total_lines) {
  uint32_t first_line = record_first_line(record), page = record[RECORD_WORD_LOG_PAGE];
  uint64_t offset = ((uint64_t)page << PAGE_SHIFT) + (uint64_t)first_line * LINE_BYTES;
  for (uint32_t lines = first_line + total_lines; lines > 0; page++) {
    unsigned stored = lines < LINES_PER_PAGE ? lines : LINES_PER_PAGE;
    persist_account_stream(pool, page, page == record[RECORD_WORD_LOG_PAGE] ? stored - first_line : stored);
    lines -= stored;
  }
  return page_writes_now(pool, pool->record_bytes, (uint64_t)total_lines * LINE_BYTES, offset);
}

/* Pages of a file that was cut short must fault, or the write would lengthen the file. */
static void touch_log_pages(const struct pool *pool, const uint32_t *record, uint32_t total_lines) {
  uint32_t first = record[RECORD_WORD_LOG_PAGE];
  uint32_t last = first + (record_first_line(record) + total_lines - 1) / LINES_PER_PAGE;
  (void)*(const volatile uint8_t *)pool_base_page(pool, first);
  (void)*(const volatile uint8_t *)pool_base_page(pool, last);
}

int record_write(struct pool *pool, const uint32_t *record) {
  uint32_t faults_before = atomic_load(&pool->faults.seen);
  struct record_header header = make_header(pool, record);
  struct record_stream stream = {.pool = pool, .next_extent = record + RECORD_WORDS};
  stream.cached = pool->granularity == GRANULARITY_PAGE;
  stream.buffer = record_buffer(pool, &header);
  bool buffered = stream.buffer != NULL;
  stream.page = record[RECORD_WORD_LOG_PAGE];
  stream.end_page = stream.page + record[RECORD_WORD_LOG_PAGES];
  enter_page(&stream);
  stream.line = record_first_line(record);
  xxh64_start(&stream.hash, join_words(record + RECORD_WORD_SALT));
  xxh64_lines(&stream.hash, &header, 1);
  uint8_t *header_line = next_line(&stream);
  put_extent_table(&stream, record);
  put_directory(&stream, record);
  put_bodies(&stream, record);
  header.hash = xxh64_finish(&stream.hash, NULL, 0);
  if (buffered) touch_log_pages(pool, record, header.total_lines);
  /* What faulted was read as zeros. Without its header the record stays incomplete, so that no recovery applies them. */
  if (atomic_load(&pool->faults.seen) != faults_before) return 0;
  store_line(&stream, header_line, &header);
  return buffered ? write_buffer(pool, record, header.total_lines) : 0;
}

/* The directory line of an entry: {pageId, maskLo, maskHi, 0}. */
static const uint32_t *directory_entry(const uint8_t *record, uint32_t index) {
  return (const uint32_t *)(record + LINE_BYTES) + (size_t)index * 4;
}

/* The program wrote this record itself, but a stranger may have written to the file since. */
static bool is_applicable(const struct pool *pool, const uint8_t *record, const uint32_t *words) {
  uint32_t log_page = words[1], log_pages = words[2];
  struct record_header header;
  memcpy(&header, record, sizeof header);
  if (header.magic != RECORD_MAGIC || header.kind != RECORD_REDO || header.extent_count != 0) return false;
  if (header.total_lines > (uint64_t)log_pages * LINES_PER_PAGE - words[3]) return false;
  if (record_lines(0, header.page_count, header.line_count) != header.total_lines) return false;
  uint64_t lines = 0;
  for (uint32_t i = 0; i < header.page_count; i++) {
    const uint32_t *entry = directory_entry(record, i);
    if (entry[0] >= pool->page_count) return false;
    if (entry[0] >= log_page && entry[0] - log_page < log_pages) return false;
    lines += (unsigned)__builtin_popcountll(join_words(entry + 1));
  }
  return lines == header.line_count;
}

int record_apply(struct pool *pool, const uint32_t *words) {
  /* The log lies in one segment, and a record of the ring in one stretch of it: what leaves the segment is no record. */
  if (words[1] >> pool->segment_shift != (words[1] + words[2] - 1) >> pool->segment_shift) return EIO;
  const uint8_t *record = pool_base_page(pool, words[1]) + (size_t)words[3] * LINE_BYTES;
  if (!is_applicable(pool, record, words)) return EIO;
  struct record_header header;
  memcpy(&header, record, sizeof header);
  const uint8_t *body = record + (size_t)(header.total_lines - header.line_count) * LINE_BYTES;
  for (uint32_t i = 0; i < header.page_count; i++) {
    const uint32_t *entry = directory_entry(record, i);
    uint64_t mask = join_words(entry + 1);
    int error = page_writes_take(pool, entry[0], mask, body);
    if (error != 0) return error;
    body += (size_t)__builtin_popcountll(mask) * LINE_BYTES;
  }
  return 0;
}

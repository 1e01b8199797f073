/* One open pool as the addon holds it. The JavaScript side sees only the shared control block and the mappings. */
#ifndef DAXKV_POOL_H
#define DAXKV_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "barrier-gate.h"
#include "faults.h"

#define PAGE_BYTES 4096u
#define PAGE_SHIFT 12u
#define LINE_BYTES 64u
#define LINES_PER_PAGE 64u
/* STAGING_CHUNK_SHIFT of persistent-memory.ts. */
#define CHUNK_SHIFT 7u
#define CHUNK_FRAMES (1u << CHUNK_SHIFT)
#define CHUNK_BYTES ((size_t)CHUNK_FRAMES * PAGE_BYTES)
/* 16 TiB in segments of 1 GiB are 16,384; smaller segments (tests) reach less. The table costs 2 MiB of address space. */
#define SEGMENTS_MAX 65536u
/* A segment of 1 GiB: byte indexes into a view stay small integers in V8. */
#define SEGMENT_SHIFT_MAX 18u

enum granularity { GRANULARITY_BYTE = 0, GRANULARITY_CACHE_LINE = 1, GRANULARITY_PAGE = 2 };

/* How a program ended; mirrored in native-binding.ts. */
enum run_status {
  STATUS_OK = 0,
  STATUS_REFUSED = 1,
  STATUS_PERSIST_FAILED = 2,
  STATUS_MEDIA_ERROR = 3,
  STATUS_CLOSED = 4,
  STATUS_READ_ONLY = 5
};

/* Why a program was refused; mirrored in native-binding.ts. */
enum refusal {
  REFUSED_NOT = 0,
  REFUSED_OPCODE,
  REFUSED_TRUNCATED,
  REFUSED_PAGE,
  REFUSED_FRAME,
  REFUSED_MASK,
  REFUSED_KIND,
  REFUSED_SLOT,
  REFUSED_EXTENT,
  REFUSED_OVERLAP,
  REFUSED_FIT,
  REFUSED_COUNT,
  REFUSED_LENGTH,
  REFUSED_MEMORY
};

enum counter {
  COUNT_FENCES,
  COUNT_FLUSHED_LINES,
  COUNT_NON_TEMPORAL_LINES,
  COUNT_SYNCS,
  COUNT_PROGRAMS,
  COUNT_BACKGROUND_SYNCS,
  COUNTERS = 8
};

/*
 * Shared with JavaScript as one external ArrayBuffer, so that a call needs neither arguments nor a result object.
 * Offsets are mirrored in native-binding.ts.
 */
struct control {
  _Atomic uint32_t fault_words[16];
  double counters[COUNTERS];
  struct {
    double code, error, word_index, offset, length, kind, refusal, unused;
  } status;
  struct {
    uint32_t words, page_id, byte_length, hash_lo, hash_hi, result, lazily, unused[9];
  } call;
};
_Static_assert(offsetof(struct control, counters) == 64, "mirrored in native-binding.ts");
_Static_assert(offsetof(struct control, status) == 128, "mirrored in native-binding.ts");
_Static_assert(offsetof(struct control, call) == 192, "mirrored in native-binding.ts");
_Static_assert(sizeof(struct control) == 256, "mirrored in native-binding.ts");

/* Both mappings of one segment; `write` is NULL in a read-only pool. */
struct segment {
  uint8_t *read;
  uint8_t *write;
};

/* Pages stored since the last barrier, under granularity page. */
struct dirty_range {
  bool any;
  uint32_t first_page;
  uint32_t last_page;
};

/* Pages of the file are counted in pieces of 1 MiB, and their zeros written so. */
#define PIECE_SHIFT 8u
#define PAGES_PER_PIECE ((uint64_t)1 << PIECE_SHIFT)
#define PIECE_BYTES ((size_t)PAGE_BYTES << PIECE_SHIFT)

/* A stretch of pages a record occupies; scratch of the validation. */
struct page_span {
  uint64_t first;
  uint64_t end;
};

struct pool {
  int fd;
  /* Another open file of the same one, or -1: see barrier.h. */
  int data_fd;
  bool read_only;
  bool map_sync;
  bool is_open;
  enum granularity granularity;
  unsigned segment_shift;
  uint64_t page_count;
  /* Up to here zeros for the next growth are durable; 0, or not below the capacity. */
  uint64_t prepared_bytes;
  struct segment *segments;
  _Atomic uint32_t segment_count;
  struct control *control;
  uint32_t *program;
  size_t program_words;
  uint8_t **chunks;
  uint32_t chunk_count;
  uint32_t chunk_capacity;
  struct dirty_range dirty;
  struct barrier_gate gate;
  /*
   * How often pages of each piece of the file were stored to lazily since the last data sync began, up to 255, and the counts which that
   * one took over. NULL without data syncs. They say where most of the work is: what they lack is synced, too.
   */
  uint8_t *stored_pages;
  uint8_t *other_stored_pages;
  struct fault_queue faults;
  /* Faults seen when the program under way began: since one more, what was read may be made up. */
  uint32_t faults_before;
  struct page_span *spans;
  /* Where a record of many pages is put together before it is written to the file. */
  uint8_t *record_bytes;
  size_t record_capacity;
  size_t span_capacity;
  /* Made when it is first needed. */
  struct page_writes *page_writes;
  dev_t device;
  ino_t inode;
  const void *lock_owner;
};

struct pool_options {
  int fd;
  uint64_t byte_length;
  unsigned segment_shift;
  bool read_only;
  bool map_sync;
  enum granularity granularity;
  const void *lock_owner;
};

/* Duplicates the descriptor and maps the file. Returns an errno, or 0 and the pool. */
int pool_open(const struct pool_options *options, struct pool **result);

/* Unmaps everything, unlocks, closes. The struct stays (stale calls find is_open false) until pool_free. */
void pool_close(struct pool *pool);
void pool_free(struct pool *pool);

int pool_add_chunk(struct pool *pool);
void pool_trim_chunks(struct pool *pool, uint32_t keep);
int pool_grow(struct pool *pool, uint64_t new_byte_length);

struct program_buffer {
  uint32_t *program;
  size_t words;
};

int pool_allocate_program(size_t words, struct program_buffer *buffer);
void pool_discard_program(struct program_buffer *buffer);
/* Takes the buffer over, with the contents of the old one, which is released. */
void pool_replace_program(struct pool *pool, const struct program_buffer *buffer);
static inline size_t pool_segment_bytes(const struct pool *pool) { return (size_t)PAGE_BYTES << pool->segment_shift; }

static inline uint8_t *pool_write_page(const struct pool *pool, uint32_t page_id) {
  uint32_t within = page_id & ((1u << pool->segment_shift) - 1u);
  return pool->segments[page_id >> pool->segment_shift].write + ((size_t)within << PAGE_SHIFT);
}

static inline const uint8_t *pool_read_page(const struct pool *pool, uint32_t page_id) {
  uint32_t within = page_id & ((1u << pool->segment_shift) - 1u);
  return pool->segments[page_id >> pool->segment_shift].read + ((size_t)within << PAGE_SHIFT);
}

/*
 * A page to be read by the executor. JavaScript's mapping has nearly always mapped it already; but while a fault waits to be taken
 * that one may show zeros, or a private copy that a stranger has written to.
 */
static inline const uint8_t *pool_base_page(const struct pool *pool, uint32_t page_id) {
  bool sound = atomic_load_explicit(&pool->control->fault_words[0], memory_order_relaxed) == 0;
  return sound ? pool_read_page(pool, page_id) : pool_write_page(pool, page_id);
}

static inline uint8_t *pool_frame(const struct pool *pool, uint32_t frame) {
  return pool->chunks[frame >> CHUNK_SHIFT] + ((size_t)(frame & (CHUNK_FRAMES - 1u)) << PAGE_SHIFT);
}

#endif

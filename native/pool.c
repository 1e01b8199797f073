#include "pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lock.h"
#include "page-writes.h"
#include "segments.h"
#include "syscalls.h"

/* A byte for each piece of 16 TiB, which costs 16 MiB of address space. */
#define PIECES_MAX ((size_t)1 << (32 - PIECE_SHIFT))
/* Room for a small transaction; JavaScript asks for more when it needs it. */
#define PROGRAM_WORDS_FIRST 4096u

/* Chunks from this one on lie together in stretches that one huge page can back. */
#define FIRST_CHUNK_IN_STRETCH 4u
#define STRETCH_BYTES ((size_t)2 << 20)
#define STRETCH_CHUNKS (STRETCH_BYTES / CHUNK_BYTES)

/*
 * Memory that JavaScript sees comes in whole pages of its own: aligned to cache lines, zeroed, and never a neighbour
 * of the allocator's bookkeeping. NULL with errno where there is none.
 */
static void *map_private(size_t length) {
  void *mapped = sys.map(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return mapped == MAP_FAILED ? NULL : mapped;
}

static void unmap_private(void *address, size_t length) {
  if (address != NULL) sys.unmap(address, length);
}

static int identify(struct pool *pool) {
  struct stat file;
  if (sys.fstat(pool->fd, &file) != 0) return errno;
  pool->device = file.st_dev;
  pool->inode = file.st_ino;
  return 0;
}

static void discard_counts(struct pool *pool) {
  unmap_private(pool->stored_pages, PIECES_MAX);
  unmap_private(pool->other_stored_pages, PIECES_MAX);
  pool->stored_pages = NULL;
  pool->other_stored_pages = NULL;
}

/* Without them checkpoints take turns with commits. */
static void prepare_data_syncs(struct pool *pool) {
  pool->stored_pages = map_private(PIECES_MAX);
  pool->other_stored_pages = map_private(PIECES_MAX);
  bool counts = pool->stored_pages != NULL && pool->other_stored_pages != NULL;
  if (counts) pool->data_fd = sys.reopen(pool->fd);
  if (pool->data_fd < 0) discard_counts(pool);
}

static int acquire(struct pool *pool, const struct pool_options *options) {
  pool->control = map_private(PAGE_BYTES);
  pool->segments = map_private(SEGMENTS_MAX * sizeof *pool->segments);
  if (pool->control == NULL || pool->segments == NULL) return errno;
  struct program_buffer buffer;
  int error = pool_allocate_program(PROGRAM_WORDS_FIRST, &buffer);
  if (error != 0) return error;
  pool_replace_program(pool, &buffer);
  pool->fd = sys.duplicate(options->fd);
  if (pool->fd < 0) return errno;
  if (pool->granularity == GRANULARITY_PAGE && !pool->read_only) prepare_data_syncs(pool);
  error = identify(pool);
  if (error == 0) error = faults_watch(pool);
  /* One segment at least, so that callers always find a first view. */
  if (error == 0) error = segments_cover(pool, pool->page_count > 0 ? pool->page_count : 1);
  return error;
}

static void release(struct pool *pool) {
  /* No handler may put a page where nothing is mapped any more. */
  faults_unwatch(pool);
  segments_unmap_from(pool, 0);
  if (pool->data_fd >= 0) sys.close(pool->data_fd);
  pool->data_fd = -1;
  if (pool->fd >= 0) sys.close(pool->fd);
  pool->fd = -1;
  pool_trim_chunks(pool, 0);
  free(pool->chunks);
  pool->chunks = NULL;
  free(pool->spans);
  pool->spans = NULL;
  free(pool->record_bytes);
  pool->record_bytes = NULL;
  page_writes_release(pool);
  discard_counts(pool);
  unmap_private(pool->program, pool->program_words * sizeof *pool->program);
  pool->program = NULL;
  unmap_private(pool->segments, SEGMENTS_MAX * sizeof *pool->segments);
  pool->segments = NULL;
  unmap_private(pool->control, PAGE_BYTES);
  pool->control = NULL;
}

static void discard(struct pool *pool) {
  barrier_gate_destroy(&pool->gate);
  free(pool);
}

int pool_open(const struct pool_options *options, struct pool **result) {
  struct pool *pool = calloc(1, sizeof *pool);
  if (pool == NULL) return ENOMEM;
  pool->fd = -1;
  pool->data_fd = -1;
  pool->read_only = options->read_only;
  pool->map_sync = options->map_sync;
  pool->granularity = options->granularity;
  pool->segment_shift = options->segment_shift;
  pool->page_count = options->byte_length >> PAGE_SHIFT;
  pool->lock_owner = options->lock_owner;
  atomic_flag_clear(&pool->faults.lock);
  int error = barrier_gate_init(&pool->gate);
  if (error != 0) {
    free(pool);
    return error;
  }
  error = acquire(pool, options);
  if (error != 0) {
    release(pool);
    discard(pool);
    return error;
  }
  pool->is_open = true;
  *result = pool;
  return 0;
}

void pool_close(struct pool *pool) {
  if (!pool->is_open) return;
  pool->is_open = false;
  /* Zeros that were written ahead of a growth which did not come. */
  uint64_t length = pool->page_count << PAGE_SHIFT;
  if (pool->prepared_bytes > length) (void)sys.ftruncate(pool->fd, (off_t)length);
  lock_release(pool->fd, pool->device, pool->inode, pool->lock_owner);
  release(pool);
}

void pool_free(struct pool *pool) {
  pool_close(pool);
  discard(pool);
}

/* Aligned to its length; NULL with errno where there is none. */
static uint8_t *map_stretch(void) {
  uint8_t *mapped = map_private(2 * STRETCH_BYTES);
  if (mapped == NULL) return NULL;
  size_t before = (STRETCH_BYTES - (uintptr_t)mapped % STRETCH_BYTES) % STRETCH_BYTES;
  if (before > 0) unmap_private(mapped, before);
  unmap_private(mapped + before + STRETCH_BYTES, STRETCH_BYTES - before);
  return mapped + before;
}

static bool begins_stretch(uint32_t chunk) { return (chunk - FIRST_CHUNK_IN_STRETCH) % STRETCH_CHUNKS == 0; }

/*
 * Whoever stages a lot stages more. A fault for each frame costs more than most of what is done with it, so there is one for each
 * stretch, where the kernel has a huge page for it, or one call for each chunk. Hints: what is refused costs time only.
 */
static uint8_t *chunk_in_stretch(const struct pool *pool) {
  uint8_t *chunk;
  if (begins_stretch(pool->chunk_count)) {
    chunk = map_stretch();
    if (chunk == NULL) return NULL;
    (void)sys.advise(chunk, STRETCH_BYTES, MADV_HUGEPAGE);
  } else {
    chunk = pool->chunks[pool->chunk_count - 1] + CHUNK_BYTES;
  }
  (void)sys.advise(chunk, CHUNK_BYTES, MADV_POPULATE_WRITE);
  return chunk;
}

int pool_add_chunk(struct pool *pool) {
  if (pool->chunk_count == pool->chunk_capacity) {
    uint32_t capacity = pool->chunk_capacity == 0 ? 8 : pool->chunk_capacity * 2;
    /* A frame number is a u32. */
    if (capacity > UINT32_MAX >> CHUNK_SHIFT) return ENOMEM;
    uint8_t **chunks = realloc(pool->chunks, capacity * sizeof *chunks);
    if (chunks == NULL) return ENOMEM;
    pool->chunks = chunks;
    pool->chunk_capacity = capacity;
  }
  bool alone = pool->chunk_count < FIRST_CHUNK_IN_STRETCH;
  uint8_t *chunk = alone ? map_private(CHUNK_BYTES) : chunk_in_stretch(pool);
  if (chunk == NULL) return errno;
  pool->chunks[pool->chunk_count++] = chunk;
  return 0;
}

void pool_trim_chunks(struct pool *pool, uint32_t keep) {
  while (pool->chunk_count > keep) {
    uint32_t last = --pool->chunk_count;
    if (last < FIRST_CHUNK_IN_STRETCH) {
      unmap_private(pool->chunks[last], CHUNK_BYTES);
    } else if (begins_stretch(last)) {
      unmap_private(pool->chunks[last], STRETCH_BYTES);
    } else {
      /* Others lie in the same stretch. The memory alone is given back. */
      (void)sys.advise(pool->chunks[last], CHUNK_BYTES, MADV_DONTNEED);
    }
  }
}

int pool_allocate_program(size_t words, struct program_buffer *buffer) {
  size_t bytes = words * sizeof *buffer->program;
  size_t length = (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
  buffer->program = map_private(length);
  buffer->words = length / sizeof *buffer->program;
  return buffer->program != NULL ? 0 : errno;
}

void pool_discard_program(struct program_buffer *buffer) {
  unmap_private(buffer->program, buffer->words * sizeof *buffer->program);
  buffer->program = NULL;
}

void pool_replace_program(struct pool *pool, const struct program_buffer *buffer) {
  struct program_buffer old = {pool->program, pool->program_words};
  if (old.program != NULL) memcpy(buffer->program, old.program, old.words * sizeof *old.program);
  pool->program = buffer->program;
  pool->program_words = buffer->words;
  pool_discard_program(&old);
}

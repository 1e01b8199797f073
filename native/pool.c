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

/* Room for a small transaction; JavaScript asks for more when it needs it. */
#define PROGRAM_WORDS_FIRST 4096u
#define POPULATED_FROM_CHUNK 4u

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
  /* Without it checkpoints take turns with commits. */
  if (pool->granularity == GRANULARITY_PAGE && !pool->read_only) pool->data_fd = sys.reopen(pool->fd);
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
  unmap_private(pool->program, pool->program_words * sizeof *pool->program);
  pool->program = NULL;
  unmap_private(pool->segments, SEGMENTS_MAX * sizeof *pool->segments);
  pool->segments = NULL;
  unmap_private(pool->control, PAGE_BYTES);
  pool->control = NULL;
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
  int error = acquire(pool, options);
  if (error != 0) {
    release(pool);
    free(pool);
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
  free(pool);
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
  uint8_t *chunk = map_private(CHUNK_BYTES);
  if (chunk == NULL) return errno;
  /* Whoever stages that much stages more: all at once costs a fraction of a fault for each frame. A hint: old kernels refuse it. */
  if (pool->chunk_count >= POPULATED_FROM_CHUNK) (void)sys.advise(chunk, CHUNK_BYTES, MADV_POPULATE_WRITE);
  pool->chunks[pool->chunk_count++] = chunk;
  return 0;
}

void pool_trim_chunks(struct pool *pool, uint32_t keep) {
  while (pool->chunk_count > keep) unmap_private(pool->chunks[--pool->chunk_count], CHUNK_BYTES);
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

#include "barrier.h"

#include <errno.h>
#include <sys/mman.h>

#include "page-writes.h"
#include "persist.h"
#include "pool.h"
#include "syscalls.h"

/* Fewer pages are not worth a call. */
#define UNMAP_MIN_BYTES ((size_t)4 << PAGE_SHIFT)
/* A disk writes so many pages in about a millisecond. */
#define PART_PAGES ((uint64_t)256)
/* Fewer parts are not worth it, with more of them each is larger. */
#define PARTS_MIN 2u
#define PARTS_MAX 32u

/*
 * Before the kernel writes a page back it takes the permission to write away from whoever has mapped it, and interrupts every
 * processor that runs the process, page by page. Unmapped all together (the page cache keeps what was stored) they cost one
 * interrupt; the next store to each of them faults either way. JavaScript reads through another mapping. A hint: what fails is not
 * missed.
 */
static void unmap_all_pages(const struct pool *pool, uint32_t segment_count) {
  if (pool->granularity != GRANULARITY_PAGE) return;
  for (uint32_t index = 0; index < segment_count; index++) {
    sys.advise(pool->segments[index].write, pool_segment_bytes(pool), MADV_DONTNEED);
  }
}

static int sync_stored_pages(const struct barrier *barrier) {
  if (barrier->address == NULL) {
    /* No growth comes before a barrier has ended. */
    unmap_all_pages(barrier->pool, atomic_load(&barrier->pool->segment_count));
    return sys.fdatasync(barrier->pool->fd) == 0 ? 0 : errno;
  }
  if (barrier->pool->granularity == GRANULARITY_PAGE && barrier->length >= UNMAP_MIN_BYTES) {
    sys.advise(barrier->address, barrier->length, MADV_DONTNEED);
  }
  return sys.msync(barrier->address, barrier->length, MS_SYNC) == 0 ? 0 : errno;
}

static int run_barrier(struct task *task) {
  const struct barrier *barrier = (const struct barrier *)task;
  barrier_gate_enter(&barrier->pool->gate);
  int error = sync_stored_pages(barrier);
  barrier_gate_leave(&barrier->pool->gate);
  return error;
}

/*
 * msync is the one call that makes a part of a file durable, the cache of the device included, which the fdatasync at the end would
 * else have to empty at once. The mapping is never touched.
 */
static int sync_part(struct data_sync *sync, uint32_t first_piece, uint32_t end_piece) {
  off_t offset = (off_t)first_piece << (PAGE_SHIFT + PIECE_SHIFT);
  size_t length = (size_t)(end_piece - first_piece) << (PAGE_SHIFT + PIECE_SHIFT);
  void *mapped = sys.map(NULL, length, PROT_NONE, MAP_SHARED, sync->pool->data_fd, offset);
  /* The fdatasync at the end does without. */
  if (mapped == MAP_FAILED) return 0;
  sync->part_syncs++;
  int error = sys.msync(mapped, length, MS_SYNC) == 0 ? 0 : errno;
  sys.unmap(mapped, length);
  return error;
}

static uint64_t count_stored(const struct data_sync *sync) {
  uint64_t pages = 0;
  for (uint32_t piece = 0; piece < sync->piece_count; piece++) pages += sync->stored[piece];
  return pages;
}

/* Without touching what nobody has touched. */
static void clear_counts(const struct data_sync *sync) {
  for (uint32_t piece = 0; piece < sync->piece_count; piece++) {
    if (sync->stored[piece] != 0) sync->stored[piece] = 0;
  }
}

/* Parts of about as many stored pages, wherever these lie; few enough that the waits for the device do not add up. */
static int sync_parts(struct data_sync *sync) {
  uint64_t pages = count_stored(sync);
  if (pages < PARTS_MIN * PART_PAGES) return 0;
  uint64_t share = pages > PARTS_MAX * PART_PAGES ? pages / PARTS_MAX : PART_PAGES;
  uint64_t in_part = 0;
  uint32_t first = 0;
  for (uint32_t piece = 0; piece < sync->piece_count; piece++) {
    if (in_part == 0) first = piece;
    in_part += sync->stored[piece];
    if (in_part < share) continue;
    barrier_gate_let_pass(&sync->pool->gate);
    if (atomic_load(&sync->is_waited_for)) return 0;
    int error = sync_part(sync, first, piece + 1);
    if (error != 0) return error;
    in_part = 0;
  }
  return 0;
}

static int run_data_sync(struct task *task) {
  struct data_sync *sync = (struct data_sync *)task;
  unmap_all_pages(sync->pool, sync->segment_count);
  int error = sync_parts(sync);
  clear_counts(sync);
  if (error != 0) return error;
  return sys.fdatasync(sync->pool->data_fd) == 0 ? 0 : errno;
}

int data_sync_start(struct data_sync *sync, struct pool *pool) {
  if (pool->data_fd < 0) return EBADF;
  int error = task_init(&sync->task, run_data_sync);
  if (error != 0) return error;
  sync->pool = pool;
  sync->segment_count = atomic_load(&pool->segment_count);
  sync->part_syncs = 0;
  atomic_init(&sync->is_waited_for, false);
  sync->piece_count = (uint32_t)((pool->page_count + PAGES_PER_PIECE - 1) / PAGES_PER_PIECE);
  /* The worker leaves those it takes over empty. */
  sync->stored = pool->stored_pages;
  pool->stored_pages = pool->other_stored_pages;
  pool->other_stored_pages = sync->stored;
  pool->control->counters[COUNT_FENCES] += 1;
  pool->control->counters[COUNT_SYNCS] += 1;
  cpu_fence();
  page_writes_all_clean(pool);
  return 0;
}

int barrier_start(struct barrier *barrier, struct pool *pool, bool whole_file) {
  int error = task_init(&barrier->task, run_barrier);
  if (error != 0) return error;
  /* Non-temporal stores must have left this processor before another one writes their pages back. */
  pool->control->counters[COUNT_FENCES] += 1;
  cpu_fence();
  struct dirty_range dirty = pool->dirty;
  pool->dirty.any = false;
  barrier->pool = pool;
  barrier->address = NULL;
  barrier->length = 0;
  if (!whole_file && (!dirty.any || pool->granularity != GRANULARITY_PAGE)) {
    /* Nothing to wait for. */
    barrier->task.state = TASK_ENDED;
    return 0;
  }
  pool->control->counters[COUNT_SYNCS] += 1;
  if (whole_file) page_writes_all_clean(pool);
  if (!whole_file && dirty.first_page >> pool->segment_shift == dirty.last_page >> pool->segment_shift) {
    barrier->address = pool_write_page(pool, dirty.first_page);
    barrier->length = ((size_t)dirty.last_page - dirty.first_page + 1) << PAGE_SHIFT;
  }
  return 0;
}

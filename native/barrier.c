#include "barrier.h"

#include <errno.h>
#include <sys/mman.h>

#include "page-writes.h"
#include "persist.h"
#include "pool.h"
#include "syscalls.h"

/* Fewer pages are not worth a call. */
#define UNMAP_MIN_BYTES ((size_t)4 << PAGE_SHIFT)
/* Fewer pieces are synced by the fdatasync at the end. */
#define PIECES_MIN 4u
/* Of the bits of pieces. */
#define PAGES_PER_WORD ((uint64_t)64 << PIECE_SHIFT)

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

/* msync is the one call that makes a part of a file durable; the mapping is never touched. */
static int sync_piece(struct data_sync *sync, uint32_t piece) {
  off_t offset = (off_t)piece << (PAGE_SHIFT + PIECE_SHIFT);
  void *mapped = sys.map(NULL, PIECE_BYTES, PROT_NONE, MAP_SHARED, sync->pool->data_fd, offset);
  /* The fdatasync at the end does without. */
  if (mapped == MAP_FAILED) return 0;
  sync->piece_syncs++;
  int error = sys.msync(mapped, PIECE_BYTES, MS_SYNC) == 0 ? 0 : errno;
  sys.unmap(mapped, PIECE_BYTES);
  return error;
}

static uint32_t count_pieces(const struct data_sync *sync) {
  uint32_t count = 0;
  for (uint32_t word = 0; word < sync->piece_words; word++) count += (uint32_t)__builtin_popcountll(sync->pieces[word]);
  return count;
}

static int sync_pieces(struct data_sync *sync) {
  bool worth_it = count_pieces(sync) >= PIECES_MIN;
  for (uint32_t word = 0; word < sync->piece_words; word++) {
    uint64_t bits = sync->pieces[word];
    sync->pieces[word] = 0;
    for (; worth_it && bits != 0; bits &= bits - 1) {
      barrier_gate_let_pass(&sync->pool->gate);
      int error = sync_piece(sync, word * 64 + (uint32_t)__builtin_ctzll(bits));
      if (error != 0) return error;
    }
  }
  return 0;
}

static int run_data_sync(struct task *task) {
  struct data_sync *sync = (struct data_sync *)task;
  unmap_all_pages(sync->pool, sync->segment_count);
  int error = sync_pieces(sync);
  if (error != 0) return error;
  return sys.fdatasync(sync->pool->data_fd) == 0 ? 0 : errno;
}

int data_sync_start(struct data_sync *sync, struct pool *pool) {
  if (pool->data_fd < 0) return EBADF;
  int error = task_init(&sync->task, run_data_sync);
  if (error != 0) return error;
  sync->pool = pool;
  sync->segment_count = atomic_load(&pool->segment_count);
  sync->piece_syncs = 0;
  sync->piece_words = (uint32_t)((pool->page_count + PAGES_PER_WORD - 1) / PAGES_PER_WORD);
  /* The worker leaves those it takes over empty, except when it fails: then they are a few too many the next time. */
  sync->pieces = pool->stored_pieces;
  pool->stored_pieces = pool->other_pieces;
  pool->other_pieces = sync->pieces;
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

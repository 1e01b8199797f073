#include "barrier.h"

#include <errno.h>
#include <sys/mman.h>

#include "page-writes.h"
#include "persist.h"
#include "pool.h"
#include "syscalls.h"

/* Fewer pages are not worth a call. */
#define UNMAP_MIN_BYTES ((size_t)4 << PAGE_SHIFT)

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

static int sync_stored_pages(struct task *task) {
  const struct barrier *barrier = (const struct barrier *)task;
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

static int sync_data(struct task *task) {
  const struct data_sync *sync = (const struct data_sync *)task;
  unmap_all_pages(sync->pool, sync->segment_count);
  return sys.fdatasync(sync->pool->data_fd) == 0 ? 0 : errno;
}

int data_sync_start(struct data_sync *sync, struct pool *pool) {
  if (pool->data_fd < 0) return EBADF;
  int error = task_init(&sync->task, sync_data);
  if (error != 0) return error;
  sync->pool = pool;
  sync->segment_count = atomic_load(&pool->segment_count);
  pool->control->counters[COUNT_FENCES] += 1;
  pool->control->counters[COUNT_SYNCS] += 1;
  cpu_fence();
  page_writes_all_clean(pool);
  return 0;
}

int barrier_start(struct barrier *barrier, struct pool *pool, bool whole_file) {
  int error = task_init(&barrier->task, sync_stored_pages);
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

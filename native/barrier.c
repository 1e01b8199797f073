#include "barrier.h"

#include <errno.h>
#include <sys/mman.h>

#include "page-writes.h"
#include "persist.h"
#include "pool.h"
#include "syscalls.h"

/* Fewer pages are not worth a call. */
#define UNMAP_MIN_BYTES ((size_t)4 << PAGE_SHIFT)

int barrier_start(struct barrier *barrier, struct pool *pool, bool whole_file) {
  int error = pthread_mutex_init(&barrier->mutex, NULL);
  if (error != 0) return error;
  error = pthread_cond_init(&barrier->ended, NULL);
  if (error != 0) {
    pthread_mutex_destroy(&barrier->mutex);
    return error;
  }
  /* Non-temporal stores must have left this processor before another one writes their pages back. */
  pool->control->counters[COUNT_FENCES] += 1;
  cpu_fence();
  struct dirty_range dirty = pool->dirty;
  pool->dirty.any = false;
  barrier->state = BARRIER_QUEUED;
  barrier->pool = pool;
  barrier->starter = pthread_self();
  barrier->in_background = false;
  barrier->error = 0;
  barrier->address = NULL;
  barrier->length = 0;
  if (!whole_file && (!dirty.any || pool->granularity != GRANULARITY_PAGE)) {
    /* Nothing to wait for. */
    barrier->state = BARRIER_ENDED;
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

static bool claim(struct barrier *barrier) {
  pthread_mutex_lock(&barrier->mutex);
  bool claimed = barrier->state == BARRIER_QUEUED;
  if (claimed) barrier->state = BARRIER_RUNNING;
  pthread_mutex_unlock(&barrier->mutex);
  return claimed;
}

/*
 * Before the kernel writes a page back it takes the permission to write away from whoever has mapped it, and interrupts every
 * processor that runs the process, page by page. Unmapped all together (the page cache keeps what was stored) they cost one
 * interrupt; the next store to each of them faults either way. JavaScript reads through another mapping. A hint: what fails is not
 * missed.
 */
static void unmap_stored_pages(const struct barrier *barrier) {
  const struct pool *pool = barrier->pool;
  if (pool->granularity != GRANULARITY_PAGE) return;
  if (barrier->address != NULL) {
    if (barrier->length >= UNMAP_MIN_BYTES) sys.advise(barrier->address, barrier->length, MADV_DONTNEED);
    return;
  }
  uint32_t count = atomic_load(&pool->segment_count);
  for (uint32_t index = 0; index < count; index++) {
    sys.advise(pool->segments[index].write, pool_segment_bytes(pool), MADV_DONTNEED);
  }
}

void barrier_work(struct barrier *barrier) {
  if (!claim(barrier)) return;
  unmap_stored_pages(barrier);
  int result = barrier->address != NULL ? sys.msync(barrier->address, barrier->length, MS_SYNC) : sys.fdatasync(barrier->pool->fd);
  int error = result == 0 ? 0 : errno;
  pthread_mutex_lock(&barrier->mutex);
  barrier->error = error;
  barrier->in_background = pthread_equal(pthread_self(), barrier->starter) == 0;
  barrier->state = BARRIER_ENDED;
  pthread_cond_broadcast(&barrier->ended);
  pthread_mutex_unlock(&barrier->mutex);
}

int barrier_wait(struct barrier *barrier) {
  barrier_work(barrier);
  pthread_mutex_lock(&barrier->mutex);
  while (barrier->state != BARRIER_ENDED) pthread_cond_wait(&barrier->ended, &barrier->mutex);
  int error = barrier->error;
  pthread_mutex_unlock(&barrier->mutex);
  return error;
}

void barrier_destroy(struct barrier *barrier) {
  pthread_cond_destroy(&barrier->ended);
  pthread_mutex_destroy(&barrier->mutex);
}

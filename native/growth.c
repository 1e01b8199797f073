#include "growth.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "pool.h"
#include "segments.h"
#include "syscalls.h"

static const uint8_t zero_page[PAGE_BYTES];

static int write_zeros(int fd, uint64_t from, uint64_t to) {
  uint64_t at = from;
  while (at < to) {
    /* 4 KiB a write: larger ones leave large folios in the page cache, and one dirty page then syncs 1 MiB. */
    uint64_t length = PAGE_BYTES - (at & (PAGE_BYTES - 1));
    if (length > to - at) length = to - at;
    ssize_t written = sys.pwrite(fd, zero_page, (size_t)length, (off_t)at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return EIO;
    at += (uint64_t)written;
  }
  return sys.fsync(fd) == 0 ? 0 : errno;
}

/* Past RLIMIT_FSIZE the kernel sends SIGXFSZ, whose default is to end the process; EFBIG alone is what we want. */
static int write_zeros_without_signal(int fd, uint64_t from, uint64_t to) {
  sigset_t size_limit, before, pending;
  sigemptyset(&size_limit);
  sigaddset(&size_limit, SIGXFSZ);
  int error = pthread_sigmask(SIG_BLOCK, &size_limit, &before);
  if (error != 0) return error;
  int result = write_zeros(fd, from, to);
  if (sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 1 && sigismember(&before, SIGXFSZ) == 0) {
    const struct timespec now = {0, 0};
    sigtimedwait(&size_limit, NULL, &now);
  }
  error = pthread_sigmask(SIG_SETMASK, &before, NULL);
  return result != 0 ? result : error;
}

int growth_zero_fill(int fd, uint64_t from, uint64_t to) {
  int error = write_zeros_without_signal(fd, from, to);
  if (error == 0) return 0;
  /* The first failure is the one to report; a file left longer than its capacity is legal. */
  if (sys.ftruncate(fd, (off_t)from) == 0) sys.fsync(fd);
  return error;
}

int pool_grow(struct pool *pool, uint64_t new_byte_length) {
  uint64_t old_pages = pool->page_count;
  uint64_t new_pages = new_byte_length >> PAGE_SHIFT;
  uint32_t old_segments = atomic_load(&pool->segment_count);
  /* Address space first: it costs nothing to give back, the disk space does. */
  int error = segments_cover(pool, new_pages);
  if (error == 0) error = growth_zero_fill(pool->fd, old_pages << PAGE_SHIFT, new_byte_length);
  if (error != 0) {
    segments_unmap_from(pool, old_segments);
    return error;
  }
  pool->page_count = new_pages;
  segments_populate(pool, old_pages, new_pages);
  return 0;
}

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
  return 0;
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

/* The first failure is the one to report; a file left longer than its capacity is legal. */
static void cut_back(int fd, uint64_t to) {
  if (sys.ftruncate(fd, (off_t)to) == 0) sys.fsync(fd);
}

/* [from, written) are zeros already, and durable. */
static int extend(int fd, uint64_t from, uint64_t written, uint64_t to) {
  if (written == to) return 0;
  int error = write_zeros_without_signal(fd, written, to);
  if (error == 0 && sys.fsync(fd) != 0) error = errno;
  if (error != 0) cut_back(fd, from);
  return error;
}

int growth_zero_fill(int fd, uint64_t from, uint64_t to) { return extend(fd, from, from, to); }

int pool_grow(struct pool *pool, uint64_t new_byte_length) {
  uint64_t old_pages = pool->page_count;
  uint64_t new_pages = new_byte_length >> PAGE_SHIFT;
  uint64_t prepared = pool->prepared_bytes;
  uint32_t old_segments = atomic_load(&pool->segment_count);
  uint64_t from = old_pages << PAGE_SHIFT;
  pool->prepared_bytes = 0;
  if (prepared < from) prepared = from;
  if (prepared > new_byte_length) prepared = new_byte_length;
  /* Address space first: it costs nothing to give back, the disk space does. */
  int error = segments_cover(pool, new_pages);
  if (error == 0) error = extend(pool->fd, from, prepared, new_byte_length);
  if (error != 0) {
    segments_unmap_from(pool, old_segments);
    return error;
  }
  pool->page_count = new_pages;
  segments_populate(pool, prepared >> PAGE_SHIFT, new_pages);
  return 0;
}

/*
 * In pieces, each on its way to the disk before the next: commits wait for the disk meanwhile, and need not wait for all of it. Only
 * the fsync that follows counts.
 */
static int write_zeros_in_pieces(struct pool *pool, int fd, uint64_t from, uint64_t to) {
  for (uint64_t at = from; at < to;) {
    barrier_gate_let_pass(&pool->gate);
    uint64_t end = to - at < PIECE_BYTES ? to : at + PIECE_BYTES;
    int error = write_zeros_without_signal(fd, at, end);
    if (error != 0) return error;
    if (sys.write_back(fd, (off_t)at, (off_t)(end - at)) != 0 && errno != ENOSYS) return errno;
    at = end;
  }
  return 0;
}

static int make_zeros_durable(struct pool *pool, int fd, uint64_t from, uint64_t to) {
  int error = write_zeros_in_pieces(pool, fd, from, to);
  if (error == 0 && sys.fsync(fd) != 0) error = errno;
  return error;
}

/*
 * Through a descriptor that was opened for it, before the first zero: the kernel tells a failed write-back once to each open file,
 * so its fsync vouches for all of them, and no barrier under way is robbed of its error.
 */
static int prepare(struct task *task) {
  struct preparation *preparation = (struct preparation *)task;
  struct pool *pool = preparation->pool;
  int own = sys.reopen(pool->fd);
  if (own < 0) return errno;
  int error = make_zeros_durable(pool, own, preparation->from, preparation->to);
  (void)sys.close(own);
  if (error != 0) {
    /* Not durably: that takes a growth, which tells why it fails. */
    (void)sys.ftruncate(pool->fd, (off_t)preparation->from);
    return error;
  }
  segments_populate(pool, preparation->from >> PAGE_SHIFT, preparation->to >> PAGE_SHIFT);
  return 0;
}

int preparation_start(struct preparation *preparation, struct pool *pool, uint64_t new_byte_length) {
  uint64_t from = pool->page_count << PAGE_SHIFT;
  uint64_t mapped = (uint64_t)atomic_load(&pool->segment_count) * pool_segment_bytes(pool);
  if (new_byte_length <= from || new_byte_length > mapped || pool->prepared_bytes > from) return EINVAL;
  preparation->pool = pool;
  preparation->from = from;
  preparation->to = new_byte_length;
  return task_init(&preparation->task, prepare);
}

void preparation_ended(const struct preparation *preparation, int error) {
  if (error == 0) preparation->pool->prepared_bytes = preparation->to;
}

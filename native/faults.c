#include "faults.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "pool.h"
#include "segments.h"

#define POOLS_MAX 1024u

static _Atomic(struct pool *) watched[POOLS_MAX];
static _Atomic uint32_t watched_end;
static _Atomic uint32_t handlers_running;
static pthread_mutex_t install_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool installed;
static struct sigaction previous_bus;
static struct sigaction previous_segv;

struct hit {
  struct pool *pool;
  uint8_t *page;
  uint64_t page_id;
  bool in_write_mapping;
};

/*
 * A spin lock is safe here: its holder touches only the queue, which cannot fault, and a machine check that the kernel
 * reports at any instruction is kept back, so a handler never waits for the very thread it interrupted.
 */
static void queue_lock(struct fault_queue *queue, sigset_t *mask_before) {
  sigset_t handled;
  sigemptyset(&handled);
  sigaddset(&handled, SIGBUS);
  sigaddset(&handled, SIGSEGV);
  pthread_sigmask(SIG_BLOCK, &handled, mask_before);
  while (atomic_flag_test_and_set_explicit(&queue->lock, memory_order_acquire)) {
  }
}

static void queue_unlock(struct fault_queue *queue, const sigset_t *mask_before) {
  atomic_flag_clear_explicit(&queue->lock, memory_order_release);
  pthread_sigmask(SIG_SETMASK, mask_before, NULL);
}

static bool find_in_mapping(struct pool *pool, uint32_t index, uint8_t *base, uintptr_t address, struct hit *hit) {
  uintptr_t start = (uintptr_t)base;
  if (base == NULL || address < start || address - start >= pool_segment_bytes(pool)) return false;
  uintptr_t page = (address - start) >> PAGE_SHIFT;
  hit->pool = pool;
  hit->page = base + (page << PAGE_SHIFT);
  hit->page_id = ((uint64_t)index << pool->segment_shift) + page;
  return true;
}

static bool find_hit(uintptr_t address, struct hit *hit) {
  uint32_t end = atomic_load(&watched_end);
  for (uint32_t i = 0; i < end; i++) {
    struct pool *pool = atomic_load(&watched[i]);
    if (pool == NULL) continue;
    uint32_t count = atomic_load(&pool->segment_count);
    for (uint32_t s = 0; s < count; s++) {
      hit->in_write_mapping = false;
      if (find_in_mapping(pool, s, pool->segments[s].read, address, hit)) return true;
      hit->in_write_mapping = true;
      if (find_in_mapping(pool, s, pool->segments[s].write, address, hit)) return true;
    }
  }
  return false;
}

static void note_fault(const struct hit *hit, enum fault_kind kind, uint64_t length) {
  struct fault_queue *queue = &hit->pool->faults;
  uint64_t offset = hit->page_id << PAGE_SHIFT;
  struct fault fault = {offset & ~(length - 1), length, hit->page_id, kind, hit->in_write_mapping};
  sigset_t mask_before;
  queue_lock(queue, &mask_before);
  queue->last = fault;
  if (queue->count < FAULTS_MAX) {
    queue->entries[queue->count++] = fault;
  } else {
    queue->overflowed = true;
  }
  queue_unlock(queue, &mask_before);
  atomic_fetch_add(&queue->seen, 1);
  atomic_store(&hit->pool->control->fault_words[0], 1);
}

/* A poisoned range has a blast radius (4 KiB, 2 MiB or 1 GiB); other bus errors concern the page. */
static uint64_t blast_length(const siginfo_t *info) {
  bool poisoned = info->si_code == BUS_MCEERR_AR || info->si_code == BUS_MCEERR_AO;
  unsigned bits = (unsigned)info->si_addr_lsb;
  if (!poisoned || bits < PAGE_SHIFT || bits > 30) return PAGE_BYTES;
  return (uint64_t)1 << bits;
}

static bool survive_bus_error(const siginfo_t *info, const struct hit *hit) {
  if (info->si_code != BUS_MCEERR_AO) {
    /* Writable even in the read-only mapping: a store repeated on a read-only zero page would fault for ever. */
    void *zero = mmap(hit->page, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zero == MAP_FAILED) return false;
  }
  note_fault(hit, FAULT_BUS, blast_length(info));
  return true;
}

/* The store is repeated on a private copy of the page, so that the reader still sees the pool's bytes around it. */
static bool survive_stray_write(const siginfo_t *info, const struct hit *hit) {
  if (hit->in_write_mapping || info->si_code != SEGV_ACCERR) return false;
  off_t offset = (off_t)(hit->page_id << PAGE_SHIFT);
  void *copy = mmap(hit->page, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, hit->pool->fd, offset);
  if (copy == MAP_FAILED) return false;
  note_fault(hit, FAULT_WRITE, PAGE_BYTES);
  return true;
}

/* Outside our mappings the fault belongs to whoever was there before (V8's WebAssembly trap handler, or nobody). */
static void chain(int number, siginfo_t *info, void *context) {
  const struct sigaction *previous = number == SIGBUS ? &previous_bus : &previous_segv;
  if ((previous->sa_flags & SA_SIGINFO) != 0) {
    previous->sa_sigaction(number, info, context);
    return;
  }
  if (previous->sa_handler == SIG_IGN && info->si_code <= 0) return;
  if (previous->sa_handler != SIG_DFL && previous->sa_handler != SIG_IGN) {
    previous->sa_handler(number);
    return;
  }
  /* Default action: the repeated instruction (or the signal raised again) ends the process at the right place. */
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = SIG_DFL;
  sigaction(number, &action, NULL);
  if (info->si_code <= 0) raise(number);
}

static void on_fault(int number, siginfo_t *info, void *context) {
  int saved_errno = errno;
  struct hit hit;
  atomic_fetch_add(&handlers_running, 1);
  bool survived = false;
  /* Codes up to zero are signals sent by a process: their address means nothing. */
  if (info->si_code > 0 && find_hit((uintptr_t)info->si_addr, &hit)) {
    survived = number == SIGBUS ? survive_bus_error(info, &hit) : survive_stray_write(info, &hit);
  }
  atomic_fetch_sub(&handlers_running, 1);
  errno = saved_errno;
  if (!survived) chain(number, info, context);
}

static int install_handlers(void) {
  if (installed) return 0;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGBUS, &action, &previous_bus) != 0) return errno;
  if (sigaction(SIGSEGV, &action, &previous_segv) != 0) return errno;
  installed = true;
  return 0;
}

int faults_watch(struct pool *pool) {
  pthread_mutex_lock(&install_mutex);
  int error = install_handlers();
  uint32_t slot = 0;
  while (slot < POOLS_MAX && atomic_load(&watched[slot]) != NULL) slot++;
  if (error == 0 && slot == POOLS_MAX) error = EMFILE;
  if (error == 0) {
    atomic_store(&watched[slot], pool);
    if (slot >= atomic_load(&watched_end)) atomic_store(&watched_end, slot + 1);
  }
  pthread_mutex_unlock(&install_mutex);
  return error;
}

void faults_unwatch(struct pool *pool) {
  pthread_mutex_lock(&install_mutex);
  for (uint32_t i = 0; i < POOLS_MAX; i++) {
    if (atomic_load(&watched[i]) == pool) atomic_store(&watched[i], NULL);
  }
  pthread_mutex_unlock(&install_mutex);
  /* A handler on another thread may hold the pointer it loaded before. */
  while (atomic_load(&handlers_running) != 0) sched_yield();
}

static int remap_all_segments(struct pool *pool) {
  uint32_t count = atomic_load(&pool->segment_count);
  for (uint32_t i = 0; i < count; i++) {
    int error = segments_remap(pool, i);
    if (error != 0) return error;
  }
  return 0;
}

/* Puts a fault back: its page still shows zeros, which nobody may take for data. */
static void put_back(struct pool *pool, const struct fault *fault, bool remap_all) {
  struct fault_queue *queue = &pool->faults;
  sigset_t mask_before;
  queue_lock(queue, &mask_before);
  if (queue->count < FAULTS_MAX) {
    memmove(queue->entries + 1, queue->entries, queue->count * sizeof queue->entries[0]);
    queue->entries[0] = *fault;
    queue->count++;
  } else {
    queue->overflowed = true;
  }
  if (remap_all) queue->overflowed = true;
  atomic_store(&pool->control->fault_words[0], 1);
  queue_unlock(queue, &mask_before);
}

int faults_take(struct pool *pool, struct fault *result) {
  struct fault_queue *queue = &pool->faults;
  sigset_t mask_before;
  queue_lock(queue, &mask_before);
  bool taken = queue->count > 0;
  bool remap_all = false;
  if (taken) {
    *result = queue->entries[0];
    queue->count--;
    memmove(queue->entries, queue->entries + 1, queue->count * sizeof queue->entries[0]);
    remap_all = queue->count == 0 && queue->overflowed;
    if (remap_all) queue->overflowed = false;
  }
  if (queue->count == 0) atomic_store(&pool->control->fault_words[0], 0);
  queue_unlock(queue, &mask_before);
  if (!taken) return 0;
  /*
   * The shared page comes back in every case: where the file is readable again it is repaired, and where it is not
   * the next touch faults again, so that made-up zero bytes are never taken for a value.
   */
  int error = remap_all ? remap_all_segments(pool) : segments_remap_page(pool, result->page_id, result->in_write_mapping);
  if (error == 0) return 1;
  put_back(pool, result, remap_all);
  return -error;
}

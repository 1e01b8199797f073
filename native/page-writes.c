#include "page-writes.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "persist.h"
#include "pool.h"
#include "syscalls.h"

/* Pages gathered at a time: 16 MiB, which are touched only as far as they are used. */
#define PAGES_MAX 4096u
/* So many of them keep their memory. */
#define PAGES_KEPT 1024u
#define TABLE_SLOTS (2u * PAGES_MAX)

#define STORES_KNOWN 1024u
/* A fault costs about as much as so many system calls, or more. */
#define STORES_WORTH_A_FAULT 3u

struct stores {
  uint32_t page_id;
  uint32_t count;
};

struct page_writes {
  uint32_t count;
  uint32_t page_ids[PAGES_MAX];
  /* The lines of each page that were taken; the others mean nothing. */
  uint64_t masks[PAGES_MAX];
  /* Open addressing: number of the page and 1, or 0. */
  uint16_t table[TABLE_SLOTS];
  /* Pages stored to since the last write-back, as far as they do not take each other's places. */
  struct stores stores[STORES_KNOWN];
  uint8_t bytes[PAGES_MAX][PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
};

static struct page_writes *writes_of(struct pool *pool) {
  if (pool->page_writes != NULL) return pool->page_writes;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *mapped = sys.map(NULL, sizeof(struct page_writes), PROT_READ | PROT_WRITE, flags, -1, 0);
  if (mapped == MAP_FAILED) return NULL;
  pool->page_writes = mapped;
  return pool->page_writes;
}

void page_writes_release(struct pool *pool) {
  if (pool->page_writes != NULL) sys.unmap(pool->page_writes, sizeof(struct page_writes));
  pool->page_writes = NULL;
}

/* The number of a page, which is added when it is new; the caller has made room. */
static uint32_t number_of(struct page_writes *writes, uint32_t page_id) {
  uint32_t slot = (page_id * 0x9e3779b1u) >> 19;
  _Static_assert(TABLE_SLOTS == 1u << 13, "the hash has as many bits");
  while (writes->table[slot] != 0) {
    uint32_t number = writes->table[slot] - 1u;
    if (writes->page_ids[number] == page_id) return number;
    slot = (slot + 1) % TABLE_SLOTS;
  }
  uint32_t number = writes->count++;
  writes->table[slot] = (uint16_t)(number + 1);
  writes->page_ids[number] = page_id;
  writes->masks[number] = 0;
  return number;
}

bool page_writes_are_better(struct pool *pool, uint32_t page_id) {
  if (pool->granularity != GRANULARITY_PAGE) return false;
  struct page_writes *writes = writes_of(pool);
  if (writes == NULL) return false;
  struct stores *known = &writes->stores[page_id % STORES_KNOWN];
  /* Count 0 is an entry nobody has used: page 0 is never stored to by a transaction. */
  if (known->page_id != page_id) *known = (struct stores){page_id, 0};
  if (known->count == STORES_WORTH_A_FAULT) return false;
  known->count++;
  return true;
}

void page_writes_all_clean(struct pool *pool) {
  if (pool->page_writes != NULL) memset(pool->page_writes->stores, 0, sizeof pool->page_writes->stores);
}

int page_writes_take(struct pool *pool, uint32_t page_id, uint64_t mask, const uint8_t *lines) {
  struct page_writes *writes = writes_of(pool);
  /* Without memory to gather them they go through the mapping. */
  uint8_t *bytes = pool_write_page(pool, page_id);
  if (writes != NULL) {
    int error = writes->count == PAGES_MAX ? page_writes_flush(pool) : 0;
    if (error != 0) return error;
    uint32_t number = number_of(writes, page_id);
    writes->masks[number] |= mask;
    bytes = writes->bytes[number];
  }
  for (; mask != 0; mask &= mask - 1, lines += LINE_BYTES) {
    memcpy(bytes + (size_t)__builtin_ctzll(mask) * LINE_BYTES, lines, LINE_BYTES);
  }
  return 0;
}

int page_writes_now(struct pool *pool, const uint8_t *bytes, uint64_t length, uint64_t offset) {
  while (length > 0) {
    ssize_t written = sys.pwrite(pool->fd, bytes, length, (off_t)offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EFBIG) {
      /* RLIMIT_FSIZE is below the size the file has already: stores do not lengthen it. The stretch lies in one segment. */
      memcpy(pool_write_page(pool, (uint32_t)(offset >> PAGE_SHIFT)) + offset % PAGE_BYTES, bytes, length);
      return 0;
    }
    if (written <= 0) return written < 0 ? errno : EIO;
    bytes += written;
    length -= (uint64_t)written;
    offset += (uint64_t)written;
  }
  return 0;
}

/*
 * From the first line taken to the last: lines between them are written as they are. They are read from the write mapping while a
 * fault waits to be taken, for then the other one may show zeros, or what a stranger has written to a private copy.
 */
static void fill_gaps(const struct pool *pool, uint8_t *bytes, uint32_t page_id, uint64_t missing) {
  const uint8_t *page = pool_base_page(pool, page_id);
  /* Also where nothing is missing: the page of a file that was cut short must fault, or the write would lengthen the file. */
  (void)*(const volatile uint8_t *)page;
  for (; missing != 0; missing &= missing - 1) {
    size_t at = (size_t)__builtin_ctzll(missing) * LINE_BYTES;
    memcpy(bytes + at, page + at, LINE_BYTES);
  }
}

/* Writes the lines of the mask, and those between them, from `bytes`, which has room for the page. */
static int write_page(struct pool *pool, uint32_t page_id, uint64_t mask, uint8_t *bytes) {
  unsigned first = (unsigned)__builtin_ctzll(mask), last = 63u - (unsigned)__builtin_clzll(mask);
  uint64_t span = (UINT64_MAX >> (63u - last)) & (UINT64_MAX << first);
  fill_gaps(pool, bytes, page_id, span & ~mask);
  /* Read as zeros: nothing of it may be written. The executor tells. */
  if (atomic_load(&pool->faults.seen) != pool->faults_before) return 0;
  persist_note_lazy(pool, page_id);
  size_t at = (size_t)first * LINE_BYTES;
  return page_writes_now(pool, bytes + at, (size_t)(last - first + 1) * LINE_BYTES, ((uint64_t)page_id << PAGE_SHIFT) + at);
}

int page_writes_page(struct pool *pool, uint32_t page_id, uint64_t mask, const uint8_t *page) {
  if (mask == 0) return 0;
  uint8_t bytes[PAGE_BYTES];
  for (uint64_t left = mask; left != 0; left &= left - 1) {
    size_t at = (size_t)__builtin_ctzll(left) * LINE_BYTES;
    memcpy(bytes + at, page + at, LINE_BYTES);
  }
  return write_page(pool, page_id, mask, bytes);
}

int page_writes_flush(struct pool *pool) {
  struct page_writes *writes = pool->page_writes;
  if (writes == NULL || writes->count == 0) return 0;
  uint32_t count = writes->count;
  int error = 0;
  for (uint32_t number = 0; number < count && error == 0; number++) {
    uint64_t mask = writes->masks[number];
    if (mask != 0) error = write_page(pool, writes->page_ids[number], mask, writes->bytes[number]);
  }
  page_writes_drop(pool);
  return error;
}

void page_writes_drop(struct pool *pool) {
  struct page_writes *writes = pool->page_writes;
  if (writes == NULL || writes->count == 0) return;
  if (writes->count > PAGES_KEPT) {
    (void)sys.advise(writes->bytes[PAGES_KEPT], (size_t)(PAGES_MAX - PAGES_KEPT) * PAGE_BYTES, MADV_DONTNEED);
  }
  writes->count = 0;
  memset(writes->table, 0, sizeof writes->table);
}

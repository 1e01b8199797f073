#include "segments.h"

#include <errno.h>
#include <sys/mman.h>

#include "pool.h"
#include "syscalls.h"

#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif

int segments_probe_map_sync(int fd, bool read_only) {
  int protection = read_only ? PROT_READ : PROT_READ | PROT_WRITE;
  void *mapped = sys.map(NULL, PAGE_BYTES, protection, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
  if (mapped == MAP_FAILED) return errno;
  return sys.unmap(mapped, PAGE_BYTES) == 0 ? 0 : errno;
}

static int map_range(const struct pool *pool, void *fixed, size_t length, uint64_t offset, int protection, void **result) {
  int flags = pool->map_sync ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
  if (fixed != NULL) flags |= MAP_FIXED;
  void *mapped = sys.map(fixed, length, protection, flags, pool->fd, (off_t)offset);
  if (mapped == MAP_FAILED) return errno;
  *result = mapped;
  /* Before the first fault: else the page cache fills with large folios, and one dirty page writes 1 MiB. */
  if (sys.advise(mapped, length, MADV_RANDOM) == 0) return 0;
  int error = errno;
  if (fixed == NULL) sys.unmap(mapped, length);
  return error;
}

static int map_segment(struct pool *pool, uint32_t index) {
  size_t length = pool_segment_bytes(pool);
  uint64_t offset = (uint64_t)index * length;
  void *reading = NULL;
  void *writing = NULL;
  int error = map_range(pool, NULL, length, offset, PROT_READ, &reading);
  if (error != 0) return error;
  if (!pool->read_only) {
    error = map_range(pool, NULL, length, offset, PROT_READ | PROT_WRITE, &writing);
    if (error != 0) {
      sys.unmap(reading, length);
      return error;
    }
  }
  pool->segments[index] = (struct segment){reading, writing};
  /* The fault handler reads the count: the entry must be there before it. */
  atomic_store(&pool->segment_count, index + 1);
  return 0;
}

int segments_cover(struct pool *pool, uint64_t page_count) {
  uint64_t pages_each = (uint64_t)1 << pool->segment_shift;
  uint64_t needed = (page_count + pages_each - 1) >> pool->segment_shift;
  if (needed > SEGMENTS_MAX) return EFBIG;
  for (uint32_t index = atomic_load(&pool->segment_count); index < needed; index++) {
    int error = map_segment(pool, index);
    if (error != 0) return error;
  }
  return 0;
}

void segments_unmap_from(struct pool *pool, uint32_t keep) {
  size_t length = pool_segment_bytes(pool);
  uint32_t count = atomic_load(&pool->segment_count);
  if (count > keep) atomic_store(&pool->segment_count, keep);
  for (uint32_t index = keep; index < count; index++) {
    /* Unmapping a whole mapping of our own cannot fail, and nothing could be done about it here. */
    sys.unmap(pool->segments[index].read, length);
    if (pool->segments[index].write != NULL) sys.unmap(pool->segments[index].write, length);
    pool->segments[index] = (struct segment){NULL, NULL};
  }
}

int segments_remap(struct pool *pool, uint32_t index) {
  size_t length = pool_segment_bytes(pool);
  uint64_t offset = (uint64_t)index * length;
  void *mapped = NULL;
  int error = map_range(pool, pool->segments[index].read, length, offset, PROT_READ, &mapped);
  if (error != 0 || pool->segments[index].write == NULL) return error;
  return map_range(pool, pool->segments[index].write, length, offset, PROT_READ | PROT_WRITE, &mapped);
}

int segments_remap_page(struct pool *pool, uint64_t page_id, bool in_write_mapping) {
  const struct segment *segment = &pool->segments[page_id >> pool->segment_shift];
  uint64_t within = page_id & (((uint64_t)1 << pool->segment_shift) - 1);
  uint8_t *base = in_write_mapping ? segment->write : segment->read;
  int protection = in_write_mapping ? PROT_READ | PROT_WRITE : PROT_READ;
  void *mapped = NULL;
  return map_range(pool, base + (within << PAGE_SHIFT), PAGE_BYTES, page_id << PAGE_SHIFT, protection, &mapped);
}

/* Only a warm-up: EINVAL is a kernel before 5.14, and whatever else is wrong shows again at the first touch. */
static void populate_range(uint8_t *start, size_t length, int advice) { (void)sys.advise(start, length, advice); }

void segments_populate(struct pool *pool, uint64_t first_page, uint64_t end_page) {
  /*
   * Under granularity page a write fault marks the page dirty, and the zeros just synced would be written a second
   * time; reading it in is enough there. Under MAP_SYNC the write fault is the expensive, metadata-syncing one.
   */
  int writing_advice = pool->granularity == GRANULARITY_PAGE ? MADV_POPULATE_READ : MADV_POPULATE_WRITE;
  uint64_t pages_each = (uint64_t)1 << pool->segment_shift;
  for (uint64_t page = first_page; page < end_page;) {
    const struct segment *segment = &pool->segments[page >> pool->segment_shift];
    uint64_t within = page & (pages_each - 1);
    uint64_t pages = pages_each - within < end_page - page ? pages_each - within : end_page - page;
    size_t length = (size_t)pages << PAGE_SHIFT;
    populate_range(segment->write + (within << PAGE_SHIFT), length, writing_advice);
    populate_range(segment->read + (within << PAGE_SHIFT), length, MADV_POPULATE_READ);
    page += pages;
  }
}

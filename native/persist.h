/* Storing lines into the pool, and what makes them durable under each granularity. */
#ifndef DAXKV_PERSIST_H
#define DAXKV_PERSIST_H

#include <errno.h>
#include <sys/mman.h>

#include "cpu.h"
#include "pool.h"
#include "syscalls.h"

/* Under granularity page a flush is a note for the next msync. */
static inline void persist_note_page(struct pool *pool, uint32_t page_id) {
  struct dirty_range *dirty = &pool->dirty;
  if (!dirty->any) {
    *dirty = (struct dirty_range){true, page_id, page_id};
    return;
  }
  if (page_id < dirty->first_page) dirty->first_page = page_id;
  if (page_id > dirty->last_page) dirty->last_page = page_id;
}

static inline void persist_flush_line(struct pool *pool, const uint8_t *line) {
  if (pool->granularity == GRANULARITY_CACHE_LINE) cpu.flush_line(line);
}

/* Counts `lines` flushes of one page and notes it. Under granularity byte (eADR) there is nothing to flush. */
static inline void persist_account_flush(struct pool *pool, uint32_t page_id, unsigned lines) {
  if (pool->granularity == GRANULARITY_BYTE) return;
  if (pool->granularity == GRANULARITY_PAGE) persist_note_page(pool, page_id);
  pool->control->counters[COUNT_FLUSHED_LINES] += lines;
}

static inline void persist_account_stream(struct pool *pool, uint32_t page_id, unsigned lines) {
  if (pool->granularity == GRANULARITY_PAGE) persist_note_page(pool, page_id);
  pool->control->counters[COUNT_NON_TEMPORAL_LINES] += lines;
}

/* Nothing waits for the lines of this page before the next data sync. */
static inline void persist_note_lazy(const struct pool *pool, uint32_t page_id) {
  if (pool->stored_pages == NULL) return;
  uint8_t *count = &pool->stored_pages[page_id >> PIECE_SHIFT];
  if (*count < UINT8_MAX) *count += 1;
}

static inline int persist_sync_file(struct pool *pool) {
  pool->dirty.any = false;
  pool->control->counters[COUNT_SYNCS] += 1;
  barrier_gate_enter(&pool->gate);
  int error = sys.fdatasync(pool->fd) == 0 ? 0 : errno;
  barrier_gate_leave(&pool->gate);
  return error;
}

static inline int persist_sync_dirty(struct pool *pool) {
  struct dirty_range dirty = pool->dirty;
  if (!dirty.any) return 0;
  if (dirty.first_page >> pool->segment_shift != dirty.last_page >> pool->segment_shift) {
    /* One wait in any case: two msync calls cost twice what one fdatasync costs. */
    return persist_sync_file(pool);
  }
  pool->dirty.any = false;
  pool->control->counters[COUNT_SYNCS] += 1;
  size_t length = ((size_t)dirty.last_page - dirty.first_page + 1) << PAGE_SHIFT;
  barrier_gate_enter(&pool->gate);
  int error = sys.msync(pool_write_page(pool, dirty.first_page), length, MS_SYNC) == 0 ? 0 : errno;
  barrier_gate_leave(&pool->gate);
  return error;
}

/* Every flush so far is durable before any later store. Returns an errno. */
static inline int persist_fence(struct pool *pool) {
  pool->control->counters[COUNT_FENCES] += 1;
  cpu_fence();
  return pool->granularity == GRANULARITY_PAGE ? persist_sync_dirty(pool) : 0;
}

#endif

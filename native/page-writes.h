/*
 * Lines on their way to their places under granularity page. Stored through the mapping, the first one on a page after each
 * write-back costs a page fault, two to six times what a system call does; so lines are gathered here, page by page, and each page
 * is written by one `pwrite`, however many records have lines for it. The mappings show what is written: both are the page cache.
 */
#ifndef DAXKV_PAGE_WRITES_H
#define DAXKV_PAGE_WRITES_H

#include <stdbool.h>
#include <stdint.h>

struct pool;
struct page_writes;

/* Takes the lines of the mask, which follow each other at `lines`. Later ones replace earlier ones. Returns an errno. */
int page_writes_take(struct pool *pool, uint32_t page_id, uint64_t mask, const uint8_t *lines);
/*
 * Whether the lines of a page are better written than stored through the mapping: under granularity page, the first times after a
 * write-back. A page that is stored to again and again is worth its fault.
 */
bool page_writes_are_better(struct pool *pool, uint32_t page_id);
/* The kernel has written everything back: stores through the mapping fault again. */
void page_writes_all_clean(struct pool *pool);

/* Writes what was taken. Returns an errno; stops early, having written nothing made up, when a page could not be read. */
int page_writes_flush(struct pool *pool);

/* Forgets what was taken: after a failure the pool is poisoned, and recovery stores all of it again. */
void page_writes_drop(struct pool *pool);

/* Writes these lines of `page` at once. Returns an errno, or 0 also when the page could not be read: see `page_writes_flush`. */
int page_writes_page(struct pool *pool, uint32_t page_id, uint64_t mask, const uint8_t *page);

void page_writes_release(struct pool *pool);

/* All of it, at once. Touch the pages before: past the end of a file that was cut short a write would lengthen it. */
int page_writes_now(struct pool *pool, const uint8_t *bytes, uint64_t length, uint64_t offset);

#endif

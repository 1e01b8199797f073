/*
 * The file is mapped in fixed segments, each reserved whole, beyond the end of the file: growth inside a segment
 * needs no remapping. Every segment is mapped twice: read-only for JavaScript, writable for the addon.
 */
#ifndef DAXKV_SEGMENTS_H
#define DAXKV_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>

struct pool;

/*
 * Asks the kernel whether stores into this file may be made durable from user space. Returns 0 (granted),
 * EOPNOTSUPP or EINVAL (not granted), or another errno (an error).
 */
int segments_probe_map_sync(int fd, bool read_only);

/* Maps segments until `page_count` pages are covered. Returns an errno; segments mapped before stay. */
int segments_cover(struct pool *pool, uint64_t page_count);

/* Unmaps all segments from `keep` on. */
void segments_unmap_from(struct pool *pool, uint32_t keep);

int segments_remap(struct pool *pool, uint32_t index);
int segments_remap_page(struct pool *pool, uint64_t page_id, bool in_write_mapping);

/* Touches the pages of the range in both mappings, so that later puts need no page fault. */
void segments_populate(struct pool *pool, uint64_t first_page, uint64_t end_page);

#endif

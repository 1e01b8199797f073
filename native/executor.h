/* Runs persist programs, and the few things besides them that read or write pool pages natively. */
#ifndef DAXKV_EXECUTOR_H
#define DAXKV_EXECUTOR_H

#include <stdint.h>

#include "pool.h"

/* Runs the first control->call.words words; the outcome stands in control->status. */
void executor_run(struct pool *pool);

/*
 * Copies the bytes past the cache to the pages from control->call.page_id on (or lazily, neither flushed nor noted, with
 * control->call.lazily) and leaves their XXH64 in control->call.hash_*. The outcome stands in control->status.
 */
void executor_write_extent(struct pool *pool, const uint8_t *bytes, size_t byte_length);

/* XXH64 of control->call.byte_length bytes from page control->call.page_id on. */
void executor_hash_extent(struct pool *pool);

/* control->call.result = 1 when the checksum of page control->call.page_id agrees with its lines. */
void executor_verify_page(struct pool *pool);

#endif

/* Extending the file with written zeros: no hole, no unwritten extent, metadata durable before anybody points at it. */
#ifndef DAXKV_GROWTH_H
#define DAXKV_GROWTH_H

#include <stdint.h>

#include "task.h"

struct pool;

/* Writes zeros over [from, to) and fsyncs. On failure cuts the file back to `from` and returns the errno. */
int growth_zero_fill(int fd, uint64_t from, uint64_t to);

/*
 * The larger part of a growth, done ahead on another thread: zeros are written behind the capacity, where nobody looks, and made
 * durable, so that the growth itself has only to publish them. A crash in between leaves a file that is longer than its capacity,
 * as a crash in the middle of a growth does.
 */
struct preparation {
  struct task task;
  /* Of which it touches file and mappings; nobody else changes the length of the file meanwhile. */
  struct pool *pool;
  uint64_t from;
  uint64_t to;
};

/* EINVAL where the new pages do not lie in the segments that are mapped. Returns an errno. */
int preparation_start(struct preparation *preparation, struct pool *pool, uint64_t new_byte_length);

/* Has ended with this errno: what it has made durable need not be written again. */
void preparation_ended(const struct preparation *preparation, int error);

#endif

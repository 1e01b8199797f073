/* Extending the file with written zeros: no hole, no unwritten extent, metadata durable before anybody points at it. */
#ifndef DAXKV_GROWTH_H
#define DAXKV_GROWTH_H

#include <stdint.h>

/* Writes zeros over [from, to) and fsyncs. On failure cuts the file back to `from` and returns the errno. */
int growth_zero_fill(int fd, uint64_t from, uint64_t to);

#endif

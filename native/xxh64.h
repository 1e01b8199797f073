/* XXH64 (the public algorithm by Yann Collet), one-shot and in whole 64-byte lines. Little-endian hosts only. */
#ifndef DAXKV_XXH64_H
#define DAXKV_XXH64_H

#include <stddef.h>
#include <stdint.h>

struct xxh64 {
  uint64_t lanes[4];
  uint64_t seed;
  uint64_t byte_length;
};

void xxh64_start(struct xxh64 *state, uint64_t seed);

/* Takes `lines` * 64 bytes. */
void xxh64_lines(struct xxh64 *state, const void *bytes, size_t lines);

/* Takes the last `length` bytes (any number) and gives the hash. */
uint64_t xxh64_finish(const struct xxh64 *state, const void *tail, size_t length);

uint64_t xxh64(const void *bytes, size_t length, uint64_t seed);

/* One line; `seed` as for xxh64. */
uint64_t xxh64_line(const void *line, uint64_t seed);

/* Keyed hash of line `line` of page `page_id`, the checksum field (bytes 0..7 of the page) read as zero. */
uint64_t page_line_hash(const void *bytes, uint32_t page_id, unsigned line);

#endif

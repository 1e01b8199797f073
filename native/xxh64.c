#include "xxh64.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the pool format is little-endian and read in place"
#endif

#define PRIME1 0x9E3779B185EBCA87ull
#define PRIME2 0xC2B2AE3D27D4EB4Full
#define PRIME3 0x165667B19E3779F9ull
#define PRIME4 0x85EBCA77C2B2AE63ull
#define PRIME5 0x27D4EB2F165667C5ull
#define STRIPE_BYTES 32

static inline uint64_t rotate_left(uint64_t value, unsigned bits) { return (value << bits) | (value >> (64 - bits)); }

static inline uint64_t load64(const uint8_t *bytes) {
  uint64_t value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

static inline uint32_t load32(const uint8_t *bytes) {
  uint32_t value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

static inline uint64_t round64(uint64_t lane, uint64_t input) {
  return rotate_left(lane + input * PRIME2, 31) * PRIME1;
}

static inline void start_lanes(uint64_t lanes[4], uint64_t seed) {
  lanes[0] = seed + PRIME1 + PRIME2;
  lanes[1] = seed + PRIME2;
  lanes[2] = seed;
  lanes[3] = seed - PRIME1;
}

static inline void take_stripe(uint64_t lanes[4], const uint8_t *bytes) {
  lanes[0] = round64(lanes[0], load64(bytes));
  lanes[1] = round64(lanes[1], load64(bytes + 8));
  lanes[2] = round64(lanes[2], load64(bytes + 16));
  lanes[3] = round64(lanes[3], load64(bytes + 24));
}

static inline uint64_t merge_lane(uint64_t hash, uint64_t lane) {
  return (hash ^ round64(0, lane)) * PRIME1 + PRIME4;
}

static inline uint64_t merge_lanes(const uint64_t lanes[4]) {
  uint64_t hash = rotate_left(lanes[0], 1) + rotate_left(lanes[1], 7) + rotate_left(lanes[2], 12) +
                  rotate_left(lanes[3], 18);
  hash = merge_lane(hash, lanes[0]);
  hash = merge_lane(hash, lanes[1]);
  hash = merge_lane(hash, lanes[2]);
  return merge_lane(hash, lanes[3]);
}

static inline uint64_t avalanche(uint64_t hash) {
  hash ^= hash >> 33;
  hash *= PRIME2;
  hash ^= hash >> 29;
  hash *= PRIME3;
  return hash ^ (hash >> 32);
}

void xxh64_start(struct xxh64 *state, uint64_t seed) {
  start_lanes(state->lanes, seed);
  state->seed = seed;
  state->byte_length = 0;
}

void xxh64_lines(struct xxh64 *state, const void *bytes, size_t lines) {
  uint64_t lanes[4];
  memcpy(lanes, state->lanes, sizeof lanes);
  const uint8_t *at = bytes;
  for (size_t i = 0; i < lines; i++, at += 64) {
    take_stripe(lanes, at);
    take_stripe(lanes, at + STRIPE_BYTES);
  }
  memcpy(state->lanes, lanes, sizeof lanes);
  state->byte_length += (uint64_t)lines * 64;
}

uint64_t xxh64_finish(const struct xxh64 *state, const void *tail, size_t length) {
  uint64_t lanes[4];
  memcpy(lanes, state->lanes, sizeof lanes);
  const uint8_t *at = tail;
  size_t left = length;
  for (; left >= STRIPE_BYTES; left -= STRIPE_BYTES, at += STRIPE_BYTES) take_stripe(lanes, at);
  uint64_t total = state->byte_length + length;
  uint64_t hash = total >= STRIPE_BYTES ? merge_lanes(lanes) : state->seed + PRIME5;
  hash += total;
  for (; left >= 8; left -= 8, at += 8) hash = rotate_left(hash ^ round64(0, load64(at)), 27) * PRIME1 + PRIME4;
  if (left >= 4) {
    hash = rotate_left(hash ^ (load32(at) * PRIME1), 23) * PRIME2 + PRIME3;
    left -= 4;
    at += 4;
  }
  for (; left > 0; left--, at++) hash = rotate_left(hash ^ (*at * PRIME5), 11) * PRIME1;
  return avalanche(hash);
}

uint64_t xxh64(const void *bytes, size_t length, uint64_t seed) {
  struct xxh64 state;
  xxh64_start(&state, seed);
  return xxh64_finish(&state, bytes, length);
}

uint64_t xxh64_line(const void *line, uint64_t seed) {
  uint64_t lanes[4];
  start_lanes(lanes, seed);
  take_stripe(lanes, line);
  take_stripe(lanes, (const uint8_t *)line + STRIPE_BYTES);
  return avalanche(merge_lanes(lanes) + 64);
}

uint64_t page_line_hash(const void *bytes, uint32_t page_id, unsigned line) {
  uint64_t seed = (uint64_t)page_id * 64 + line;
  if (line != 0) return xxh64_line(bytes, seed);
  uint8_t copy[64];
  memcpy(copy, bytes, sizeof copy);
  memset(copy, 0, 8);
  return xxh64_line(copy, seed);
}

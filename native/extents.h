/* Ranges of a file that must not lie under user-space flushes: holes, unwritten (preallocated) and shared (reflinked). */
#ifndef DAXKV_EXTENTS_H
#define DAXKV_EXTENTS_H

#include <stddef.h>
#include <stdint.h>

enum extent_kind { EXTENT_HOLE = 0, EXTENT_UNWRITTEN = 1, EXTENT_SHARED = 2 };

struct extent_range {
  enum extent_kind kind;
  uint64_t offset;
  uint64_t length;
};

struct extent_list {
  struct extent_range *ranges;
  size_t count;
  size_t capacity;
};

/* Appends the unsafe ranges of [0, byte_length). Returns an errno; the caller frees `ranges` in both cases. */
int extents_list(int fd, uint64_t byte_length, struct extent_list *list);

#endif

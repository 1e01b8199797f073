#include "extents.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "syscalls.h"

#define EXTENTS_EACH_CALL 128u

static int append(struct extent_list *list, enum extent_kind kind, uint64_t offset, uint64_t end) {
  if (end <= offset) return 0;
  struct extent_range *last = list->count > 0 ? &list->ranges[list->count - 1] : NULL;
  if (last != NULL && last->kind == kind && last->offset + last->length == offset) {
    last->length = end - last->offset;
    return 0;
  }
  if (list->count == list->capacity) {
    size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
    struct extent_range *ranges = realloc(list->ranges, capacity * sizeof *ranges);
    if (ranges == NULL) return ENOMEM;
    list->ranges = ranges;
    list->capacity = capacity;
  }
  list->ranges[list->count++] = (struct extent_range){kind, offset, end - offset};
  return 0;
}

static int append_extent(struct extent_list *list, const struct fiemap_extent *extent, uint64_t *cursor, uint64_t length) {
  uint64_t start = extent->fe_logical < length ? extent->fe_logical : length;
  uint64_t end = length - start < extent->fe_length ? length : start + extent->fe_length;
  int error = append(list, EXTENT_HOLE, *cursor, start);
  if (error != 0) return error;
  if (end > *cursor) *cursor = end;
  /* Delayed allocation after an fsync means that the file system has not yet given it a place. */
  const uint32_t unwritten = FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_DELALLOC;
  if ((extent->fe_flags & unwritten) != 0) return append(list, EXTENT_UNWRITTEN, start, end);
  if ((extent->fe_flags & FIEMAP_EXTENT_SHARED) != 0) return append(list, EXTENT_SHARED, start, end);
  return 0;
}

static int list_by_fiemap(int fd, uint64_t length, struct extent_list *list) {
  union {
    struct fiemap map;
    uint8_t space[sizeof(struct fiemap) + EXTENTS_EACH_CALL * sizeof(struct fiemap_extent)];
  } request;
  uint64_t cursor = 0;
  bool last = false;
  while (cursor < length && !last) {
    memset(&request.map, 0, sizeof request.map);
    request.map.fm_start = cursor;
    request.map.fm_length = length - cursor;
    request.map.fm_flags = FIEMAP_FLAG_SYNC;
    request.map.fm_extent_count = EXTENTS_EACH_CALL;
    if (sys.list_extents(fd, &request.map) != 0) return errno;
    uint32_t count = request.map.fm_mapped_extents;
    uint64_t before = cursor;
    for (uint32_t i = 0; i < count; i++) {
      const struct fiemap_extent *extent = &request.map.fm_extents[i];
      int error = append_extent(list, extent, &cursor, length);
      if (error != 0) return error;
      last = last || (extent->fe_flags & FIEMAP_EXTENT_LAST) != 0;
    }
    /* No progress is the end of the file's extents, whatever the flags say: never loop on a strange answer. */
    if (count == 0 || cursor == before) last = true;
  }
  return append(list, EXTENT_HOLE, cursor, length);
}

static int list_by_seek(int fd, uint64_t length, struct extent_list *list) {
  uint64_t cursor = 0;
  while (cursor < length) {
    off_t hole = sys.seek(fd, (off_t)cursor, SEEK_HOLE);
    if (hole < 0) return errno == ENXIO ? append(list, EXTENT_HOLE, cursor, length) : errno;
    if ((uint64_t)hole >= length) return 0;
    off_t data = sys.seek(fd, hole, SEEK_DATA);
    if (data < 0 && errno != ENXIO) return errno;
    uint64_t end = data < 0 || (uint64_t)data > length ? length : (uint64_t)data;
    int error = append(list, EXTENT_HOLE, (uint64_t)hole, end);
    if (error != 0) return error;
    if (end <= cursor) return EIO;
    cursor = end;
  }
  return 0;
}

int extents_list(int fd, uint64_t byte_length, struct extent_list *list) {
  int error = list_by_fiemap(fd, byte_length, list);
  bool unsupported = error == EOPNOTSUPP || error == ENOTTY || error == EINVAL || error == ENOSYS;
  if (!unsupported) return error;
  list->count = 0;
  return list_by_seek(fd, byte_length, list);
}

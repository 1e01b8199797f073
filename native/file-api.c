/* The functions on file descriptors and bytes; errors of system calls are returned as errnos, not thrown. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "addon.h"
#include "cpu.h"
#include "extents.h"
#include "growth.h"
#include "lock.h"
#include "napi-util.h"
#include "segments.h"
#include "syscalls.h"
#include "xxh64.h"

#ifndef STATX_ATTR_DAX
#define STATX_ATTR_DAX 0x00200000
#endif

/* Numbers up to here are exact in JavaScript. */
#define SAFE_INTEGER_MAX ((1ull << 53) - 1)

static napi_value api_flush_instruction(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value result = NULL;
  TRY(env, napi_create_string_utf8(env, cpu.can_flush ? cpu.flush_name : "", NAPI_AUTO_LENGTH, &result));
  return result;
}

/* xxh64(bytes, seedLo, seedHi, out) */
static napi_value api_xxh64(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  void *bytes = NULL, *out = NULL;
  size_t length = 0, out_length = 0;
  uint64_t low = 0, high = 0;
  if (!util_arguments(env, info, 4, arguments, NULL)) return NULL;
  if (!util_typed_array(env, arguments[0], napi_uint8_array, &bytes, &length)) return NULL;
  if (!util_integer(env, arguments[1], UINT32_MAX, &low)) return NULL;
  if (!util_integer(env, arguments[2], UINT32_MAX, &high)) return NULL;
  if (!util_typed_array(env, arguments[3], napi_uint32_array, &out, &out_length)) return NULL;
  if (out_length < 2) {
    napi_throw_range_error(env, "INVALID_ARGUMENT", "the result needs two words");
    return NULL;
  }
  uint64_t hash = xxh64(bytes, length, high << 32 | low);
  ((uint32_t *)out)[0] = (uint32_t)hash;
  ((uint32_t *)out)[1] = (uint32_t)(hash >> 32);
  return NULL;
}

/* probeMapSync(fd, readOnly): 0 or an errno */
static napi_value api_probe_map_sync(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  int fd = 0;
  bool read_only = false;
  if (!util_arguments(env, info, 2, arguments, NULL)) return NULL;
  if (!util_fd(env, arguments[0], &fd) || !util_boolean(env, arguments[1], &read_only)) return NULL;
  return util_number(env, segments_probe_map_sync(fd, read_only));
}

/* lock(fd, exclusive): 0, -1 (this process has it), or an errno (EAGAIN: another process has it) */
static napi_value api_lock(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  void *instance = NULL;
  int fd = 0;
  bool exclusive = false;
  if (!util_arguments(env, info, 2, arguments, &instance)) return NULL;
  if (!util_fd(env, arguments[0], &fd) || !util_boolean(env, arguments[1], &exclusive)) return NULL;
  return util_number(env, lock_acquire(fd, exclusive, instance));
}

/* unlock(fd): 0 */
static napi_value api_unlock(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  void *instance = NULL;
  int fd = 0;
  if (!util_arguments(env, info, 1, arguments, &instance)) return NULL;
  if (!util_fd(env, arguments[0], &fd)) return NULL;
  lock_release_fd(fd, instance);
  return util_number(env, 0);
}

/* zeroFill(fd, from, to): 0 or an errno */
static napi_value api_zero_fill(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  int fd = 0;
  uint64_t from = 0, to = 0;
  if (!util_arguments(env, info, 3, arguments, NULL)) return NULL;
  if (!util_fd(env, arguments[0], &fd)) return NULL;
  if (!util_integer(env, arguments[1], SAFE_INTEGER_MAX, &from)) return NULL;
  if (!util_integer(env, arguments[2], SAFE_INTEGER_MAX, &to)) return NULL;
  return util_number(env, growth_zero_fill(fd, from, to));
}

static napi_value list_to_array(napi_env env, const struct extent_list *list) {
  napi_value buffer = NULL, result = NULL;
  void *data = NULL;
  TRY(env, napi_create_arraybuffer(env, list->count * 3 * sizeof(double), &data, &buffer));
  double *numbers = data;
  for (size_t i = 0; i < list->count; i++) {
    numbers[i * 3] = list->ranges[i].kind;
    numbers[i * 3 + 1] = (double)list->ranges[i].offset;
    numbers[i * 3 + 2] = (double)list->ranges[i].length;
  }
  TRY(env, napi_create_typedarray(env, napi_float64_array, list->count * 3, buffer, 0, &result));
  return result;
}

/* listExtents(fd, byteLength): Float64Array of (kind, offset, length), or an errno */
static napi_value api_list_extents(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  int fd = 0;
  uint64_t length = 0;
  struct extent_list list = {NULL, 0, 0};
  if (!util_arguments(env, info, 2, arguments, NULL)) return NULL;
  if (!util_fd(env, arguments[0], &fd)) return NULL;
  if (!util_integer(env, arguments[1], SAFE_INTEGER_MAX, &length)) return NULL;
  int error = extents_list(fd, length, &list);
  napi_value result = error == 0 ? list_to_array(env, &list) : util_number(env, error);
  free(list.ranges);
  return result;
}

/* statxDax(fd): 1, 0, or -1 where the file system does not say */
static napi_value api_statx_dax(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  int fd = 0;
  struct statx file;
  if (!util_arguments(env, info, 1, arguments, NULL)) return NULL;
  if (!util_fd(env, arguments[0], &fd)) return NULL;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &file) != 0) return util_number(env, -1);
  if ((file.stx_attributes_mask & STATX_ATTR_DAX) == 0) return util_number(env, -1);
  return util_number(env, (file.stx_attributes & STATX_ATTR_DAX) != 0 ? 1 : 0);
}

bool file_api_register(napi_env env, napi_value exports, struct instance *instance) {
  return util_set_function(env, exports, "flushInstruction", api_flush_instruction, NULL) &&
         util_set_function(env, exports, "xxh64", api_xxh64, NULL) &&
         util_set_function(env, exports, "probeMapSync", api_probe_map_sync, NULL) &&
         util_set_function(env, exports, "lock", api_lock, instance) &&
         util_set_function(env, exports, "unlock", api_unlock, instance) &&
         util_set_function(env, exports, "zeroFill", api_zero_fill, NULL) &&
         util_set_function(env, exports, "listExtents", api_list_extents, NULL) &&
         util_set_function(env, exports, "statxDax", api_statx_dax, NULL);
}

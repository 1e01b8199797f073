/* Short forms of the Node-API calls this addon makes again and again. */
#ifndef DAXKV_NAPI_UTIL_H
#define DAXKV_NAPI_UTIL_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Throws what went wrong in the last Node-API call, unless an exception waits already. Returns NULL for `return`. */
napi_value util_throw_last(napi_env env, napi_status status);

/* Evaluates a Node-API call; on failure throws and returns NULL from the enclosing function. */
#define TRY(env, call)                                         \
  do {                                                         \
    napi_status try_status = (call);                           \
    if (try_status != napi_ok) return util_throw_last(env, try_status); \
  } while (0)

/* Reads exactly `count` arguments; false after throwing. */
bool util_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *arguments, void **data);

/* Reads a number that must be an integer from 0 to `maximum`; false after throwing. */
bool util_integer(napi_env env, napi_value value, uint64_t maximum, uint64_t *result);
bool util_fd(napi_env env, napi_value value, int *result);
bool util_boolean(napi_env env, napi_value value, bool *result);

/* Bytes of a Uint8Array or Buffer, or words of a Uint32Array; false after throwing. */
bool util_typed_array(napi_env env, napi_value value, napi_typedarray_type type, void **data, size_t *length);

napi_value util_number(napi_env env, double value);
bool util_set_function(napi_env env, napi_value object, const char *name, napi_callback callback, void *data);

#endif

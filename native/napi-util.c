#include "napi-util.h"

#include <limits.h>
#include <math.h>

napi_value util_throw_last(napi_env env, napi_status status) {
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending) return NULL;
  if (status == napi_no_external_buffers_allowed) {
    napi_throw_error(env, "EXTERNAL_BUFFERS_FORBIDDEN", "this runtime forbids external ArrayBuffers");
    return NULL;
  }
  const napi_extended_error_info *details = NULL;
  const char *message = NULL;
  if (napi_get_last_error_info(env, &details) == napi_ok && details != NULL) message = details->error_message;
  napi_throw_error(env, "NAPI_FAILED", message != NULL ? message : "a Node-API call failed");
  return NULL;
}

static bool throw_type(napi_env env, const char *message) {
  napi_throw_type_error(env, "INVALID_ARGUMENT", message);
  return false;
}

bool util_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *arguments, void **data) {
  size_t given = count;
  napi_status status = napi_get_cb_info(env, info, &given, arguments, NULL, data);
  if (status != napi_ok) {
    util_throw_last(env, status);
    return false;
  }
  return given >= count ? true : throw_type(env, "too few arguments");
}

bool util_integer(napi_env env, napi_value value, uint64_t maximum, uint64_t *result) {
  double number = 0;
  if (napi_get_value_double(env, value, &number) != napi_ok) return throw_type(env, "a number is expected");
  if (!(number >= 0 && number <= (double)maximum) || number != floor(number)) {
    return throw_type(env, "an integer within its limits is expected");
  }
  *result = (uint64_t)number;
  return true;
}

bool util_fd(napi_env env, napi_value value, int *result) {
  uint64_t number = 0;
  if (!util_integer(env, value, INT_MAX, &number)) return false;
  *result = (int)number;
  return true;
}

bool util_boolean(napi_env env, napi_value value, bool *result) {
  if (napi_get_value_bool(env, value, result) != napi_ok) return throw_type(env, "a boolean is expected");
  return true;
}

bool util_typed_array(napi_env env, napi_value value, napi_typedarray_type type, void **data, size_t *length) {
  bool is_typed_array = false;
  napi_typedarray_type actual;
  napi_status status = napi_is_typedarray(env, value, &is_typed_array);
  if (status != napi_ok || !is_typed_array) return throw_type(env, "a typed array is expected");
  status = napi_get_typedarray_info(env, value, &actual, length, data, NULL, NULL);
  if (status != napi_ok || actual != type) return throw_type(env, "a typed array of another type is expected");
  return true;
}

napi_value util_number(napi_env env, double value) {
  napi_value result = NULL;
  TRY(env, napi_create_double(env, value, &result));
  return result;
}

bool util_set_function(napi_env env, napi_value object, const char *name, napi_callback callback, void *data) {
  napi_value function = NULL;
  napi_status status = napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, data, &function);
  if (status == napi_ok) status = napi_set_named_property(env, object, name, function);
  if (status == napi_ok) return true;
  util_throw_last(env, status);
  return false;
}

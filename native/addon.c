#include "addon.h"

#include <stdlib.h>

#include "cpu.h"
#include "lock.h"
#include "napi-util.h"
#include "operation-hook.h"

/* Runs after the hooks of the pools that were opened later: hooks run in reverse order. */
static void on_environment_end(void *data) {
  struct instance *instance = data;
  lock_release_owner(instance);
  free(instance);
}

/*
 * Closing a store detaches its mappings. V8 compiles under the assumption that no buffer was ever detached, and the first
 * one that is makes it throw away all optimized code that touches memory: every other store of the process would be slow
 * again for some ten thousand operations. Ended here, before anything is compiled, the assumption is never made; code without
 * it is as fast (benchmark "durable put, from empty", whose warm-up closes a store first).
 */
static bool end_detaching_assumption(napi_env env) {
  napi_value buffer;
  void *bytes;
  napi_status status = napi_create_arraybuffer(env, 8, &bytes, &buffer);
  if (status == napi_ok) status = napi_detach_arraybuffer(env, buffer);
  if (status == napi_ok) return true;
  util_throw_last(env, status);
  return false;
}

NAPI_MODULE_INIT() {
  cpu_detect();
  struct instance *instance = calloc(1, sizeof *instance);
  if (instance == NULL) {
    napi_throw_error(env, "ENOMEM", "out of memory");
    return NULL;
  }
  instance->env = env;
  napi_status status = napi_add_env_cleanup_hook(env, on_environment_end, instance);
  if (status != napi_ok) {
    free(instance);
    return util_throw_last(env, status);
  }
  /* Freed by the hook above, which runs in every case; pools closed by later finalizers do not use it. */
  TRY(env, napi_set_instance_data(env, instance, NULL, NULL));
  if (!end_detaching_assumption(env)) return NULL;
  if (!file_api_register(env, exports, instance)) return NULL;
  if (!util_set_function(env, exports, "openPool", pool_api_open, instance)) return NULL;
  if (!test_hooks_register(env, exports)) return NULL;
  return exports;
}

#include "addon.h"

#include <stdlib.h>

#include "cpu.h"
#include "lock.h"
#include "napi-util.h"

/* Runs after the hooks of the pools that were opened later: hooks run in reverse order. */
static void on_environment_end(void *data) {
  struct instance *instance = data;
  lock_release_owner(instance);
  free(instance);
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
  if (!file_api_register(env, exports, instance)) return NULL;
  if (!util_set_function(env, exports, "openPool", pool_api_open, instance)) return NULL;
  return exports;
}

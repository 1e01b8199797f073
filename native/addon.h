/* What one environment (the main thread or a worker) holds. */
#ifndef DAXKV_ADDON_H
#define DAXKV_ADDON_H

#include <node_api.h>
#include <stdbool.h>

/* The address of the instance is also the owner of the locks this environment took. */
struct instance {
  napi_env env;
};

bool file_api_register(napi_env env, napi_value exports, struct instance *instance);

/* openPool(fd, byteLength, segmentShift, readOnly, mapSync, granularity): the pool object, or an errno. */
napi_value pool_api_open(napi_env env, napi_callback_info info);

#endif

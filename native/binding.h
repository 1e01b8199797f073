/* A pool and what JavaScript holds of it. */
#ifndef DAXKV_BINDING_H
#define DAXKV_BINDING_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;
struct async_call;

struct buffer_list {
  napi_ref *references;
  uint32_t count;
  uint32_t capacity;
};

/* What libuv's threads do for a pool; at most one of each at a time. */
enum async_kind { ASYNC_BARRIER, ASYNC_DATA_SYNC, ASYNC_PREPARATION, ASYNC_KINDS };

struct binding {
  struct pool *pool;
  napi_env env;
  /* Functions not yet collected: each may still be called, so each keeps the struct (not the mappings) alive. */
  unsigned functions;
  bool hooked;
  /* Those under way whose end nobody has learnt of, and all that libuv still has to call back for. */
  struct async_call *async[ASYNC_KINDS];
  unsigned async_calls;
  /* Stretches of the mapping that JavaScript sees, in the order they were asked for. */
  struct buffer_list windows;
  size_t window_bytes;
  struct buffer_list chunks;
  struct buffer_list fixed;
};

/* The binding of a method call; NULL when the pool is closed. */
struct binding *binding_of_call(napi_env env, napi_callback_info info);

/* False after throwing CLOSED. */
bool binding_is_open(napi_env env, const struct binding *binding);

/* Releases it when nobody can call it any more. */
void binding_destroy_if_unused(struct binding *binding);

#endif

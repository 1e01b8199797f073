#include "async-calls.h"

#include <errno.h>
#include <stdlib.h>

#include "barrier.h"
#include "growth.h"
#include "napi-util.h"
#include "pool.h"

/* On its way through libuv: its own allocation, as it may outlive the pool that started it. */
struct async_call {
  struct binding *binding;
  enum async_kind kind;
  /* The first member of one of them. */
  struct task *task;
  union {
    struct barrier barrier;
    struct data_sync data_sync;
    struct preparation preparation;
  } of;
  napi_async_work work;
  napi_ref ended;
};

/* That it began has been counted. */
static void count_syncs(const struct pool *pool, const struct async_call *call) {
  uint32_t more = call->kind == ASYNC_DATA_SYNC ? call->of.data_sync.part_syncs : 0;
  pool->control->counters[COUNT_SYNCS] += more;
  if (call->task->in_background) pool->control->counters[COUNT_BACKGROUND_SYNCS] += 1 + more;
}

int async_finish(struct binding *binding, enum async_kind kind) {
  struct async_call *call = binding->async[kind];
  if (call == NULL) return -1;
  if (kind == ASYNC_DATA_SYNC) atomic_store(&call->of.data_sync.is_waited_for, true);
  /* Who wants to grow now, or to close, is faster without one that nobody has begun. */
  if (kind == ASYNC_PREPARATION) task_cancel(call->task);
  int error = task_wait(call->task);
  if (kind == ASYNC_PREPARATION) {
    preparation_ended(&call->of.preparation, error);
  } else {
    count_syncs(binding->pool, call);
  }
  binding->async[kind] = NULL;
  return error;
}

void async_finish_all(struct binding *binding) {
  for (int kind = 0; kind < ASYNC_KINDS; kind++) (void)async_finish(binding, (enum async_kind)kind);
}

static void work_on_call(napi_env env, void *data) {
  (void)env;
  struct async_call *call = data;
  task_run(call->task);
}

static void discard_call(napi_env env, struct async_call *call) {
  if (call->work != NULL) napi_delete_async_work(env, call->work);
  if (call->ended != NULL) napi_delete_reference(env, call->ended);
  task_destroy(call->task);
  free(call);
}

/* Errors of the calls below cannot be thrown to anybody; in an environment that is ending JavaScript runs no more. */
static void tell_end(napi_env env, struct async_call *call, int error) {
  napi_value callback = NULL, receiver = NULL, argument = NULL;
  if (napi_get_reference_value(env, call->ended, &callback) != napi_ok || callback == NULL) return;
  if (napi_get_undefined(env, &receiver) != napi_ok) return;
  if (napi_create_double(env, error, &argument) != napi_ok) return;
  (void)napi_call_function(env, receiver, callback, 1, &argument, NULL);
}

static void on_call_end(napi_env env, napi_status status, void *data) {
  (void)status;
  struct async_call *call = data;
  struct binding *binding = call->binding;
  /* Else somebody has waited for it (`finishBarrier`, `grow`, `close`) and knows. */
  if (binding->async[call->kind] == call) tell_end(env, call, async_finish(binding, call->kind));
  discard_call(env, call);
  binding->async_calls--;
  binding_destroy_if_unused(binding);
}

static napi_value queue_call(napi_env env, struct async_call *call, napi_value callback) {
  napi_value name = NULL;
  TRY(env, napi_create_reference(env, callback, 1, &call->ended));
  TRY(env, napi_create_string_utf8(env, "daxkv", NAPI_AUTO_LENGTH, &name));
  TRY(env, napi_create_async_work(env, NULL, name, work_on_call, on_call_end, call, &call->work));
  TRY(env, napi_queue_async_work(env, call->work));
  return name;
}

static int start_task(struct async_call *call, uint64_t argument) {
  struct pool *pool = call->binding->pool;
  if (call->kind == ASYNC_BARRIER) {
    call->task = &call->of.barrier.task;
    return barrier_start(&call->of.barrier, pool, argument != 0);
  }
  if (call->kind == ASYNC_DATA_SYNC) {
    call->task = &call->of.data_sync.task;
    return data_sync_start(&call->of.data_sync, pool);
  }
  call->task = &call->of.preparation.task;
  return preparation_start(&call->of.preparation, pool, argument);
}

static napi_value start_call(napi_env env, struct binding *binding, enum async_kind kind, uint64_t argument,
                             napi_value callback) {
  if (binding->async[kind] != NULL || binding->pool->read_only) return util_number(env, EBUSY);
  struct async_call *call = calloc(1, sizeof *call);
  if (call == NULL) return util_number(env, ENOMEM);
  call->binding = binding;
  call->kind = kind;
  int error = start_task(call, argument);
  if (error != 0) {
    free(call);
    return util_number(env, error);
  }
  if (queue_call(env, call, callback) == NULL) {
    /* What was noted for a barrier is lost, so that no later one could cover it: the caller must give the pool up. */
    discard_call(env, call);
    return NULL;
  }
  binding->async[kind] = call;
  binding->async_calls++;
  return util_number(env, 0);
}

napi_value async_start_barrier(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  void *data = NULL;
  bool whole_file = false;
  if (!util_arguments(env, info, 2, arguments, &data)) return NULL;
  if (!binding_is_open(env, data) || !util_boolean(env, arguments[0], &whole_file)) return NULL;
  return start_call(env, data, ASYNC_BARRIER, whole_file ? 1 : 0, arguments[1]);
}

napi_value async_finish_barrier(napi_env env, napi_callback_info info) {
  struct binding *binding = binding_of_call(env, info);
  return util_number(env, binding == NULL ? -1 : async_finish(binding, ASYNC_BARRIER));
}

napi_value async_start_data_sync(napi_env env, napi_callback_info info) {
  napi_value callback;
  void *data = NULL;
  if (!util_arguments(env, info, 1, &callback, &data)) return NULL;
  if (!binding_is_open(env, data)) return NULL;
  return start_call(env, data, ASYNC_DATA_SYNC, 0, callback);
}

napi_value async_finish_data_sync(napi_env env, napi_callback_info info) {
  napi_value argument;
  void *data = NULL;
  bool wait = false;
  if (!util_arguments(env, info, 1, &argument, &data)) return NULL;
  struct binding *binding = data;
  if (!binding_is_open(env, binding) || !util_boolean(env, argument, &wait)) return NULL;
  const struct async_call *call = binding->async[ASYNC_DATA_SYNC];
  if (call != NULL && !wait && !task_has_ended(call->task)) return util_number(env, -2);
  return util_number(env, async_finish(binding, ASYNC_DATA_SYNC));
}

napi_value async_prepare_growth(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  void *data = NULL;
  uint64_t length = 0;
  if (!util_arguments(env, info, 2, arguments, &data)) return NULL;
  if (!binding_is_open(env, data)) return NULL;
  if (!util_integer(env, arguments[0], (uint64_t)PAGE_BYTES << 32, &length)) return NULL;
  if ((length & (PAGE_BYTES - 1)) != 0) return util_number(env, EINVAL);
  return start_call(env, data, ASYNC_PREPARATION, length, arguments[1]);
}

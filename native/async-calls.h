/* What a pool has libuv's threads do, and how JavaScript learns of its end. */
#ifndef DAXKV_ASYNC_CALLS_H
#define DAXKV_ASYNC_CALLS_H

#include "binding.h"

/*
 * Waits for the one of this kind that is under way; its callback will not be called any more. A preparation that has not begun is
 * cancelled. Returns an errno, or -1 without one.
 */
int async_finish(struct binding *binding, enum async_kind kind);
void async_finish_all(struct binding *binding);

/* startBarrier(wholeFile, ended): 0, or an errno. `ended` is called with the errno of the barrier. */
napi_value async_start_barrier(napi_env env, napi_callback_info info);

/* finishBarrier(): the errno of the barrier under way (0: it succeeded), or -1 when there is none */
napi_value async_finish_barrier(napi_env env, napi_callback_info info);

/* startDataSync(ended): 0, or an errno; EBADF where barriers have to do. `ended` is called with its errno. */
napi_value async_start_data_sync(napi_env env, napi_callback_info info);

/* finishDataSync(wait): its errno when it has ended, -1 when there is none, -2 when it goes on (only without `wait`) */
napi_value async_finish_data_sync(napi_env env, napi_callback_info info);

/* prepareGrowth(newByteLength, ended): 0, or an errno. `ended` is called with the errno, unless a growth comes first. */
napi_value async_prepare_growth(napi_env env, napi_callback_info info);

#endif

/*
 * Where the test build of the addon (crash-tests/native) gets in besides the table of system calls: before every
 * operation of a persist program, and among the exports. In the production build both are nothing, and no switch at run
 * time can change that.
 */
#ifndef DAXKV_OPERATION_HOOK_H
#define DAXKV_OPERATION_HOOK_H

#include <node_api.h>
#include <stdbool.h>

#ifdef DAXKV_TEST_BUILD
/* 0, or the errno with which the program ends before this operation. */
int operation_hook(void);
bool test_hooks_register(napi_env env, napi_value exports);
#else
static inline int operation_hook(void) { return 0; }

static inline bool test_hooks_register(napi_env env, napi_value exports) {
  (void)env;
  (void)exports;
  return true;
}
#endif

#endif

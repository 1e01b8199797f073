/* A pool as JavaScript sees it: an object of functions whose data pointer is the pool, and external ArrayBuffers. */
#include <errno.h>
#include <stdlib.h>

#include "addon.h"
#include "async-calls.h"
#include "binding.h"
#include "executor.h"
#include "napi-util.h"
#include "pool.h"

/*
 * JavaScript sees a segment through windows of 8 MiB, made when they are first needed. Three of them stay below the
 * 32 MiB of young external memory at which V8 collects before its next allocation: opening a pool touches about three.
 * Mirrored in native-binding.ts.
 */
#define WINDOW_BYTES ((size_t)8 << 20)

enum { FIXED_CONTROL, FIXED_PROGRAM };

static napi_value add_buffer(napi_env env, struct buffer_list *list, void *data, size_t length) {
  if (list->count == list->capacity) {
    uint32_t capacity = list->capacity == 0 ? 4 : list->capacity * 2;
    napi_ref *references = realloc(list->references, capacity * sizeof *references);
    if (references == NULL) {
      napi_throw_error(env, "ENOMEM", "out of memory");
      return NULL;
    }
    list->references = references;
    list->capacity = capacity;
  }
  napi_value buffer = NULL;
  TRY(env, napi_create_external_arraybuffer(env, data, length, NULL, NULL, &buffer));
  TRY(env, napi_create_reference(env, buffer, 1, &list->references[list->count]));
  list->count++;
  return buffer;
}

/*
 * V8 counts an external ArrayBuffer as memory a collection could free, and starts one for every 64 MiB that come on
 * top. Windows are nothing it could free, so each is taken off the account right after it was put on (they
 * must be smaller than that limit for it) and put back before it is detached: the account never goes below what it was
 * without us, which newer versions would end the process for.
 */
static void adjust_external(napi_env env, int64_t change) {
  int64_t total = 0;
  /* Only a hint to the collector: nothing depends on it. */
  (void)napi_adjust_external_memory(env, change, &total);
}

static bool detach_buffer(napi_env env, napi_ref reference) {
  napi_value buffer = NULL;
  if (napi_get_reference_value(env, reference, &buffer) != napi_ok || buffer == NULL) return false;
  if (napi_detach_arraybuffer(env, buffer) != napi_ok) return false;
  napi_delete_reference(env, reference);
  return true;
}

/*
 * After this no JavaScript view reaches the memory any more: views have length 0. False if V8 refused: the list then
 * ends with the buffer that is still attached, so that its memory is neither released nor forgotten.
 */
static bool detach_from(napi_env env, struct buffer_list *list, uint32_t keep) {
  while (list->count > keep) {
    if (!detach_buffer(env, list->references[list->count - 1])) return false;
    list->count--;
  }
  return true;
}

static void destroy(struct binding *binding) {
  pool_free(binding->pool);
  free(binding->windows.references);
  free(binding->chunks.references);
  free(binding->fixed.references);
  free(binding);
}

/* A terminated worker or the end of the process: no JavaScript runs any more, so nothing need be detached. */
static void on_environment_end(void *data) {
  struct binding *binding = data;
  binding->hooked = false;
  adjust_external(binding->env, (int64_t)(binding->windows.count * binding->window_bytes));
  /* Neither the mapping nor the descriptor may go away under a system call. */
  async_finish_all(binding);
  pool_close(binding->pool);
  binding_destroy_if_unused(binding);
}

static void on_function_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct binding *binding = data;
  binding->functions--;
  /*
   * A pool that was never closed: its views may outlive the functions, so mappings and lock stay until the environment
   * ends. Forgetting close() is a leak, not a use after free.
   */
  binding_destroy_if_unused(binding);
}

void binding_destroy_if_unused(struct binding *binding) {
  if (binding->functions == 0 && !binding->hooked && binding->async_calls == 0) destroy(binding);
}

struct binding *binding_of_call(napi_env env, napi_callback_info info) {
  void *data = NULL;
  if (napi_get_cb_info(env, info, NULL, NULL, NULL, &data) != napi_ok) return NULL;
  struct binding *binding = data;
  return binding->pool->is_open ? binding : NULL;
}

bool binding_is_open(napi_env env, const struct binding *binding) {
  if (binding->pool->is_open) return true;
  napi_throw_error(env, "CLOSED", "the pool is closed");
  return false;
}

/* The three functions of the hot path take no argument and give no result: everything is in the control block. */
static napi_value method_run(napi_env env, napi_callback_info info) {
  struct binding *binding = binding_of_call(env, info);
  if (binding == NULL) return NULL;
  if (binding->pool->read_only) {
    binding->pool->control->status.code = STATUS_READ_ONLY;
  } else {
    executor_run(binding->pool);
  }
  return NULL;
}

static napi_value method_verify_page(napi_env env, napi_callback_info info) {
  struct binding *binding = binding_of_call(env, info);
  if (binding != NULL) executor_verify_page(binding->pool);
  return NULL;
}

static napi_value method_hash_extent(napi_env env, napi_callback_info info) {
  struct binding *binding = binding_of_call(env, info);
  if (binding != NULL) executor_hash_extent(binding->pool);
  return NULL;
}

/* writeExtent(bytes); the page id is in the control block. */
static napi_value method_write_extent(napi_env env, napi_callback_info info) {
  napi_value argument;
  void *data = NULL, *bytes = NULL;
  size_t length = 0;
  if (!util_arguments(env, info, 1, &argument, &data)) return NULL;
  struct binding *binding = data;
  if (!binding_is_open(env, binding)) return NULL;
  if (!util_typed_array(env, argument, napi_uint8_array, &bytes, &length)) return NULL;
  if (binding->pool->read_only) {
    binding->pool->control->status.code = STATUS_READ_ONLY;
  } else {
    executor_write_extent(binding->pool, bytes, length);
  }
  return NULL;
}

/* takeFault(): 1 (it stands in the control block), 0, or a negative errno */
static napi_value method_take_fault(napi_env env, napi_callback_info info) {
  struct binding *binding = binding_of_call(env, info);
  if (binding == NULL) return util_number(env, 0);
  struct fault fault;
  int taken = faults_take(binding->pool, &fault);
  if (taken != 0) {
    binding->pool->control->status.offset = (double)fault.offset;
    binding->pool->control->status.length = (double)fault.length;
    binding->pool->control->status.kind = fault.kind;
  }
  return util_number(env, taken);
}

/* The open pool of a method whose one argument is an integer up to `maximum`; NULL after throwing. */
static struct binding *open_binding_and_number(napi_env env, napi_callback_info info, uint64_t maximum,
                                               uint64_t *number) {
  napi_value argument;
  void *data = NULL;
  if (!util_arguments(env, info, 1, &argument, &data)) return NULL;
  if (!binding_is_open(env, data) || !util_integer(env, argument, maximum, number)) return NULL;
  return data;
}

/* window(index): an ArrayBuffer over a stretch of a mapped segment, or an errno */
static napi_value method_window(napi_env env, napi_callback_info info) {
  uint64_t index = 0;
  struct binding *binding = open_binding_and_number(env, info, UINT32_MAX, &index);
  if (binding == NULL) return NULL;
  const struct pool *pool = binding->pool;
  size_t segment_bytes = pool_segment_bytes(pool);
  uint64_t offset = index * binding->window_bytes;
  if (offset / segment_bytes >= atomic_load(&pool->segment_count)) return util_number(env, EINVAL);
  uint8_t *reading = pool->segments[offset / segment_bytes].read + offset % segment_bytes;
  napi_value buffer = add_buffer(env, &binding->windows, reading, binding->window_bytes);
  if (buffer != NULL) adjust_external(env, -(int64_t)binding->window_bytes);
  return buffer;
}

static bool detach_windows(napi_env env, struct binding *binding) {
  while (binding->windows.count > 0) {
    adjust_external(env, (int64_t)binding->window_bytes);
    if (!detach_from(env, &binding->windows, binding->windows.count - 1)) {
      adjust_external(env, -(int64_t)binding->window_bytes);
      return false;
    }
  }
  return true;
}

/* grow(newByteLength): 0, or an errno */
static napi_value method_grow(napi_env env, napi_callback_info info) {
  uint64_t length = 0;
  struct binding *binding = open_binding_and_number(env, info, (uint64_t)PAGE_BYTES << 32, &length);
  if (binding == NULL) return NULL;
  bool sound = (length & (PAGE_BYTES - 1)) == 0 && length >> PAGE_SHIFT >= binding->pool->page_count;
  if (!sound || binding->pool->read_only) return util_number(env, EINVAL);
  (void)async_finish(binding, ASYNC_PREPARATION);
  return util_number(env, pool_grow(binding->pool, length));
}

/* limitTo(byteLength): 0, or EINVAL. What lies beyond is out of reach until the next grow writes it anew. */
static napi_value method_limit_to(napi_env env, napi_callback_info info) {
  uint64_t length = 0;
  struct binding *binding = open_binding_and_number(env, info, (uint64_t)PAGE_BYTES << 32, &length);
  if (binding == NULL) return NULL;
  struct pool *pool = binding->pool;
  if ((length & (PAGE_BYTES - 1)) != 0 || length >> PAGE_SHIFT > pool->page_count) return util_number(env, EINVAL);
  pool->page_count = length >> PAGE_SHIFT;
  return util_number(env, 0);
}

/* addChunk(): an ArrayBuffer of CHUNK_FRAMES pages, or an errno */
static napi_value method_add_chunk(napi_env env, napi_callback_info info) {
  struct binding *binding = binding_of_call(env, info);
  if (binding == NULL) return util_number(env, EBADF);
  struct pool *pool = binding->pool;
  int error = pool_add_chunk(pool);
  if (error != 0) return util_number(env, error);
  napi_value buffer = add_buffer(env, &binding->chunks, pool->chunks[pool->chunk_count - 1], CHUNK_BYTES);
  if (buffer == NULL) pool_trim_chunks(pool, pool->chunk_count - 1);
  return buffer;
}

/* trimChunks(keep): how many chunks there are now; more than `keep` when V8 would not let go of one */
static napi_value method_trim_chunks(napi_env env, napi_callback_info info) {
  uint64_t keep = 0;
  struct binding *binding = open_binding_and_number(env, info, UINT32_MAX, &keep);
  if (binding == NULL) return NULL;
  (void)detach_from(env, &binding->chunks, (uint32_t)keep);
  pool_trim_chunks(binding->pool, binding->chunks.count);
  return util_number(env, binding->chunks.count);
}

/* reserveProgram(words): a new ArrayBuffer with the old contents (the old one is detached), or an errno */
static napi_value method_reserve_program(napi_env env, napi_callback_info info) {
  uint64_t words = 0;
  struct binding *binding = open_binding_and_number(env, info, UINT32_MAX, &words);
  if (binding == NULL) return NULL;
  struct pool *pool = binding->pool;
  if (words < pool->program_words) words = pool->program_words;
  /* Allocated before anything changes: a failure leaves the program that JavaScript holds in use. */
  struct program_buffer buffer;
  int error = pool_allocate_program((size_t)words, &buffer);
  if (error != 0) return util_number(env, error);
  if (!detach_from(env, &binding->fixed, FIXED_PROGRAM)) {
    pool_discard_program(&buffer);
    return util_number(env, EBUSY);
  }
  pool_replace_program(pool, &buffer);
  return add_buffer(env, &binding->fixed, pool->program, pool->program_words * sizeof *pool->program);
}

static bool detach_all(napi_env env, struct binding *binding) {
  bool all = detach_windows(env, binding);
  all = detach_from(env, &binding->chunks, 0) && all;
  return detach_from(env, &binding->fixed, 0) && all;
}

/* close(): 0, or EBUSY when V8 would not let go of a view */
static napi_value method_close(napi_env env, napi_callback_info info) {
  struct binding *binding = binding_of_call(env, info);
  if (binding == NULL) return util_number(env, 0);
  if (!detach_all(env, binding)) return util_number(env, EBUSY);
  async_finish_all(binding);
  napi_remove_env_cleanup_hook(env, on_environment_end, binding);
  binding->hooked = false;
  pool_close(binding->pool);
  return util_number(env, 0);
}

static bool set_method(napi_env env, napi_value object, const char *name, napi_callback callback, struct binding *binding) {
  napi_value function = NULL;
  napi_status status = napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, binding, &function);
  if (status == napi_ok) status = napi_add_finalizer(env, function, binding, on_function_collected, NULL, NULL);
  if (status == napi_ok) binding->functions++;
  if (status == napi_ok) status = napi_set_named_property(env, object, name, function);
  if (status == napi_ok) return true;
  util_throw_last(env, status);
  return false;
}

static bool set_methods(napi_env env, napi_value object, struct binding *binding) {
  return set_method(env, object, "run", method_run, binding) &&
         set_method(env, object, "verifyPage", method_verify_page, binding) &&
         set_method(env, object, "hashExtent", method_hash_extent, binding) &&
         set_method(env, object, "writeExtent", method_write_extent, binding) &&
         set_method(env, object, "startBarrier", async_start_barrier, binding) &&
         set_method(env, object, "finishBarrier", async_finish_barrier, binding) &&
         set_method(env, object, "startDataSync", async_start_data_sync, binding) &&
         set_method(env, object, "finishDataSync", async_finish_data_sync, binding) &&
         set_method(env, object, "prepareGrowth", async_prepare_growth, binding) &&
         set_method(env, object, "takeFault", method_take_fault, binding) &&
         set_method(env, object, "window", method_window, binding) &&
         set_method(env, object, "grow", method_grow, binding) &&
         set_method(env, object, "limitTo", method_limit_to, binding) &&
         set_method(env, object, "addChunk", method_add_chunk, binding) &&
         set_method(env, object, "trimChunks", method_trim_chunks, binding) &&
         set_method(env, object, "reserveProgram", method_reserve_program, binding) &&
         set_method(env, object, "close", method_close, binding);
}

static napi_value make_object(napi_env env, struct binding *binding) {
  struct pool *pool = binding->pool;
  napi_value object = NULL;
  TRY(env, napi_create_object(env, &object));
  napi_value control = add_buffer(env, &binding->fixed, pool->control, sizeof *pool->control);
  if (control == NULL) return NULL;
  TRY(env, napi_set_named_property(env, object, "control", control));
  size_t program_bytes = pool->program_words * sizeof *pool->program;
  napi_value program = add_buffer(env, &binding->fixed, pool->program, program_bytes);
  if (program == NULL) return NULL;
  TRY(env, napi_set_named_property(env, object, "program", program));
  TRY(env, napi_add_env_cleanup_hook(env, on_environment_end, binding));
  binding->hooked = true;
  return set_methods(env, object, binding) ? object : NULL;
}

/* Undoes a half-made object. With functions created the last finalizer frees the structs, else nobody else would. */
static void abandon(napi_env env, struct binding *binding) {
  if (binding->hooked) napi_remove_env_cleanup_hook(env, on_environment_end, binding);
  binding->hooked = false;
  detach_all(env, binding);
  pool_close(binding->pool);
  binding_destroy_if_unused(binding);
}

static bool read_options(napi_env env, napi_callback_info info, struct pool_options *options) {
  napi_value arguments[6];
  void *instance = NULL;
  uint64_t shift = 0, granularity = 0;
  if (!util_arguments(env, info, 6, arguments, &instance)) return false;
  if (!util_fd(env, arguments[0], &options->fd)) return false;
  if (!util_integer(env, arguments[1], (uint64_t)PAGE_BYTES << 32, &options->byte_length)) return false;
  if (!util_integer(env, arguments[2], SEGMENT_SHIFT_MAX, &shift)) return false;
  if (!util_boolean(env, arguments[3], &options->read_only)) return false;
  if (!util_boolean(env, arguments[4], &options->map_sync)) return false;
  if (!util_integer(env, arguments[5], GRANULARITY_PAGE, &granularity)) return false;
  options->segment_shift = (unsigned)shift;
  options->granularity = (enum granularity)granularity;
  options->lock_owner = instance;
  return true;
}

napi_value pool_api_open(napi_env env, napi_callback_info info) {
  struct pool_options options = {0};
  if (!read_options(env, info, &options)) return NULL;
  struct binding *binding = calloc(1, sizeof *binding);
  if (binding == NULL) return util_number(env, ENOMEM);
  int error = pool_open(&options, &binding->pool);
  if (error != 0) {
    free(binding);
    return util_number(env, error);
  }
  binding->env = env;
  size_t segment_bytes = pool_segment_bytes(binding->pool);
  binding->window_bytes = segment_bytes < WINDOW_BYTES ? segment_bytes : WINDOW_BYTES;
  napi_value object = make_object(env, binding);
  if (object == NULL) abandon(env, binding);
  return object;
}

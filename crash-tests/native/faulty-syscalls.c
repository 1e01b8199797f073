/*
 * The test build's table of system calls: each can be made to fail, to do half of its work, or to end the process, at
 * its Nth call. Links in the place of native/syscalls.c; JavaScript commands it through three exported functions.
 */
#include "syscalls.h"

#include <errno.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "napi-util.h"
#include "operation-hook.h"

/* Mirrored in crash-tests/src/faults.ts. */
enum call {
  CALL_MAP,
  CALL_UNMAP,
  CALL_ADVISE,
  CALL_MSYNC,
  CALL_FDATASYNC,
  CALL_FSYNC,
  CALL_WRITE_BACK,
  CALL_FTRUNCATE,
  CALL_FSTAT,
  CALL_PWRITE,
  CALL_LOCK,
  CALL_DUPLICATE,
  CALL_CLOSE,
  CALL_LIST_EXTENTS,
  CALL_SEEK,
  CALL_REOPEN,
  CALL_OPERATION,
  CALLS
};

enum action {
  ACTION_FAIL,
  /* A write of half its length, which is a success. */
  ACTION_SHORT,
  ACTION_KILL_BEFORE,
  ACTION_KILL_AFTER
};

/* One rule at a time: calls `first` to `last` (counted from 1 since it was set) of one kind. */
static struct {
  int call;
  uint64_t first;
  uint64_t last;
  int error;
  enum action action;
} rule = {-1, 0, 0, 0, ACTION_FAIL};

/* Commits may run on a worker thread. */
static _Atomic uint64_t made[CALLS];
static _Atomic uint64_t hits;
/* What is mapped and open through the table: must be 0 whenever no pool is open. */
static _Atomic int64_t mapped_bytes;
static _Atomic int64_t descriptors;

static void end_process(void) {
  raise(SIGKILL);
  for (;;) pause();
}

static bool is_hit(enum call call) {
  uint64_t number = atomic_fetch_add(&made[call], 1) + 1;
  if (rule.call != (int)call || number < rule.first || number > rule.last) return false;
  atomic_fetch_add(&hits, 1);
  if (rule.action == ACTION_KILL_BEFORE) end_process();
  return true;
}

/* Before a call: true when it must fail, errno being set. */
static bool fails(enum call call, bool *kill_after) {
  bool hit = is_hit(call);
  *kill_after = hit && rule.action == ACTION_KILL_AFTER;
  if (!hit || rule.action != ACTION_FAIL) return false;
  errno = rule.error;
  return true;
}

static void after(bool kill_after) {
  if (kill_after) end_process();
}

static void *faulty_map(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  bool kill_after;
  if (fails(CALL_MAP, &kill_after)) return MAP_FAILED;
  void *result = mmap(address, length, protection, flags, fd, offset);
  /* A fixed mapping takes the place of one that was counted already. */
  if (result != MAP_FAILED && (flags & MAP_FIXED) == 0) atomic_fetch_add(&mapped_bytes, (int64_t)length);
  after(kill_after);
  return result;
}

static int faulty_unmap(void *address, size_t length) {
  bool kill_after;
  bool failed = fails(CALL_UNMAP, &kill_after);
  int error = errno;
  /* Done even so: unmapping a whole mapping of one's own cannot fail, only its callers' paths are of interest. */
  int result = munmap(address, length);
  if (result == 0) atomic_fetch_sub(&mapped_bytes, (int64_t)length);
  after(kill_after);
  if (!failed) return result;
  errno = error;
  return -1;
}

static int faulty_advise(void *address, size_t length, int advice) {
  bool kill_after;
  if (fails(CALL_ADVISE, &kill_after)) return -1;
  int result = madvise(address, length, advice);
  after(kill_after);
  return result;
}

static int faulty_msync(void *address, size_t length, int flags) {
  bool kill_after;
  if (fails(CALL_MSYNC, &kill_after)) return -1;
  int result = msync(address, length, flags);
  after(kill_after);
  return result;
}

static int faulty_fdatasync(int fd) {
  bool kill_after;
  if (fails(CALL_FDATASYNC, &kill_after)) return -1;
  int result = fdatasync(fd);
  after(kill_after);
  return result;
}

static int faulty_fsync(int fd) {
  bool kill_after;
  if (fails(CALL_FSYNC, &kill_after)) return -1;
  int result = fsync(fd);
  after(kill_after);
  return result;
}

static int faulty_write_back(int fd, off_t offset, off_t length) {
  bool kill_after;
  if (fails(CALL_WRITE_BACK, &kill_after)) return -1;
  unsigned flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  int result = sync_file_range(fd, offset, length, flags);
  after(kill_after);
  return result;
}

static int faulty_ftruncate(int fd, off_t length) {
  bool kill_after;
  if (fails(CALL_FTRUNCATE, &kill_after)) return -1;
  int result = ftruncate(fd, length);
  after(kill_after);
  return result;
}

static int faulty_fstat(int fd, struct stat *file) {
  bool kill_after;
  if (fails(CALL_FSTAT, &kill_after)) return -1;
  int result = fstat(fd, file);
  after(kill_after);
  return result;
}

static ssize_t faulty_pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  bool hit = is_hit(CALL_PWRITE);
  if (hit && rule.action == ACTION_FAIL) {
    errno = rule.error;
    return -1;
  }
  if (hit && rule.action == ACTION_SHORT && length > 1) length /= 2;
  ssize_t result = pwrite(fd, bytes, length, offset);
  after(hit && rule.action == ACTION_KILL_AFTER);
  return result;
}

static int faulty_lock(int fd, struct flock *request) {
  bool kill_after;
  if (fails(CALL_LOCK, &kill_after)) return -1;
  int result = fcntl(fd, F_OFD_SETLK, request);
  after(kill_after);
  return result;
}

static int faulty_duplicate(int fd) {
  bool kill_after;
  if (fails(CALL_DUPLICATE, &kill_after)) return -1;
  int result = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (result >= 0) atomic_fetch_add(&descriptors, 1);
  after(kill_after);
  return result;
}

static int faulty_close(int fd) {
  bool kill_after;
  bool failed = fails(CALL_CLOSE, &kill_after);
  int error = errno;
  /* As Linux does it: whatever close reports, the descriptor is gone. */
  int result = close(fd);
  atomic_fetch_sub(&descriptors, 1);
  after(kill_after);
  if (!failed) return result;
  errno = error;
  return -1;
}

static int faulty_list_extents(int fd, struct fiemap *request) {
  bool kill_after;
  if (fails(CALL_LIST_EXTENTS, &kill_after)) return -1;
  int result = ioctl(fd, FS_IOC_FIEMAP, request);
  after(kill_after);
  return result;
}

static off_t faulty_seek(int fd, off_t offset, int whence) {
  bool kill_after;
  if (fails(CALL_SEEK, &kill_after)) return -1;
  off_t result = lseek(fd, offset, whence);
  after(kill_after);
  return result;
}

static int faulty_reopen(int fd) {
  bool kill_after;
  if (fails(CALL_REOPEN, &kill_after)) return -1;
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int result = open(path, O_RDWR | O_CLOEXEC);
  if (result >= 0) atomic_fetch_add(&descriptors, 1);
  after(kill_after);
  return result;
}

const struct syscalls sys = {
    .map = faulty_map,
    .unmap = faulty_unmap,
    .advise = faulty_advise,
    .msync = faulty_msync,
    .fdatasync = faulty_fdatasync,
    .fsync = faulty_fsync,
    .write_back = faulty_write_back,
    .ftruncate = faulty_ftruncate,
    .fstat = faulty_fstat,
    .pwrite = faulty_pwrite,
    .ofd_lock = faulty_lock,
    .duplicate = faulty_duplicate,
    .close = faulty_close,
    .list_extents = faulty_list_extents,
    .seek = faulty_seek,
    .reopen = faulty_reopen,
};

int operation_hook(void) {
  bool kill_after;
  /* After one operation is before the next. */
  return fails(CALL_OPERATION, &kill_after) ? errno : 0;
}

/* faultsSet(call, first, last, errno, action): counts from 0 again; call CALLS sets no rule, only counts. */
static napi_value api_set(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  uint64_t call = 0, first = 0, last = 0, error = 0, action = 0;
  if (!util_arguments(env, info, 5, arguments, NULL)) return NULL;
  if (!util_integer(env, arguments[0], CALLS, &call)) return NULL;
  if (!util_integer(env, arguments[1], UINT32_MAX, &first)) return NULL;
  if (!util_integer(env, arguments[2], UINT32_MAX, &last)) return NULL;
  if (!util_integer(env, arguments[3], 4095, &error)) return NULL;
  if (!util_integer(env, arguments[4], ACTION_KILL_AFTER, &action)) return NULL;
  rule.call = call == CALLS ? -1 : (int)call;
  rule.first = first;
  rule.last = last;
  rule.error = (int)error;
  rule.action = (enum action)action;
  for (int i = 0; i < CALLS; i++) atomic_store(&made[i], 0);
  atomic_store(&hits, 0);
  return NULL;
}

/* faultsMade(): how often each call was made since faultsSet, and at the end how often the rule was met. */
static napi_value api_made(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value buffer = NULL, result = NULL;
  void *data = NULL;
  TRY(env, napi_create_arraybuffer(env, (CALLS + 1) * sizeof(double), &data, &buffer));
  double *numbers = data;
  for (int i = 0; i < CALLS; i++) numbers[i] = (double)atomic_load(&made[i]);
  numbers[CALLS] = (double)atomic_load(&hits);
  TRY(env, napi_create_typedarray(env, napi_float64_array, CALLS + 1, buffer, 0, &result));
  return result;
}

/* faultsHeld(): bytes mapped and descriptors open through the table. */
static napi_value api_held(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value buffer = NULL, result = NULL;
  void *data = NULL;
  TRY(env, napi_create_arraybuffer(env, 2 * sizeof(double), &data, &buffer));
  double *numbers = data;
  numbers[0] = (double)atomic_load(&mapped_bytes);
  numbers[1] = (double)atomic_load(&descriptors);
  TRY(env, napi_create_typedarray(env, napi_float64_array, 2, buffer, 0, &result));
  return result;
}

bool test_hooks_register(napi_env env, napi_value exports) {
  return util_set_function(env, exports, "faultsSet", api_set, NULL) &&
         util_set_function(env, exports, "faultsMade", api_made, NULL) &&
         util_set_function(env, exports, "faultsHeld", api_held, NULL);
}

/*
 * Faults inside a pool mapping are survived: the handler puts a harmless page under the faulting address, notes what
 * happened, and lets the instruction run again; the operation that touched it looks at the note before it returns.
 * A handler cannot do more: it must not jump out of JIT code.
 */
#ifndef DAXKV_FAULTS_H
#define DAXKV_FAULTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pool;

/* More faults than this between two looks make the repair remap whole segments instead of single pages. */
#define FAULTS_MAX 64u

enum fault_kind { FAULT_BUS = 1, FAULT_WRITE = 2 };

struct fault {
  uint64_t offset;
  uint64_t length;
  uint64_t page_id;
  enum fault_kind kind;
  bool in_write_mapping;
};

struct fault_queue {
  atomic_flag lock;
  uint32_t count;
  bool overflowed;
  struct fault entries[FAULTS_MAX];
  struct fault last;
  /* Faults since the pool was opened; the executor compares it before and after. */
  _Atomic uint32_t seen;
};

/* Installs the handlers (once a process) and lets them look at this pool. Returns an errno. */
int faults_watch(struct pool *pool);

/* After it returns no handler looks at the pool any more. */
void faults_unwatch(struct pool *pool);

/* Takes the oldest fault and puts the shared page back. Returns 1 (taken), 0 (none), or a negative errno. */
int faults_take(struct pool *pool, struct fault *result);

#endif

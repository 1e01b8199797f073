/*
 * A barrier that another thread waits for: one msync (or fdatasync) of what was flushed before it. The pool has at most one at a
 * time, because the kernel may report a failed write-back to only one of two overlapping msyncs.
 */
#ifndef DAXKV_BARRIER_H
#define DAXKV_BARRIER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct pool;

/* Queued: whoever comes first, the worker or the thread that cannot wait for it, makes the call. */
enum barrier_state { BARRIER_QUEUED, BARRIER_RUNNING, BARRIER_ENDED };

struct barrier {
  pthread_mutex_t mutex;
  pthread_cond_t ended;
  enum barrier_state state;
  const struct pool *pool;
  /* What to msync; NULL: fdatasync of the whole file. */
  void *address;
  size_t length;
  pthread_t starter;
  /* Set when the call was made by another thread than the one that started the barrier. */
  bool in_background;
  int error;
};

/* Takes over what the pool has noted for its next barrier. Returns an errno. */
int barrier_start(struct barrier *barrier, struct pool *pool, bool whole_file);

/* Makes the call, unless somebody else has begun to. For worker threads: touches nothing of the pool but file and mapping. */
void barrier_work(struct barrier *barrier);

/* Waits until the call has been made (making it, if nobody has begun to) and returns its errno. */
int barrier_wait(struct barrier *barrier);

void barrier_destroy(struct barrier *barrier);

#endif

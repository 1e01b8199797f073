/*
 * Work that may be done by another thread, and that the thread which asked for it can wait for. Queued: whoever comes first, the
 * worker or the thread that cannot go on without it, does it.
 */
#ifndef DAXKV_TASK_H
#define DAXKV_TASK_H

#include <pthread.h>
#include <stdbool.h>

enum task_state { TASK_QUEUED, TASK_RUNNING, TASK_ENDED };

struct task {
  pthread_mutex_t mutex;
  pthread_cond_t ended;
  enum task_state state;
  /* Returns an errno. Runs once, on any thread: it may touch nothing that its owner changes in the meantime. */
  int (*work)(struct task *task);
  pthread_t starter;
  /* Set when it was done by another thread than the one that asked for it. */
  bool in_background;
  int error;
};

/* Returns an errno. */
int task_init(struct task *task, int (*work)(struct task *task));

/* Does the work, unless somebody else has begun to. */
void task_run(struct task *task);

bool task_has_ended(struct task *task);

/* Work nobody has begun is not done at all: its error is ECANCELED. */
void task_cancel(struct task *task);

/* Waits until the work is done (doing it, if nobody has begun to) and returns its errno. */
int task_wait(struct task *task);

void task_destroy(struct task *task);

#endif

#include "task.h"

#include <errno.h>

int task_init(struct task *task, int (*work)(struct task *task)) {
  int error = pthread_mutex_init(&task->mutex, NULL);
  if (error != 0) return error;
  error = pthread_cond_init(&task->ended, NULL);
  if (error != 0) {
    pthread_mutex_destroy(&task->mutex);
    return error;
  }
  task->state = TASK_QUEUED;
  task->work = work;
  task->starter = pthread_self();
  task->in_background = false;
  task->error = 0;
  return 0;
}

static bool claim(struct task *task) {
  pthread_mutex_lock(&task->mutex);
  bool claimed = task->state == TASK_QUEUED;
  if (claimed) task->state = TASK_RUNNING;
  pthread_mutex_unlock(&task->mutex);
  return claimed;
}

void task_run(struct task *task) {
  if (!claim(task)) return;
  int error = task->work(task);
  pthread_mutex_lock(&task->mutex);
  task->error = error;
  task->in_background = pthread_equal(pthread_self(), task->starter) == 0;
  task->state = TASK_ENDED;
  pthread_cond_broadcast(&task->ended);
  pthread_mutex_unlock(&task->mutex);
}

void task_cancel(struct task *task) {
  pthread_mutex_lock(&task->mutex);
  if (task->state == TASK_QUEUED) {
    task->state = TASK_ENDED;
    task->error = ECANCELED;
  }
  pthread_mutex_unlock(&task->mutex);
}

bool task_has_ended(struct task *task) {
  pthread_mutex_lock(&task->mutex);
  bool ended = task->state == TASK_ENDED;
  pthread_mutex_unlock(&task->mutex);
  return ended;
}

int task_wait(struct task *task) {
  task_run(task);
  pthread_mutex_lock(&task->mutex);
  while (task->state != TASK_ENDED) pthread_cond_wait(&task->ended, &task->mutex);
  int error = task->error;
  pthread_mutex_unlock(&task->mutex);
  return error;
}

void task_destroy(struct task *task) {
  pthread_cond_destroy(&task->ended);
  pthread_mutex_destroy(&task->mutex);
}

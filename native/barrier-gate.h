/* Lets work that can wait give way to the barriers that commits wait for: a data sync, and the zeros of a growth. */
#ifndef DAXKV_BARRIER_GATE_H
#define DAXKV_BARRIER_GATE_H

#include <pthread.h>
#include <stdint.h>

struct barrier_gate {
  pthread_mutex_t mutex;
  pthread_cond_t left;
  uint32_t under_way;
  /* Barriers that have ended; wraps. */
  uint32_t ended;
};

/* Returns an errno. */
int barrier_gate_init(struct barrier_gate *gate);
void barrier_gate_destroy(struct barrier_gate *gate);

/* Around each sync that a commit waits for, on any thread. */
void barrier_gate_enter(struct barrier_gate *gate);
void barrier_gate_leave(struct barrier_gate *gate);

/* Waits until the barrier under way, if there is one, has ended. For one only: commits in a loop must not keep it out for ever. */
void barrier_gate_let_pass(struct barrier_gate *gate);

#endif

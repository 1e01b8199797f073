#include "barrier-gate.h"

int barrier_gate_init(struct barrier_gate *gate) {
  int error = pthread_mutex_init(&gate->mutex, NULL);
  if (error != 0) return error;
  error = pthread_cond_init(&gate->left, NULL);
  if (error != 0) pthread_mutex_destroy(&gate->mutex);
  return error;
}

void barrier_gate_destroy(struct barrier_gate *gate) {
  pthread_cond_destroy(&gate->left);
  pthread_mutex_destroy(&gate->mutex);
}

void barrier_gate_enter(struct barrier_gate *gate) {
  pthread_mutex_lock(&gate->mutex);
  gate->under_way++;
  pthread_mutex_unlock(&gate->mutex);
}

void barrier_gate_leave(struct barrier_gate *gate) {
  pthread_mutex_lock(&gate->mutex);
  gate->under_way--;
  gate->ended++;
  pthread_cond_broadcast(&gate->left);
  pthread_mutex_unlock(&gate->mutex);
}

void barrier_gate_let_pass(struct barrier_gate *gate) {
  pthread_mutex_lock(&gate->mutex);
  uint32_t before = gate->ended;
  while (gate->under_way > 0 && gate->ended == before) pthread_cond_wait(&gate->left, &gate->mutex);
  pthread_mutex_unlock(&gate->mutex);
}

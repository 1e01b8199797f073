/*
 * A machine check of the asynchronous kind (BUS_MCEERR_AO) at the worst instant: while the thread that it interrupts
 * holds the lock of the fault queue. `memmove` runs under that lock, so it is where the signal is sent from.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *move_and_signal(void *to, const void *from, size_t length);
#define memmove move_and_signal
#include "../../native/faults.c"
#undef memmove

static struct pool pool;

static void send_machine_check(void) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  info.si_signo = SIGBUS;
  info.si_code = BUS_MCEERR_AO;
  info.si_addr = pool.segments[0].read;
  info.si_addr_lsb = PAGE_SHIFT;
  if (syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)syscall(SYS_gettid), SIGBUS, &info) != 0) exit(2);
}

static void *move_and_signal(void *to, const void *from, size_t length) {
  static int sent;
  if (sent++ == 0) send_machine_check();
  return memmove(to, from, length);
}

int segments_remap(struct pool *one, uint32_t index) { return one == &pool && index == 0 ? 0 : EINVAL; }
int segments_remap_page(struct pool *one, uint64_t page_id, bool in_write_mapping) {
  return one == &pool && page_id == 0 && !in_write_mapping ? 0 : EINVAL;
}

int main(void) {
  static struct control control;
  struct segment segment = {.read = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};
  struct fault fault;
  pool.control = &control;
  pool.segments = &segment;
  pool.segment_count = 1;
  if (faults_watch(&pool) != 0) return 3;
  send_machine_check();
  if (faults_take(&pool, &fault) != 1) return 4;
  /* The one that came in between waits its turn; nothing waits after it. */
  if (control.fault_words[0] == 0 || faults_take(&pool, &fault) != 1) return 5;
  if (control.fault_words[0] != 0 || faults_take(&pool, &fault) != 0) return 6;
  return 0;
}

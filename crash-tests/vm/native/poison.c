/*
 * Poisons one page of a file on persistent memory, as a memory error would: every mapping of it gets SIGBUS.
 *
 *     poison FILE OFFSET
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The signal comes out of madvise itself and says that it has worked. */
static void poisoned(int signal_number) {
  (void)signal_number;
  _exit(0);
}

int main(int count, char **words) {
  if (count != 3) return 2;
  int fd = open(words[1], O_RDWR);
  if (fd < 0) {
    perror(words[1]);
    return 1;
  }
  uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)strtoll(words[2], NULL, 10));
  if (page == MAP_FAILED) {
    perror("mmap");
    return 1;
  }
  signal(SIGBUS, poisoned);
  volatile uint8_t first = *page; /* the page must be there to be poisoned */
  (void)first;
  if (madvise(page, 4096, MADV_HWPOISON) != 0) {
    perror("madvise");
    return 1;
  }
  return 0;
}

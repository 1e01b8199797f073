/*
 * Preloaded into a writer: before each system call that changes a file below /mnt it says so on the channel and waits
 * for a byte, so that the host can cut the power at exactly this step. Of a row of 4 KiB writes only some are stopped at.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#define WRITES_EACH_STOP 20u

static void stop(const char *call) {
  static int channel = -1;
  if (channel < 0) channel = open("/dev/ttyS1", O_RDWR);
  char text[128];
  int length = snprintf(text, sizeof text, "{\"kind\":\"call\",\"text\":\"%s\"}\n", call);
  char byte;
  if (channel < 0 || write(channel, text, (size_t)length) != length || read(channel, &byte, 1) != 1) _exit(99);
}

static int below_mnt(int fd) {
  char link[64], path[256];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  return length > 5 && memcmp(path, "/mnt/", 5) == 0;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  static unsigned writes;
  if (below_mnt(fd) && writes++ % WRITES_EACH_STOP == 0) stop("pwrite");
  return NEXT(pwrite)(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  return pwrite(fd, bytes, count, offset);
}

int ftruncate(int fd, off_t length) {
  if (below_mnt(fd)) stop("ftruncate");
  return NEXT(ftruncate)(fd, length);
}

int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int fsync(int fd) {
  if (below_mnt(fd)) stop("fsync");
  return NEXT(fsync)(fd);
}

int fdatasync(int fd) {
  if (below_mnt(fd)) stop("fdatasync");
  return NEXT(fdatasync)(fd);
}

int link(const char *from, const char *to) {
  if (strncmp(to, "/mnt/", 5) == 0) stop("link");
  return NEXT(link)(from, to);
}

int unlink(const char *path) {
  if (strncmp(path, "/mnt/", 5) == 0) stop("unlink");
  return NEXT(unlink)(path);
}

/*
 * The system calls of opening, growing and committing go through this table, so that a test build can link another
 * definition of it that fails the Nth call. Production links syscalls.c, where the table is constant.
 */
#ifndef DAXKV_SYSCALLS_H
#define DAXKV_SYSCALLS_H

#include <fcntl.h>
#include <linux/fiemap.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Advice of Linux 5.14, which older headers do not know; older kernels refuse it. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

struct syscalls {
  void *(*map)(void *address, size_t length, int protection, int flags, int fd, off_t offset);
  int (*unmap)(void *address, size_t length);
  int (*advise)(void *address, size_t length, int advice);
  int (*msync)(void *address, size_t length, int flags);
  int (*fdatasync)(int fd);
  int (*fsync)(int fd);
  /* Writes back what is dirty in a range of the file, and waits for that: not for its metadata, nor for the device's cache. */
  int (*write_back)(int fd, off_t offset, off_t length);
  int (*ftruncate)(int fd, off_t length);
  int (*fstat)(int fd, struct stat *result);
  ssize_t (*pwrite)(int fd, const void *bytes, size_t length, off_t offset);
  /* Another open file of the same one, for writing. */
  int (*reopen)(int fd);
  int (*ofd_lock)(int fd, struct flock *request);
  int (*duplicate)(int fd);
  int (*close)(int fd);
  int (*list_extents)(int fd, struct fiemap *request);
  off_t (*seek)(int fd, off_t offset, int whence);
};

extern const struct syscalls sys;

#endif

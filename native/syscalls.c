#include "syscalls.h"

#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int set_ofd_lock(int fd, struct flock *request) { return fcntl(fd, F_OFD_SETLK, request); }

static int duplicate_cloexec(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 0); }

static int reopen_cloexec(int fd) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return open(path, O_RDWR | O_CLOEXEC);
}

static int list_extents(int fd, struct fiemap *request) { return ioctl(fd, FS_IOC_FIEMAP, request); }

static int write_back_range(int fd, off_t offset, off_t length) {
  unsigned flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  return sync_file_range(fd, offset, length, flags);
}

const struct syscalls sys = {
    .map = mmap,
    .unmap = munmap,
    .advise = madvise,
    .msync = msync,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .write_back = write_back_range,
    .ftruncate = ftruncate,
    .fstat = fstat,
    .pwrite = pwrite,
    .reopen = reopen_cloexec,
    .ofd_lock = set_ofd_lock,
    .duplicate = duplicate_cloexec,
    .close = close,
    .list_extents = list_extents,
    .seek = lseek,
};

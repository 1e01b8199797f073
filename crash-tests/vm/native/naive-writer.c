/*
 * Writers as a program without a store might be written: records of a cache line each, flushed and fenced, and then
 * acknowledged. Some are right and some are known to be wrong; the laboratory must see the wrong ones lose.
 *
 *     naive-writer FILE KIND WRITER RECORDS CHANNEL
 *
 * Every record holds its number; the acknowledgement "a WRITER NUMBER" says that records 1 to NUMBER are durable. After
 * the last one the writer waits for a byte from the channel: until then nothing is unmapped or closed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#define MAP_SHARED_VALIDATE 0x3
#endif

#define LINE 64u
#define STEP (64u * 1024u)
#define SPAN (64u * 1024u * 1024u)

struct kind {
  const char *name;
  bool map_sync; /* else plain MAP_SHARED */
  bool written;  /* zeros written and fsynced first, else only fallocate and no fsync at all */
  bool grows;    /* ftruncate without fsync every STEP bytes */
  bool shared;   /* extents shared with a clone */
};

static const struct kind kinds[] = {
    {"sync", true, false, false, false},        {"plain", false, false, false, false},
    {"written", false, true, false, false},     {"growth", false, true, true, false},
    {"growth-sync", true, true, true, false},   {"reflinked", true, true, false, true},
};

static void need(bool good, const char *what) {
  if (good) return;
  fprintf(stderr, "naive-writer: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void write_zeros(int fd, size_t length) {
  static const uint8_t zeros[4096];
  for (size_t at = 0; at < length; at += sizeof zeros) {
    need(pwrite(fd, zeros, sizeof zeros, (off_t)at) == (ssize_t)sizeof zeros, "pwrite");
  }
  need(fsync(fd) == 0, "fsync");
}

static void clone_file(int fd, const char *path) {
  char name[4096];
  snprintf(name, sizeof name, "%s.clone", path);
  int clone = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  need(clone >= 0, "open of the clone");
  need(ioctl(clone, FICLONE, fd) == 0, "FICLONE");
  need(fsync(clone) == 0 && fsync(fd) == 0, "fsync");
  close(clone);
}

static void sync_directory(const char *path) {
  char name[4096];
  snprintf(name, sizeof name, "%s", path);
  char *slash = strrchr(name, '/');
  if (slash != NULL) *slash = '\0';
  int fd = open(name, O_RDONLY | O_DIRECTORY);
  need(fd >= 0 && fsync(fd) == 0, "fsync of the directory");
  close(fd);
}

__attribute__((target("clwb"))) static void put(uint64_t *line, uint64_t number) {
  for (unsigned word = 0; word < LINE / 8; word++) line[word] = number;
  _mm_clwb(line);
  _mm_sfence();
}

int main(int count, char **words) {
  if (count != 6) return 2;
  const struct kind *kind = NULL;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    if (strcmp(kinds[i].name, words[2]) == 0) kind = &kinds[i];
  }
  if (kind == NULL) return 2;
  int fd = open(words[1], O_RDWR | O_CREAT | O_EXCL, 0600);
  need(fd >= 0, words[1]);
  int channel = open(words[5], O_RDWR);
  need(channel >= 0, words[5]);
  size_t size = kind->grows ? STEP : SPAN;
  if (kind->written) {
    write_zeros(fd, kind->grows ? STEP : SPAN / 16);
    sync_directory(words[1]);
    if (!kind->grows) size = SPAN / 16;
  } else {
    need(fallocate(fd, 0, 0, (off_t)size) == 0, "fallocate");
  }
  if (kind->shared) clone_file(fd, words[1]);
  int flags = kind->map_sync ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
  uint8_t *memory = mmap(NULL, SPAN, PROT_READ | PROT_WRITE, flags, fd, 0);
  need(memory != MAP_FAILED, "mmap");
  uint64_t records = strtoull(words[4], NULL, 10);
  need(records * LINE <= SPAN, "too many records");
  for (uint64_t number = 1; number <= records; number++) {
    if (number * LINE > size) {
      need(kind->grows, "too many records");
      size += STEP;
      need(ftruncate(fd, (off_t)size) == 0, "ftruncate");
    }
    put((uint64_t *)(void *)(memory + (number - 1) * LINE), number);
    char text[64];
    int length = snprintf(text, sizeof text, "a %s %llu\n", words[3], (unsigned long long)number);
    need(write(channel, text, (size_t)length) == length, "acknowledging");
  }
  char byte;
  need(read(channel, &byte, 1) == 1, "waiting for the host");
  return 0;
}

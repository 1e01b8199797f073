/*
 * A barrier that another thread waits for: one msync (or fdatasync) of what was flushed before it. The pool has at most one at a
 * time, because the kernel may report a failed write-back to only one of two overlapping msyncs.
 */
#ifndef DAXKV_BARRIER_H
#define DAXKV_BARRIER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "task.h"

struct pool;

struct barrier {
  struct task task;
  /* Of which it touches nothing but file, mapping and gate. */
  struct pool *pool;
  /* What to msync; NULL: fdatasync of the whole file. */
  void *address;
  size_t length;
};

/*
 * A data sync: makes what has been stored to the whole file durable, beside barriers. It has an open file of its own, and the kernel
 * (from 4.13 on) tells a failed write-back once to each of them, so neither robs the other of its error.
 *
 * The disk is one, though: a barrier that begins behind the write-back of 30 MB waits for all of it. So much data is synced part by part
 * first, and each part lets one barrier pass.
 */
struct data_sync {
  struct task task;
  struct pool *pool;
  /* Those that were mapped when it began: a growth may map more beside it, and unmap those again. */
  uint32_t segment_count;
  /* Of each piece of the file, how many pages were stored to since the last data sync. */
  uint8_t *stored;
  uint32_t piece_count;
  /* Syncs of single parts that were made. */
  uint32_t part_syncs;
  /* Somebody waits for the end of it: nothing is gained by parts any more. */
  atomic_bool is_waited_for;
};

/* EBADF where the pool has no second open file. Returns an errno. */
int data_sync_start(struct data_sync *sync, struct pool *pool);

/* Takes over what the pool has noted for its next barrier. Returns an errno. */
int barrier_start(struct barrier *barrier, struct pool *pool, bool whole_file);

#endif

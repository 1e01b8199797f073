/*
 * Drivers of the native peers: the same keys, values, orders and batches as the TypeScript drivers (bench/data.ts,
 * bench/drivers), in a process without Node.js. Arguments are name=value, the answer is one line of JSON.
 */
#ifndef DAXKV_BENCH_DRIVER_H
#define DAXKV_BENCH_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#define KEY_BYTES 13

/* What a driver makes of one library. Functions that are NULL are not measured. */
struct engine {
  void (*open)(const char *path, uint64_t keys);
  void (*close)(void);
  /* Puts of one transaction: begin, put ..., commit. */
  void (*begin)(void);
  void (*put)(const char *key, const void *value, size_t value_bytes, int exists);
  void (*commit)(void);
  /* Removal, a transaction of its own. */
  void (*remove)(const char *key);
  /* First byte plus length of the value, -1 where there is none. */
  int (*view)(const char *key);
  /* Sum of the same over at most limit rows from a key on; all rows where key is NULL. */
  uint64_t (*range)(const char *key, uint64_t limit);
  uint64_t (*count)(void);
};

int run_driver(const struct engine *engine, int argc, char **argv);

/* Ends the process with a message. */
void fail(const char *what, const char *why);

#endif

#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* As in bench/data.ts and bench/drivers. */
#define DIGITS (KEY_BYTES - 1)
#define KEY_SPACE 1000000000000ull
#define VALUE_COUNT 4096u
#define SEED 0x5eedda78u
#define MISSING_SEED 0x0badc0deu
#define ROUND_SEED 0x20bdu
#define ORDER_SEED 0x10adu

struct arguments {
  const char *kind, *operation, *target, *order, *path;
  uint64_t keys, round, value_bytes, per_batch, batches, warmup, rows, per_transaction, repeats;
};

static struct arguments given;
static unsigned char *values;
static uint64_t half_gap;

void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static uint32_t mix(uint32_t index, uint32_t seed) {
  uint32_t word = index ^ seed;
  word = (word ^ (word >> 16)) * 0x85ebca6bu;
  word = (word ^ (word >> 13)) * 0xc2b2ae35u;
  return word ^ (word >> 16);
}

static uint32_t *shuffled(uint64_t count, uint32_t seed) {
  uint32_t *order = malloc(count * sizeof *order);
  if (order == NULL) fail("order", "out of memory");
  for (uint64_t i = 0; i < count; i++) order[i] = (uint32_t)i;
  for (uint64_t i = count - 1; i > 0; i--) {
    uint64_t j = mix((uint32_t)i, seed) % (i + 1);
    uint32_t swapped = order[i];
    order[i] = order[j];
    order[j] = swapped;
  }
  return order;
}

static void make_key(char *key, uint64_t index, int missing) {
  uint64_t offset = mix((uint32_t)index, missing ? MISSING_SEED : SEED) % half_gap;
  uint64_t number = 2 * (index * half_gap + offset) + (missing ? 1 : 0);
  key[0] = 'k';
  for (int i = DIGITS; i > 0; i--) {
    key[i] = (char)('0' + number % 10);
    number /= 10;
  }
}

static void make_values(void) {
  uint64_t words = given.value_bytes / 4;
  values = calloc(VALUE_COUNT, given.value_bytes);
  if (values == NULL) fail("values", "out of memory");
  for (uint64_t i = 0; i < VALUE_COUNT; i++) {
    for (uint64_t j = 0; j < words; j++) {
      uint32_t word = mix((uint32_t)(i * words + j), SEED);
      memcpy(values + i * given.value_bytes + j * 4, &word, 4);
    }
  }
}

static const void *value_of(uint64_t index, uint64_t version) {
  return values + ((index + version) & (VALUE_COUNT - 1)) * given.value_bytes;
}

static double clock_us(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static const char *text_argument(int argc, char **argv, const char *name) {
  size_t length = strlen(name);
  for (int i = 1; i < argc; i++) {
    if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') return argv[i] + length + 1;
  }
  return "";
}

static uint64_t number_argument(int argc, char **argv, const char *name) {
  return strtoull(text_argument(argc, argv, name), NULL, 10);
}

static void read_arguments(int argc, char **argv) {
  given.kind = text_argument(argc, argv, "kind");
  given.operation = text_argument(argc, argv, "operation");
  given.target = text_argument(argc, argv, "target");
  given.order = text_argument(argc, argv, "order");
  given.path = text_argument(argc, argv, "path");
  given.keys = number_argument(argc, argv, "keys");
  given.round = number_argument(argc, argv, "round");
  given.value_bytes = number_argument(argc, argv, "valueBytes");
  given.per_batch = number_argument(argc, argv, "operationsPerBatch");
  given.batches = number_argument(argc, argv, "batches");
  given.warmup = number_argument(argc, argv, "warmupBatches");
  given.rows = number_argument(argc, argv, "rows");
  given.per_transaction = number_argument(argc, argv, "perTransaction");
  given.repeats = number_argument(argc, argv, "repeats");
  if (given.keys == 0 || given.value_bytes == 0 || given.path[0] == 0) fail("arguments", "keys, valueBytes, path");
  half_gap = KEY_SPACE / given.keys / 2;
}

static void report(const double *batch_us, uint64_t batches, double wall_us, double cpu_us, uint64_t checksum,
                   uint64_t count) {
  printf("{\"wallUs\":%.3f,\"cpuUs\":%.3f,\"checksum\":%llu,\"count\":%llu,\"batchUs\":[", wall_us, cpu_us,
         (unsigned long long)checksum, (unsigned long long)count);
  for (uint64_t i = 0; i < batches; i++) printf(i == 0 ? "%.3f" : ",%.3f", batch_us[i]);
  printf("]}\n");
}

static int load(const struct engine *engine) {
  int random = strcmp(given.order, "random") == 0;
  uint32_t *order = random ? shuffled(given.keys, ORDER_SEED) : NULL;
  char *keys = malloc(given.per_transaction * KEY_BYTES);
  if (keys == NULL) fail("keys", "out of memory");
  double wall = 0, cpu = 0;
  for (uint64_t from = 0; from < given.keys; from += given.per_transaction) {
    uint64_t to = from + given.per_transaction < given.keys ? from + given.per_transaction : given.keys;
    for (uint64_t i = from; i < to; i++) make_key(keys + (i - from) * KEY_BYTES, random ? order[i] : i, 0);
    double wall_start = clock_us(CLOCK_MONOTONIC), cpu_start = clock_us(CLOCK_THREAD_CPUTIME_ID);
    engine->begin();
    for (uint64_t i = from; i < to; i++) {
      engine->put(keys + (i - from) * KEY_BYTES, value_of(random ? order[i] : i, 0), given.value_bytes, 0);
    }
    engine->commit();
    wall += clock_us(CLOCK_MONOTONIC) - wall_start;
    cpu += clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu_start;
  }
  report(NULL, 0, wall, cpu, 0, engine->count());
  engine->close();
  return 0;
}

static int is(const char *operation) { return strcmp(given.operation, operation) == 0; }

static uint64_t run_operation(const struct engine *engine, const char *keys, const uint32_t *indices, uint64_t i,
                              uint64_t version, int exists) {
  const char *key = keys + i * KEY_BYTES;
  if (is("put") || is("transaction")) {
    engine->begin();
    for (uint64_t row = 0; row < given.rows; row++) {
      engine->put(key + row * KEY_BYTES, value_of(indices[i + row], version), given.value_bytes, exists);
    }
    engine->commit();
    return given.rows;
  }
  if (is("remove")) {
    engine->remove(key);
    return 1;
  }
  if (is("range")) return engine->range(key, given.rows);
  return (uint64_t)(int64_t)engine->view(key);
}

static int micro(const struct engine *engine) {
  int putting = is("put") || is("transaction");
  int exists = strcmp(given.target, "existing") == 0;
  int absent = is("miss") || strcmp(given.target, "new") == 0;
  uint64_t step = putting ? given.rows : 1;
  uint64_t batch = given.per_batch * step;
  uint64_t total = (given.warmup + given.batches) * batch;
  uint64_t version = putting && exists ? 1 + given.round : 0;
  uint32_t *order = shuffled(given.keys, (uint32_t)(ROUND_SEED + given.round));
  char *keys = malloc(total * KEY_BYTES);
  uint32_t *indices = malloc(total * sizeof *indices);
  double *batch_us = malloc(given.batches * sizeof *batch_us);
  if (keys == NULL || indices == NULL || batch_us == NULL) fail("keys", "out of memory");
  for (uint64_t i = 0; i < total; i++) {
    indices[i] = order[i % given.keys];
    make_key(keys + i * KEY_BYTES, indices[i], absent);
  }
  /* An empty store stays empty: compiled code needs no warming up. */
  uint64_t first = strcmp(given.target, "empty") == 0 ? given.warmup * batch : 0;
  for (uint64_t i = first; i < given.warmup * batch; i += step) {
    run_operation(engine, keys, indices, i, version, exists);
  }
  uint64_t sum = 0, next = given.warmup * batch;
  double wall_start = clock_us(CLOCK_MONOTONIC), cpu_start = clock_us(CLOCK_THREAD_CPUTIME_ID);
  for (uint64_t b = 0; b < given.batches; b++, next += batch) {
    double start = clock_us(CLOCK_MONOTONIC);
    for (uint64_t i = next; i < next + batch; i += step) {
      sum += run_operation(engine, keys, indices, i, version, exists);
    }
    batch_us[b] = clock_us(CLOCK_MONOTONIC) - start;
  }
  double wall = clock_us(CLOCK_MONOTONIC) - wall_start, cpu = clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu_start;
  report(batch_us, given.batches, wall, cpu, sum, engine->count());
  engine->close();
  return 0;
}

static int pass(const struct engine *engine) {
  double *batch_us = malloc(given.repeats * sizeof *batch_us);
  if (batch_us == NULL) fail("pass", "out of memory");
  uint64_t sum = engine->range(NULL, UINT64_MAX);
  double wall_start = clock_us(CLOCK_MONOTONIC), cpu_start = clock_us(CLOCK_THREAD_CPUTIME_ID);
  for (uint64_t i = 0; i < given.repeats; i++) {
    double start = clock_us(CLOCK_MONOTONIC);
    sum = engine->range(NULL, UINT64_MAX);
    batch_us[i] = clock_us(CLOCK_MONOTONIC) - start;
  }
  report(batch_us, given.repeats, clock_us(CLOCK_MONOTONIC) - wall_start,
         clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu_start, sum, engine->count());
  engine->close();
  return 0;
}

int run_driver(const struct engine *engine, int argc, char **argv) {
  read_arguments(argc, argv);
  make_values();
  engine->open(given.path, given.keys);
  if (strcmp(given.kind, "load") == 0) return load(engine);
  if (strcmp(given.kind, "micro") == 0) return micro(engine);
  if (strcmp(given.kind, "pass") == 0) return pass(engine);
  fail("kind", "load, micro or pass");
  return 1;
}

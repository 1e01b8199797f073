/*
 * What the processor asks for durability: stores of one or ten lines, flushed, then a fence; and the same with stores that
 * bypass the cache. In 64 MiB of ordinary memory, at random places, as a store's lines would be. flush=clwb|clflushopt|clflush.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if !defined(__x86_64__)
int main(void) {
  fprintf(stderr, "floor: only written for x86-64\n");
  return 1;
}
#else
#include <immintrin.h>

#define LINE 64
#define MEMORY_BYTES (64u << 20)
#define SAMPLES 201
#define PER_SAMPLE 2000

static unsigned char *memory;
static uint32_t state = 1;

static unsigned char *random_line(void) {
  state = state * 1664525u + 1013904223u;
  return memory + (state >> 6) % (MEMORY_BYTES / LINE - 16) * LINE;
}

__attribute__((target("clwb"))) static void flush_clwb(void *line) { _mm_clwb(line); }
__attribute__((target("clflushopt"))) static void flush_clflushopt(void *line) { _mm_clflushopt(line); }
static void flush_clflush(void *line) { _mm_clflush(line); }

static void (*flush)(void *);

static void store_lines(int lines) {
  unsigned char *line = random_line();
  for (int i = 0; i < lines; i++) *(volatile uint64_t *)(line + i * LINE) = state;
  for (int i = 0; i < lines; i++) flush(line + i * LINE);
  _mm_sfence();
}

static void stream_line(void) {
  __m128i *line = (__m128i *)random_line();
  __m128i value = _mm_set1_epi32((int)state);
  for (int i = 0; i < 4; i++) _mm_stream_si128(line + i, value);
  _mm_sfence();
}

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int ascending(const void *a, const void *b) {
  double difference = *(const double *)a - *(const double *)b;
  return difference < 0 ? -1 : difference > 0;
}

static double median_us(int what) {
  static double samples[SAMPLES];
  for (int i = 0; i < SAMPLES; i++) {
    double start = now_us();
    for (int j = 0; j < PER_SAMPLE; j++) {
      if (what == 0) stream_line();
      else store_lines(what);
    }
    samples[i] = (now_us() - start) / PER_SAMPLE;
  }
  qsort(samples, SAMPLES, sizeof samples[0], ascending);
  return samples[SAMPLES / 2];
}

int main(int argc, char **argv) {
  const char *which = argc > 1 ? argv[1] : "flush=clflush";
  flush = strcmp(which, "flush=clwb") == 0         ? flush_clwb
          : strcmp(which, "flush=clflushopt") == 0 ? flush_clflushopt
                                                   : flush_clflush;
  memory = aligned_alloc(4096, MEMORY_BYTES);
  if (memory == NULL) return 1;
  memset(memory, 1, MEMORY_BYTES);
  printf("{\"fenceUs\":%.4f,\"fenceTenLinesUs\":%.4f,\"streamFenceUs\":%.4f}\n", median_us(1), median_us(10),
         median_us(0));
  return 0;
}
#endif

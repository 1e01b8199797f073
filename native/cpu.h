/* Which instruction moves a cache line to the persistence domain, and copies that bypass the cache. */
#ifndef DAXKV_CPU_H
#define DAXKV_CPU_H

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

struct cpu {
  void (*flush_line)(const void *line);
  const char *flush_name;
  /* False where no instruction reaches the persistence domain: then only msync makes a store durable. */
  bool can_flush;
};

extern struct cpu cpu;

/* Fills `cpu`. Safe to call more than once, from several threads (it always writes the same values). */
void cpu_detect(void);

/* Every flush and non-temporal store before it is in the persistence domain before any later store. */
static inline void cpu_fence(void) {
#if defined(__x86_64__)
  _mm_sfence();
#elif defined(__aarch64__)
  __asm__ volatile("dsb sy" ::: "memory");
#else
  __sync_synchronize();
#endif
}

/* Copies one 64-byte line past the cache. `target` is 64-byte aligned. Weakly ordered: a fence must follow. */
static inline void cpu_stream_line(void *target, const void *source) {
#if defined(__x86_64__)
  const __m128i *from = source;
  __m128i *to = target;
  __m128i a = _mm_loadu_si128(from), b = _mm_loadu_si128(from + 1);
  __m128i c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);
  _mm_stream_si128(to, a);
  _mm_stream_si128(to + 1, b);
  _mm_stream_si128(to + 2, c);
  _mm_stream_si128(to + 3, d);
#else
  /* stnp is only a hint on arm64, so the line is cleaned like any other store. */
  memcpy(target, source, 64);
  cpu.flush_line(target);
#endif
}

#endif

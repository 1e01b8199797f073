#include "cpu.h"

struct cpu cpu;

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define CPUID7_EBX_CLFLUSHOPT (1u << 23)
#define CPUID7_EBX_CLWB (1u << 24)

__attribute__((target("clwb"))) static void flush_clwb(const void *line) { _mm_clwb((void *)line); }

__attribute__((target("clflushopt"))) static void flush_clflushopt(const void *line) { _mm_clflushopt((void *)line); }

static void flush_clflush(const void *line) { _mm_clflush(line); }

void cpu_detect(void) {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  bool leaf7 = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0;
  struct cpu found = {flush_clflush, "clflush", true};
  if (leaf7 && (ebx & CPUID7_EBX_CLWB) != 0) {
    found = (struct cpu){flush_clwb, "clwb", true};
  } else if (leaf7 && (ebx & CPUID7_EBX_CLFLUSHOPT) != 0) {
    found = (struct cpu){flush_clflushopt, "clflushopt", true};
  }
  cpu = found;
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

#ifndef HWCAP_DCPOP
#define HWCAP_DCPOP (1ul << 16)
#endif

/* DC CVAP spelt as its system instruction, so that the assembler need not be told about ARMv8.2. */
static void flush_cvap(const void *line) { __asm__ volatile("sys #3, c7, c12, #1, %0" ::"r"(line) : "memory"); }

static void flush_cvac(const void *line) { __asm__ volatile("dc cvac, %0" ::"r"(line) : "memory"); }

void cpu_detect(void) {
  bool to_persistence = (getauxval(AT_HWCAP) & HWCAP_DCPOP) != 0;
  struct cpu found = {flush_cvac, "dc cvac", false};
  if (to_persistence) found = (struct cpu){flush_cvap, "dc cvap", true};
  cpu = found;
}

#else

static void flush_nothing(const void *line) { (void)line; }

void cpu_detect(void) { cpu = (struct cpu){flush_nothing, "none", false}; }

#endif

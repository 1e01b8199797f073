/** What the kernel asks for durability, without any engine: one synced page, one copied page. */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import mmapIo from 'mmap-io'
import { mix } from '../data.js'
import type { FloorJob, Measurement } from '../jobs.js'
import { median, quantile } from '../statistics.js'

/** The package's declarations promise a default export that the CommonJS module does not have. */
const mmap = mmapIo as unknown as (typeof mmapIo)['default']

/** PROT_READ | PROT_WRITE. */
const READ_AND_WRITE = 3
const PAGE_BYTES = 4096
const PAGES = 1024
const COPIES_PER_SAMPLE = 100
/** The first calls fault pages in. */
const WARMUP = 20

export function floor(job: FloorJob): Measurement {
  const page = Buffer.alloc(PAGE_BYTES, 1)
  const descriptor = openSync(job.path, 'w+', 0o600)
  try {
    // Page by page: larger writes leave large folios in the page cache, and a sync then writes a megabyte.
    for (let i = 0; i < PAGES; i++) writeSync(descriptor, page)
    fdatasyncSync(descriptor)
    const mapping = mmap.map(PAGES * PAGE_BYTES, READ_AND_WRITE, mmap.MAP_SHARED, descriptor, 0)
    // One page after the other, as a log is written.
    const msyncUs = samplesUs(job.repeats, (i) => {
      const offset = (i % PAGES) * PAGE_BYTES
      mapping.fill(i & 255, offset, offset + 64)
      mmap.sync(mapping, offset, PAGE_BYTES, true)
    })
    const fdatasyncUs = samplesUs(job.repeats, (i) => {
      writeSync(descriptor, page, 0, PAGE_BYTES, (i % PAGES) * PAGE_BYTES)
      fdatasyncSync(descriptor)
    })
    const copied = Buffer.alloc(PAGES * PAGE_BYTES)
    const source = Buffer.alloc(PAGES * PAGE_BYTES, 1)
    const copyUs = samplesUs(job.repeats, (i) => {
      for (let j = 0; j < COPIES_PER_SAMPLE; j++) {
        const offset = (mix(i + j, 3) % PAGES) * PAGE_BYTES
        source.copy(copied, offset, offset, offset + PAGE_BYTES)
      }
    })
    return {
      metrics: {
        msyncPageUs: median(msyncUs),
        fdatasyncUs: median(fdatasyncUs),
        copyPageUs: median(copyUs) / COPIES_PER_SAMPLE,
        // For rows that compare an engine's put with it: by the same names.
        usPerOperation: mean(msyncUs),
        usPerOperationP50: median(msyncUs),
        usPerOperationP99: quantile(msyncUs, 0.99),
      },
    }
  } finally {
    closeSync(descriptor)
  }
}

function mean(samples: readonly number[]): number {
  return samples.reduce((total, sample) => total + sample, 0) / samples.length
}

function samplesUs(repeats: number, action: (i: number) => void): number[] {
  const samples: number[] = []
  for (let i = 0; i < repeats + WARMUP; i++) {
    const start = performance.now()
    action(i)
    if (i >= WARMUP) samples.push((performance.now() - start) * 1000)
  }
  return samples
}

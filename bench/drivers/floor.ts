/** What the machine costs without any engine: one synced page, one copied page. */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import mmapIo from 'mmap-io'
import { mix } from '../data.js'
import type { FloorJob, Measurement } from '../jobs.js'
import { median } from '../statistics.js'

/** The package's declarations promise a default export that the CommonJS module does not have. */
const mmap = mmapIo as unknown as (typeof mmapIo)['default']

/** PROT_READ | PROT_WRITE. */
const READ_AND_WRITE = 3
const PAGE_BYTES = 4096
const PAGES = 1024
const COPIES_PER_SAMPLE = 1000

export function floor(job: FloorJob): Measurement {
  const page = Buffer.alloc(PAGE_BYTES, 1)
  const descriptor = openSync(job.path, 'w+', 0o600)
  try {
    // Page by page: larger writes leave large folios in the page cache, and a sync then writes a megabyte.
    for (let i = 0; i < PAGES; i++) writeSync(descriptor, page)
    fdatasyncSync(descriptor)
    const mapping = mmap.map(PAGES * PAGE_BYTES, READ_AND_WRITE, mmap.MAP_SHARED, descriptor, 0)
    const msyncPageUs = medianUs(job.repeats, (i) => {
      const offset = (mix(i, 1) % PAGES) * PAGE_BYTES
      mapping.fill(i & 255, offset, offset + 64)
      mmap.sync(mapping, offset, PAGE_BYTES, true)
    })
    const fdatasyncUs = medianUs(job.repeats, (i) => {
      writeSync(descriptor, page, 0, PAGE_BYTES, (mix(i, 2) % PAGES) * PAGE_BYTES)
      fdatasyncSync(descriptor)
    })
    const copied = Buffer.alloc(PAGES * PAGE_BYTES)
    const source = Buffer.alloc(PAGES * PAGE_BYTES, 1)
    const copyUs = medianUs(job.repeats, (i) => {
      for (let j = 0; j < COPIES_PER_SAMPLE; j++) {
        const offset = (mix(i + j, 3) % PAGES) * PAGE_BYTES
        source.copy(copied, offset, offset, offset + PAGE_BYTES)
      }
    })
    return { metrics: { msyncPageUs, fdatasyncUs, copyPageUs: copyUs / COPIES_PER_SAMPLE } }
  } finally {
    closeSync(descriptor)
  }
}

function medianUs(repeats: number, action: (i: number) => void): number {
  const samples: number[] = []
  for (let i = 0; i < repeats; i++) {
    const start = performance.now()
    action(i)
    samples.push((performance.now() - start) * 1000)
  }
  return median(samples)
}

import type { Workload } from '../workload.js'

const machine = { unit: 'us', subject: 'machine' } as const

/** What the hardware and the kernel cost without any engine. */
export const floors: readonly Workload[] = [
  {
    id: 'floor-memory',
    suite: 'goal',
    subjects: [],
    rows: [
      { title: 'floor: store, flush, fence; 1 line', metric: 'fenceUs', ...machine },
      { title: 'floor: store, flush, fence; 10 lines', metric: 'fenceTenLinesUs', ...machine },
      { title: 'floor: non-temporal store of 1 line, fence', metric: 'streamFenceUs', ...machine },
      { title: 'floor: copy of one page', metric: 'copyPageUs', ...machine },
      { title: 'floor: msync of one page, memory', metric: 'msyncPageUs', ...machine },
    ],
    measure: (context, subject) => context.floor(context.files, subject, 2000),
  },
  {
    id: 'floor-disk',
    suite: 'goal',
    subjects: [],
    rows: [
      { title: 'floor: msync of one page, disk', metric: 'msyncPageUs', onDisk: true, ...machine },
      { title: 'floor: write + fdatasync of one page, disk', metric: 'fdatasyncUs', onDisk: true, ...machine },
    ],
    measure: (context, subject) => context.floor(context.diskFiles, subject, 300),
  },
]

/** All workloads, in the order of the table. */
import type { Workload } from '../workload.js'
import { diskWrites } from './disk.js'
import { floors } from './floors.js'
import { loads } from './loads.js'
import { matrix } from './matrix.js'
import { opening } from './opening.js'
import { pointReads, scans } from './reads.js'
import { sizes } from './sizes.js'
import { durableWrites } from './writes.js'
import { ycsbMixes } from './ycsb.js'

export const workloads: readonly Workload[] = [
  ...floors,
  ...loads,
  ...durableWrites,
  ...pointReads,
  ...scans,
  ...ycsbMixes,
  ...opening,
  ...diskWrites,
  ...sizes,
  ...matrix,
]

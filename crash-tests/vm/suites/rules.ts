import type { Laboratory } from '../host/laboratory.js'
import { results } from '../host/laboratory.js'
import type { Disk, Task } from '../protocol.js'

/** One test for each rule that a store on persistent memory must obey, on ext4 and on XFS with reflink. */
export async function rules(laboratory: Laboratory): Promise<void> {
  const disks: Disk[] = [
    { index: 0, fileSystem: 'ext4', access: 'dax' },
    { index: 1, fileSystem: 'xfs', access: 'dax' },
  ]
  laboratory.progress('rules')
  const job: Task[] = disks.flatMap((disk) => [{ task: 'format', disk } as const, { task: 'rules', disk } as const])
  const nvdimms = disks.map(({ fileSystem }) => laboratory.image(`rules-${fileSystem}.img`))
  for (const { name, ok, detail } of results(await laboratory.run(job, { nvdimms }))) {
    laboratory.add({ suite: 'rules', name, ok, detail })
  }
}

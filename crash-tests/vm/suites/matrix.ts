import type { Laboratory } from '../host/laboratory.js'
import { results } from '../host/laboratory.js'
import type { MachineOptions } from '../host/machine.js'
import type { Task } from '../protocol.js'

type Set = Extract<Task, { task: 'matrix' }>['set']

/** Every kind of file that MAP_SYNC is granted or refused on, three platforms. */
export async function matrix(laboratory: Laboratory): Promise<void> {
  if (laboratory.amount === 'smoke') {
    await boot(laboratory, 'smoke', 'ADR', { nvdimms: [laboratory.image('matrix.img')] })
    return
  }
  const images = [0, 1, 2].map((index) => laboratory.image(`matrix-${index}.img`))
  await boot(laboratory, 'full', 'ADR', { nvdimms: images })
  await boot(laboratory, 'eadr', 'eADR', { nvdimms: [laboratory.image('eadr.img')], persistence: 'cpu' })
  await boot(laboratory, 'unreported', 'no domain', {
    nvdimms: [laboratory.image('unreported.img')],
    persistence: 'absent',
    virtioPmem: laboratory.image('virtio-pmem.img'),
    kernelOptions: 'memmap=256M!1G',
  })
}

async function boot(
  laboratory: Laboratory,
  set: Set,
  platform: string,
  options: Partial<MachineOptions>,
): Promise<void> {
  laboratory.progress(`persistence matrix, ${platform}`)
  for (const { name, ok, detail } of results(await laboratory.run([{ task: 'matrix', set }], options))) {
    laboratory.add({ suite: 'matrix', name: `${platform}: ${name}`, ok, detail })
  }
}

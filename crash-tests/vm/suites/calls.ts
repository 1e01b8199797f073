/**
 * Chinner's crash, step by step: a pool is created and grown while power is cut before every system call that its writer
 * makes on the file (of the rows of 4 KiB writes, before every twentieth). No pointer into new space may be durable
 * before the space is, and a pool exists wholly or not at all.
 */
import { rmSync } from 'node:fs'
import { verifyImages } from '../host/images.js'
import type { Image } from '../host/images.js'
import type { Laboratory } from '../host/laboratory.js'
import type { FileSystem, Turn } from '../protocol.js'

const FILE_SYSTEMS: Readonly<Record<Laboratory['amount'], readonly FileSystem[]>> = {
  smoke: [],
  default: ['ext4'],
  long: ['ext4', 'xfs'],
}
/** 20,000 bytes each: some five growths of 128 KiB. */
const STEPS = 40

export async function calls(laboratory: Laboratory): Promise<void> {
  for (const fileSystem of FILE_SYSTEMS[laboratory.amount]) {
    const images = await cutAtCalls(laboratory, fileSystem)
    await verifyImages(laboratory, 'calls', '', images)
    for (const { path } of images) rmSync(path)
  }
}

async function cutAtCalls(laboratory: Laboratory, fileSystem: FileSystem): Promise<Image[]> {
  const path = laboratory.image(`calls-${fileSystem}.img`)
  const disk = { index: 0, fileSystem, access: 'dax' } as const
  const { seed } = laboratory
  const turn: Turn = { disk, mode: 'steps', seed, seconds: 3600, steps: STEPS, writer: 0 }
  const machine = laboratory.start([{ task: 'format', disk }, { task: 'write-by-calls', turn }, { task: 'wait' }], {
    nvdimms: [path],
  })
  const images: Image[] = []
  try {
    let acknowledged = 0
    for (let from = 0; ;) {
      let call = ''
      from = await machine.until((line) => {
        if (line.kind === 'ack') acknowledged = line.step
        if (line.kind === 'call') call = line.text
        return line.kind === 'call' || line.kind === 'waiting'
      }, from)
      laboratory.progress(`calls: ${fileSystem}, before call ${images.length + 1}, ${call}`)
      const copy = `${path}.${images.length}`
      await machine.snapshot(new Map([[path, copy]]), () => {
        const name = `${fileSystem}: cut ${call === '' ? 'at the end' : `before ${call}`}`
        const expectations = [{ mode: turn.mode, seed, acknowledged }]
        images.push({ path: copy, name, disk: { fileSystem, access: 'dax' }, expectations })
      })
      if (call === '') break
      machine.send('\n')
    }
    await machine.cut()
  } finally {
    machine.dispose()
  }
  rmSync(path)
  return images
}

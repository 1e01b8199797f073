/**
 * Granularity page below the file system: every write and flush is recorded by dm-log-writes and replayed up to flushes
 * (of what came after a flush, nothing, or any part of it, may have reached the medium), and disks that fail or lie.
 */
import { rmSync } from 'node:fs'
import { verifyImages } from '../host/images.js'
import type { Image } from '../host/images.js'
import type { Laboratory } from '../host/laboratory.js'
import { results } from '../host/laboratory.js'
import { readWriteLog, replay } from '../host/write-log.js'
import { Random } from '../../src/random.js'

const MIB = 1024 * 1024
const DISK_BYTES = 64 * MIB
const LOG_BYTES = 512 * MIB
const IMAGES = { smoke: 0, default: 8, long: 64 }
const STEPS = 200
const STEPS_EACH_MARK = 5

export async function blockDevices(laboratory: Laboratory): Promise<void> {
  if (laboratory.amount === 'smoke') return
  const disk = laboratory.image('block.img', DISK_BYTES)
  const log = laboratory.image('block-log.img', LOG_BYTES)
  const { seed } = laboratory
  laboratory.progress('block devices: recording, and disks that fail')
  const lines = await laboratory.run(
    [
      { task: 'log-writes', seed, steps: STEPS, stepsEachMark: STEPS_EACH_MARK },
      { task: 'flakey', seed },
    ],
    { disks: [disk, log] },
  )
  for (const { name, ok, detail } of results(lines)) laboratory.add({ suite: 'block-devices', name, ok, detail })
  const images = replayed(laboratory, log)
  await verifyImages(laboratory, 'block-devices', '', images)
  for (const { path } of images) rmSync(path)
}

/** Disks at flushes chosen at random after the pool was made; every second one with part of what came after the flush. */
function replayed(laboratory: Laboratory, log: string): Image[] {
  const random = new Random(laboratory.seed)
  const entries = readWriteLog(log)
  const firstMark = entries.findIndex(({ mark }) => mark?.startsWith('step-') === true)
  if (firstMark < 0) throw new Error('the record holds no mark')
  const flushes = entries.flatMap(({ flush }, index) => (flush && index > firstMark ? [index] : []))
  const images: Image[] = []
  for (let count = 0; count < IMAGES[laboratory.amount] && flushes.length > 0; count++) {
    const at = random.below(flushes.length)
    const end = flushes[at] + 1
    const path = laboratory.image(`replayed-${count}.img`, DISK_BYTES)
    replay(log, path, entries.slice(0, end), () => true)
    const partly = count % 2 === 1
    if (partly) replay(log, path, entries.slice(end, flushes[at + 1]), () => random.below(2) === 0)
    const marks = entries.slice(0, end).map(({ mark }) => Number(/^step-(\d+)$/.exec(mark ?? '')?.[1] ?? 0))
    images.push({
      path,
      name: partly ? 'dm-log-writes: at a flush, and some of the writes after it' : 'dm-log-writes: at a flush',
      disk: { fileSystem: 'ext4', access: 'page-cache' },
      block: true,
      expectations: [{ mode: 'checkpoint', seed: laboratory.seed, acknowledged: Math.max(...marks) }],
    })
  }
  return images
}

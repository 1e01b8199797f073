/** The writers of native/naive-writer.c, and what a power cut has left of their records. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Disk } from '../protocol.js'
import { report } from './channel.js'
import { directoryOf } from './disks.js'

const LINE_BYTES = 64

/** Runs the writers one after the other, each until the host sends a byte; acknowledgements carry their index. */
export function naiveWriters(disk: Disk, kinds: readonly string[], records: number): void {
  // What a broken writer loses must not be saved by the kernel's timers
  for (const file of ['/proc/sys/fs/xfs/xfssyncd_centisecs', '/proc/sys/vm/dirty_writeback_centisecs']) {
    if (existsSync(file)) writeFileSync(file, '60000')
  }
  kinds.forEach((kind, writer) => {
    const path = join(directoryOf(disk), `${kind}.records`)
    report({ kind: 'started', writer })
    const child = spawnSync('/lab/naive-writer', [path, kind, `${writer}`, `${records}`, '/dev/ttyS1'], {
      encoding: 'utf8',
    })
    if (child.status !== 0) throw new Error(`${kind}: ${child.stderr}`)
  })
}

/** How many records, from the first one on, are there and whole. */
export function countRecords(disk: Disk, kind: string, image: number): void {
  const path = join(directoryOf(disk), `${kind}.records`)
  let kept = 0
  if (existsSync(path)) {
    const bytes = readFileSync(path)
    while ((kept + 1) * LINE_BYTES <= bytes.length && isWhole(bytes, kept)) kept++
  }
  report({ kind: 'counted', image, kept })
}

function isWhole(bytes: Buffer, index: number): boolean {
  for (let at = index * LINE_BYTES; at < (index + 1) * LINE_BYTES; at += 8) {
    if (bytes.readUInt32LE(at) !== index + 1 || bytes.readUInt32LE(at + 4) !== 0) return false
  }
  return true
}

/**
 * Writers that are known to be wrong must be seen to lose what they acknowledged, and their corrected twins must not:
 * else nothing that the other suites find intact would mean anything.
 */
import { rmSync } from 'node:fs'
import { judge } from '../host/judge.js'
import type { Laboratory } from '../host/laboratory.js'
import type { Disk, FileSystem, Task, Turn } from '../protocol.js'

interface Writer {
  readonly kind: string
  readonly what: string
  readonly loses: boolean
}

const WRITERS: readonly Writer[] = [
  { kind: 'plain', what: 'plain MAP_SHARED and clwb, no fsync', loses: true },
  { kind: 'growth', what: 'growth by ftruncate without sync, plain MAP_SHARED and clwb', loses: true },
  { kind: 'written', what: 'zeros written and synced first, plain MAP_SHARED and clwb', loses: false },
  { kind: 'sync', what: 'MAP_SYNC and clwb, no fsync', loses: false },
  { kind: 'growth-sync', what: 'growth by ftruncate without sync, MAP_SYNC and clwb', loses: false },
]
/** Linux 6.1 grants MAP_SYNC there all the same. */
const REFLINKED: Writer = { kind: 'reflinked', what: 'MAP_SYNC and clwb on a reflinked file', loses: true }

/** Acknowledged before the cut; 4096 bytes are 64 records, a growth step is 1024. */
const RECORDS = 2500

interface Cut {
  readonly path: string
  readonly disk: Omit<Disk, 'index'>
  readonly writer: Writer
  readonly acknowledged: number
}

export async function losses(laboratory: Laboratory): Promise<void> {
  const smoke = laboratory.amount === 'smoke'
  const fileSystems: readonly FileSystem[] = smoke ? ['ext4'] : ['ext4', 'xfs']
  const cuts: Cut[] = []
  for (const fileSystem of fileSystems) {
    const writers = smoke ? WRITERS.slice(0, 2) : fileSystem === 'xfs' ? [...WRITERS, REFLINKED] : WRITERS
    cuts.push(...(await naive(laboratory, fileSystem, writers)))
  }
  const job: Task[] = cuts.map(({ disk, writer }, index) => ({
    task: 'count',
    disk: { ...disk, index },
    kind: writer.kind,
    image: index,
  }))
  laboratory.progress('losses: counting')
  const lines = await laboratory.run(job, { nvdimms: cuts.map(({ path }) => path) })
  cuts.forEach(({ disk, writer, acknowledged, path }, index) => {
    const counted = lines.find((line) => line.kind === 'counted' && line.image === index)
    const kept = counted?.kind === 'counted' ? counted.kept : -1
    const lost = Math.max(0, acknowledged - kept)
    laboratory.add({
      suite: 'losses',
      name: `${disk.fileSystem}: ${writer.what}`,
      ok: kept >= 0 && writer.loses === lost > 0,
      detail: `${lost} of ${acknowledged} acknowledged records lost, ${writer.loses ? 'as it must' : 'none may be'}`,
      images: 1,
    })
    rmSync(path)
  })
  if (!smoke) for (const misuse of MISUSES) await misused(laboratory, misuse)
}

/** Each writer works alone and not for long: the journal would be committed after a while by itself. */
async function naive(laboratory: Laboratory, fileSystem: FileSystem, writers: readonly Writer[]): Promise<Cut[]> {
  const path = laboratory.image(`naive-${fileSystem}.img`)
  const disk = { index: 0, fileSystem, access: 'dax' } as const
  const kinds = writers.map(({ kind }) => kind)
  const machine = laboratory.start(
    [{ task: 'format', disk }, { task: 'naive', disk, kinds, records: RECORDS }, { task: 'wait' }],
    { nvdimms: [path] },
  )
  const cuts: Cut[] = []
  try {
    let from = 0
    for (const [index, writer] of writers.entries()) {
      laboratory.progress(`losses: ${writer.what}, ${fileSystem}`)
      from = await machine.until((line) => line.kind === 'ack' && line.writer === index && line.step === RECORDS, from)
      const copy = `${path}.${index}`
      await machine.snapshot(new Map([[path, copy]]), () => {
        cuts.push({ path: copy, disk: { fileSystem, access: 'dax' }, writer, acknowledged: RECORDS })
      })
      machine.send('\n')
    }
    await machine.cut()
  } finally {
    machine.dispose()
  }
  rmSync(path)
  return cuts
}

/** What is done to the store itself; whoever judges the power cuts must object. */
export const MISUSES = [
  {
    name: 'daxkv with forceGranularity cache-line on a page cache',
    disk: { index: 0, fileSystem: 'ext4', access: 'page-cache' },
    mode: 'puts',
    more: { steps: 150, forceGranularity: 'cache-line' },
  },
  {
    name: 'daxkv, its pool reflinked while it is open',
    disk: { index: 0, fileSystem: 'xfs', access: 'dax' },
    mode: 'reflinked-open',
    // The clone is made after step 40, and the last pages that were then unshared are the ones at risk
    more: { steps: 42 },
  },
] as const

export async function misused(
  laboratory: Laboratory,
  { name, disk, mode, more }: (typeof MISUSES)[number],
): Promise<void> {
  laboratory.progress(`losses: ${name}`)
  const path = laboratory.image('misused.img')
  const { seed } = laboratory
  const turn: Turn = { disk, mode, seed, seconds: 120, writer: 0, ...more }
  const machine = laboratory.start([{ task: 'format', disk }, { task: 'write', turns: [turn] }, { task: 'wait' }], {
    nvdimms: [path],
  })
  let acknowledged = 0
  try {
    await machine.until((line) => {
      if (line.kind === 'ack') acknowledged = line.step
      return acknowledged >= more.steps
    })
    await machine.cut()
  } finally {
    machine.dispose()
  }
  const lines = await laboratory.run([{ task: 'verify', disk, image: 0, modes: [mode] }], { nvdimms: [path] })
  const verified = lines.find((line) => line.kind === 'verified')
  const problem = verified?.kind === 'verified' ? judge(verified, { mode, seed, acknowledged }).problem : ''
  laboratory.add({
    suite: 'losses',
    name,
    ok: problem !== '',
    detail: problem === '' ? 'no loss was noticed' : `noticed, as it must be: ${problem}`,
    images: 1,
  })
  rmSync(path)
}

/**
 * Writers acknowledge over the serial port, power is cut under them at random times, and a later boot must find every
 * acknowledged step and nothing half-done. Most cuts are copies of the NVDIMM taken while the processors stand still:
 * what a copy lacks (the guest's memory, page cache and all) is what a power cut takes.
 */
import { rmSync } from 'node:fs'
import { verifyImages } from '../host/images.js'
import type { Image } from '../host/images.js'
import type { Laboratory } from '../host/laboratory.js'
import type { Machine } from '../host/machine.js'
import type { Access, Expectation, FileSystem, GuestLine, Task, Turn } from '../protocol.js'
import { Random } from '../../src/random.js'

/** A disk with the modes that run on it. */
interface Plan {
  readonly fileSystem: FileSystem
  readonly access: Access
  readonly modes: readonly string[]
}

const PLANS: readonly Plan[] = [
  {
    fileSystem: 'ext4',
    access: 'dax',
    modes: ['puts', 'transactions', 'deletes', 'growth', 'checkpoint', 'reopen', 'group'],
  },
  {
    fileSystem: 'xfs',
    access: 'dax',
    modes: ['puts', 'transactions', 'deletes', 'growth', 'checkpoint', 'reopen', 'reflinked'],
  },
  {
    fileSystem: 'ext4',
    access: 'page-cache',
    modes: ['puts', 'transactions', 'growth', 'checkpoint', 'reopen', 'group', 'relaxed'],
  },
]
const SMOKE: readonly Plan[] = [{ fileSystem: 'ext4', access: 'dax', modes: ['puts', 'transactions', 'growth'] }]

/** Copies of each turn; the default cut makes 2 * 21 and three from killed machines. */
const COPIES = { smoke: 2, default: 2, long: 5 }
const LIVES = { smoke: 1, default: 1, long: 12 }
export async function powerCuts(laboratory: Laboratory): Promise<void> {
  const random = new Random(laboratory.seed)
  const plans = laboratory.amount === 'smoke' ? SMOKE : PLANS
  const disks = plans.map(({ fileSystem, access }, index) =>
    laboratory.image(`cut-${index}-${fileSystem}-${access}.img`),
  )
  let known: Expectation[][] = plans.map(() => [])
  for (let life = 0; life < LIVES[laboratory.amount]; life++) {
    const images = await writeAndCut(laboratory, plans, disks, known, random, life)
    const findings = await verifyImages(laboratory, 'power-cuts', `life ${life + 1}: `, images)
    for (const { path } of images) if (!disks.includes(path)) rmSync(path)
    // The next life goes on where the killed machine's pools are now
    known = findings.slice(-disks.length).map(({ image, steps }) =>
      image.expectations.map((expectation) => ({
        ...expectation,
        acknowledged: steps.get(expectation.mode) ?? expectation.acknowledged,
      })),
    )
  }
}

/** One boot: all writers in turn, copies at random moments of each, and in the end the machine is killed. */
async function writeAndCut(
  laboratory: Laboratory,
  plans: readonly Plan[],
  paths: readonly string[],
  known: readonly (readonly Expectation[])[],
  random: Random,
  life: number,
): Promise<Image[]> {
  const turns: Turn[] = []
  const tasks: Task[] = []
  const seconds = laboratory.amount === 'smoke' ? 3 : 4
  plans.forEach(({ fileSystem, access, modes }, index) => {
    const disk = { index, fileSystem, access }
    if (life === 0) tasks.push({ task: 'format', disk })
    for (const mode of modes) {
      const seed = laboratory.seed * 1000 + index * 100 + modes.indexOf(mode)
      const done = known[index].find((expectation) => expectation.mode === mode)?.acknowledged ?? 0
      turns.push({ disk, mode, seed, seconds, writer: turns.length, done })
    }
  })
  tasks.push({ task: 'write', turns }, { task: 'wait' })
  const machine = laboratory.start(tasks, { nvdimms: paths })
  const images: Image[] = []
  try {
    let from = 0
    for (const turn of turns) {
      const { disk, mode } = turn
      const what = `${mode} on ${disk.fileSystem}, ${disk.access}`
      laboratory.progress(`power cuts: ${what}`)
      from = await machine.until((line) => line.kind === 'started' && line.writer === turn.writer, from)
      for (let copy = 0; copy < COPIES[laboratory.amount]; copy++) {
        // So many acknowledgements later, at any point of a commit
        await pause(machine, turn.writer, 1 + random.below(60), random.below(300))
        const path = `${paths[disk.index]}.${images.length}`
        await machine.snapshot(new Map([[paths[disk.index], path]]), () => {
          images.push({ path, name: what, disk, expectations: heard(machine.lines, turns, disk.index, known) })
        })
      }
    }
    await machine.until((line) => line.kind === 'waiting', from)
    await machine.cut()
    plans.forEach(({ fileSystem, access }, index) => {
      const expectations = heard(machine.lines, turns, index, known)
      images.push({ path: paths[index], name: `killed, ${fileSystem}, ${access}`, disk: { fileSystem, access }, expectations }) // prettier-ignore
    })
  } finally {
    machine.dispose()
  }
  return images
}

/** Waits for some acknowledgements (fewer when the writer comes to its end first), and a little. */
async function pause(machine: Machine, writer: number, count: number, ms: number): Promise<void> {
  const isEnd = (line: GuestLine): boolean => line.kind === 'finished' && line.writer === writer
  let from = machine.lines.length
  for (let waited = 0; waited < count; waited++) {
    // It may have ended while the copy before was made
    if (machine.lines.some(isEnd)) return
    from = await machine.until((line) => isEnd(line) || (line.kind === 'ack' && line.writer === writer), from)
  }
  await new Promise((resolve) => setTimeout(resolve, ms))
}

/** Newest acknowledged step of each writer of a disk. */
function heard(
  lines: readonly GuestLine[],
  turns: readonly Turn[],
  disk: number,
  known: readonly (readonly Expectation[])[],
): Expectation[] {
  const newest = new Map<number, number>()
  for (const line of lines) {
    if (line.kind === 'ack') newest.set(line.writer, Math.max(line.step, newest.get(line.writer) ?? 0))
  }
  return turns
    .filter((turn) => turn.disk.index === disk)
    .map(({ writer, mode, seed }) => {
      const before = known[disk].find((expectation) => expectation.mode === mode)?.acknowledged ?? 0
      return { mode, seed, acknowledged: Math.max(before, newest.get(writer) ?? 0) }
    })
}

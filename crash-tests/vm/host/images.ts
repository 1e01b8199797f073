/** Images of disks as power was cut, and how they are judged. */
import type { Disk, Expectation, GuestLine, Task } from '../protocol.js'
import { judge } from './judge.js'
import type { Laboratory } from './laboratory.js'

/** Images checked in one boot: the guest keeps a little memory for each NVDIMM. */
const IMAGES_EACH_BOOT = 8

/** A disk as power was cut, and what had been heard of its writers by then. */
export interface Image {
  readonly path: string
  readonly name: string
  readonly disk: Omit<Disk, 'index'>
  readonly expectations: readonly Expectation[]
  /** An ordinary disk, not an NVDIMM. */
  readonly block?: boolean
}

/** What was found in an image. */
interface Finding {
  readonly image: Image
  readonly problems: readonly string[]
  readonly recoveries: readonly string[]
  /** Step that each mode's pool holds. */
  readonly steps: ReadonlyMap<string, number | undefined>
}

/** Boots machines that have several images at once, until all are checked; a row for each name. */
export async function verifyImages(
  laboratory: Laboratory,
  suite: string,
  prefix: string,
  images: readonly Image[],
): Promise<Finding[]> {
  const findings: Finding[] = []
  for (let first = 0; first < images.length; first += IMAGES_EACH_BOOT) {
    laboratory.progress(`${suite}: checking image ${first + 1} of ${images.length}`)
    const group = images.slice(first, first + IMAGES_EACH_BOOT)
    const job: Task[] = group.map(({ disk, expectations, block }, index) => ({
      task: 'verify',
      disk: { ...disk, index, ...(block === true ? { device: blockName(index) } : {}) },
      image: index,
      modes: expectations.map(({ mode }) => mode),
    }))
    const paths = group.map(({ path }) => path)
    const lines = await laboratory.run(job, group[0].block === true ? { disks: paths } : { nvdimms: paths })
    findings.push(...group.map((image, index) => finding(image, index, lines)))
    // Those whose last image is checked
    const rest = images.slice(first + IMAGES_EACH_BOOT)
    for (const name of new Set(group.map((image) => image.name))) {
      if (rest.some((image) => image.name === name)) continue
      const own = findings.filter(({ image }) => image.name === name)
      addRow(laboratory, suite, `${prefix}${name}`, own)
    }
  }
  return findings
}

/** /dev/vda is the first one. */
function blockName(index: number): string {
  return `/dev/vd${String.fromCharCode(97 + index)}`
}

function finding(image: Image, index: number, lines: readonly GuestLine[]): Finding {
  const problems: string[] = []
  const recoveries: string[] = []
  const steps = new Map<string, number | undefined>()
  for (const expectation of image.expectations) {
    const line = lines.find(
      (each) => each.kind === 'verified' && each.image === index && each.mode === expectation.mode,
    )
    if (line?.kind !== 'verified') {
      problems.push(`${expectation.mode}: was not checked`)
      continue
    }
    const { step, problem } = judge(line, expectation)
    if (problem !== '') problems.push(`${expectation.mode}: ${problem}`)
    recoveries.push(line.recovery)
    steps.set(expectation.mode, step)
  }
  const fsck = lines.find((line) => line.kind === 'result' && line.name === `fsck ${index}`)
  if (fsck?.kind !== 'result') problems.push('fsck: was not run')
  else if (!fsck.ok) problems.push(`fsck: ${fsck.detail}`)
  return { image, problems, recoveries, steps }
}

function addRow(laboratory: Laboratory, suite: string, name: string, findings: readonly Finding[]): void {
  const problems = findings.flatMap((each) => each.problems)
  const expectations = findings.flatMap(({ image }) => image.expectations)
  const acknowledged = expectations.reduce((sum, expectation) => sum + expectation.acknowledged, 0)
  const outcomes = new Map<string, number>()
  for (const recovery of findings.flatMap(({ recoveries }) => recoveries)) {
    outcomes.set(recovery, (outcomes.get(recovery) ?? 0) + 1)
  }
  const recoveries = [...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', ')
  const detail = `${findings.length} images, ${acknowledged} acknowledged steps, 0 lost; recovery: ${recoveries}`
  laboratory.add({
    suite,
    name,
    ok: problems.length === 0,
    detail: problems.length === 0 ? detail : problems.join('; '),
    images: findings.length,
  })
}

/** Tells which step of a writer a pool's content belongs to. The host does it: emulated, the models would take long. */
import { Content } from '../guest/content.js'
import { modeOf, stepOf } from '../guest/modes.js'
import type { Expectation, VerifiedLine } from '../protocol.js'

/** Acknowledgements that may have been in the serial port's buffers when the power failed. */
const MOST_UNHEARD = 4000

interface Course {
  readonly model: Content
  /** Digest after each step, from 0. */
  readonly digests: string[]
}

/** By mode and seed; images of one run share them. */
const courses = new Map<string, Course>()

export interface Judgement {
  /** The newest step whose content the pool holds exactly; undefined when it holds no step's content. */
  readonly step: number | undefined
  /** Empty when all is well. */
  readonly problem: string
}

/** Compares what was found with what had been acknowledged. */
export function judge(line: VerifiedLine, { mode, seed, acknowledged }: Expectation): Judgement {
  if (line.digest === 'no pool') {
    const gone = acknowledged > 0
    return {
      step: gone ? undefined : 0,
      problem: gone ? `the pool is gone with ${acknowledged} acknowledged steps` : '',
    }
  }
  const step = line.digest === '' ? undefined : findStep(mode, seed, line.digest, acknowledged)
  const problems = line.problem === '' ? [] : [line.problem]
  if (step === undefined) {
    if (line.digest !== '') problems.push(`the content is that of no step (${acknowledged} acknowledged)`)
  } else if (step < acknowledged) {
    problems.push(`${acknowledged - step} of ${acknowledged} acknowledged steps are lost`)
  }
  return { step, problem: problems.join('; ') }
}

/** The first step from the acknowledged one on that has the content, else the last one before. */
function findStep(mode: string, seed: number, digest: string, acknowledged: number): number | undefined {
  const digests = digestsUpTo(mode, seed, acknowledged + MOST_UNHEARD)
  const after = digests.indexOf(digest, acknowledged)
  if (after >= 0) return after
  const before = digests.lastIndexOf(digest, acknowledged)
  return before >= 0 ? before : undefined
}

function digestsUpTo(name: string, seed: number, last: number): readonly string[] {
  const id = `${name} ${seed}`
  let course = courses.get(id)
  if (course === undefined) {
    const model = new Content()
    courses.set(id, (course = { model, digests: [model.digest] }))
  }
  const mode = modeOf(name)
  for (let index = course.digests.length; index <= last; index++) {
    course.model.apply(stepOf(mode, seed, index))
    course.digests.push(course.model.digest)
  }
  return course.digests
}

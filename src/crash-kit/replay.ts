import { DaxkvError } from '../errors.js'
import type { CrashLogging, CrashModel } from './types.js'

/** One crash of a run, as a failure names it. */
export interface Replay {
  readonly logging: CrashLogging
  readonly model: CrashModel
  readonly seed: number
  /** Number of the image among all that the model makes of the trace, from 1 on. */
  readonly image: number
  /** Events of the trace: other ones mean that the workload does something else than it did. */
  readonly events: number
}

const TOKEN = /^(undo|redo):(cache-line|byte|page|kill):(-?\d+):(\d+):(\d+)$/

export function formatReplay({ logging, model, seed, image, events }: Replay): string {
  return [logging, model, seed, image, events].join(':')
}

export function parseReplay(token: string): Replay {
  const [, logging, model, seed, image, events] = TOKEN.exec(token) ?? []
  if ((logging as string | undefined) === undefined) {
    throw new DaxkvError(
      'INVALID_ARGUMENT',
      `crashTest: '${token}' is no replay token; they look like undo:cache-line:1:4711:230 and stand in the message of a failure`,
    )
  }
  return {
    logging: logging as CrashLogging,
    model: model as CrashModel,
    seed: Number(seed),
    image: Number(image),
    events: Number(events),
  }
}

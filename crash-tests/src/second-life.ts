/**
 * A process that opens what a crash has left, recovers it, works on and crashes again: the trace of its whole life, with
 * what the pool may hold at each point of it.
 */
import { readContent } from './content.js'
import { CrashViolation } from './explorer.js'
import { MARK_KILLED, MARK_SYNC_FAILED } from './medium.js'
import { Random } from './random.js'
import { acknowledgedAt, MARK_ACKNOWLEDGED } from './recording.js'
import type { Recording } from './recording.js'
import { RecordingMemory } from './replay-memory.js'
import { SEGMENT_SHIFT, Workload } from './workload.js'
import { EVENT_FENCE, EVENT_GROW, EVENT_STORE, EVENT_STORE_NON_TEMPORAL, EventLog } from '../../src/pmem/event-log.js'
import type { Trace } from '../../src/pmem/event-log.js'
import { LINE_BYTES, PAGE_BYTES } from '../../src/pmem/program.js'
import { Geometry } from '../../src/pool/geometry.js'
import type { EngineOptions } from '../../src/tx/engine.js'

export interface SecondLifeOptions {
  readonly engineOptions: () => EngineOptions
  readonly logPages: number
  readonly seed: number
  /** Transactions after the recovery. */
  readonly steps?: number
  readonly memory?: typeof RecordingMemory
}

/** No content has this digest: it keeps apart what may be found before and after the second opening. */
const NEVER = 'never'

/** The process is killed after `point` events and a second one opens what is in the cache; the power may fail any time later. */
export function afterKill(first: Recording, point: number, options: SecondLifeOptions, mark = MARK_KILLED): Recording {
  const life = secondLife(first, point, cacheContent(first.trace, point), options)
  const events = new EventLog()
  events.appendFrom(first.trace.events, 0, point)
  events.appendMark(mark, undefined, 0)
  events.appendFrom(life.trace.events)
  return { ...life, acknowledgedBefore: first.acknowledgedBefore, trace: { image: first.trace.image, events } }
}

/** The fence (an msync) that comes after `point` events fails; the store is opened again, and the power may fail later. */
export function afterFailedSync(first: Recording, point: number, options: SecondLifeOptions): Recording {
  return afterKill(first, point, options, MARK_SYNC_FAILED)
}

/** The power fails after `point` events and leaves this image; a second process opens it. */
export function afterPowerFailure(
  first: Recording,
  point: number,
  image: Uint8Array,
  options: SecondLifeOptions,
): Recording {
  return secondLife(first, point, Buffer.from(image), options)
}

function secondLife(first: Recording, point: number, image: Uint8Array, options: SecondLifeOptions): Recording {
  const memory = new (options.memory ?? RecordingMemory)({
    sizeBytes: image.length,
    segmentShift: SEGMENT_SHIFT,
    granularity: 'page',
    record: true,
    image,
  })
  const acknowledged = acknowledgedAt(first)[point]
  const history = [...first.history.slice(0, acknowledged + 1), first.history[acknowledged + 1] ?? NEVER, NEVER]
  const workload = new Workload(
    { memory },
    {
      random: new Random(options.seed),
      engineOptions: options.engineOptions,
      hooks: {
        beforeCommit: (digest) => history.push(digest),
        refused: () => history.pop(),
        acknowledged: () => memory.mark(MARK_ACKNOWLEDGED, history.length - 1),
      },
    },
  )
  const { digest } = readContent(memory, new Geometry(SEGMENT_SHIFT, options.logPages))
  if (!history.slice(acknowledged).includes(digest)) {
    throw new CrashViolation(`killed after event ${point - 1}`, 'the second process finds a wrong content')
  }
  history.push(digest)
  memory.mark(MARK_ACKNOWLEDGED, history.length - 1)
  for (let step = 0; step < (options.steps ?? 2); step++) workload.step()
  return { trace: memory.trace(), history, acknowledgedBefore: acknowledged }
}

/** Points right before every `nth` fence: what was to be made durable is in the cache, whole. */
export function pointsBeforeFences({ trace }: Recording, nth: number): number[] {
  const { events } = trace
  const points = Array.from({ length: events.count }, (_, event) => event)
  return points.filter((event) => events.kind(event) === EVENT_FENCE).filter((_, index) => index % nth === 0)
}

/** What the file holds, seen through the cache, after so many events. */
function cacheContent({ image, events }: Trace, count: number): Buffer {
  let content = Buffer.from(image)
  for (let event = 0; event < count; event++) {
    const kind = events.kind(event)
    if (kind === EVENT_GROW) {
      const grown = Buffer.alloc(Math.max(content.length, events.pageCount(event) * PAGE_BYTES))
      content.copy(grown, 0, 0, events.pageId(event) * PAGE_BYTES)
      content = grown
    }
    if (kind !== EVENT_STORE && kind !== EVENT_STORE_NON_TEMPORAL) continue
    content.set(events.bytes(event), events.pageId(event) * PAGE_BYTES + events.line(event) * LINE_BYTES)
  }
  return content
}

import {
  EVENT_FENCE,
  EVENT_FLUSH,
  EVENT_GROW,
  EVENT_MARK,
  EVENT_STORE,
  EVENT_STORE_NON_TEMPORAL,
  EVENT_SYNC_ALL,
} from '../../src/pmem/event-log.js'
import type { Trace } from '../../src/pmem/event-log.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import { regionsOf } from './regions.js'

/** What a persist program is for, read off its events. */
export type ProgramRole =
  // Written when it is put, outside programs.
  | 'value'
  | 'commit'
  | 'growth'
  | 'checkpoint'
  | 'open: anchors again'
  | 'open: log again'
  | 'open: data'
  | 'open: new anchor'
  | 'close: data'
  | 'close: anchor'

/** What an event does in its program. Steps of one name in one role are what a generated mutant leaves out. */
export interface Step {
  readonly role: ProgramRole
  /** Number of the program; of the events of one program only one role is told. */
  readonly program: number
  /** Barriers of the program before this event. */
  readonly barriersBefore: number
  readonly kind: 'store' | 'non-temporal store' | 'flush' | 'fence' | 'sync'
  /** Whether it is about the log, an anchor or data. */
  readonly region: string
}

/** The step of every event; undefined for marks, growth and what lies outside programs. */
export function stepsOf(trace: Trace): (Step | undefined)[] {
  const { events } = trace
  const roles = rolesOf(trace)
  const regionOf = regionsOf(trace.image)
  const steps: (Step | undefined)[] = []
  let program = 0
  let barriers = 0
  for (let event = 0; event < events.count; event++) {
    if (events.program(event) !== program) {
      program = events.program(event)
      barriers = 0
    }
    const role = program === 0 ? 'value' : roles.get(program)
    const kind = KINDS[events.kind(event)]
    if (role === undefined || kind === undefined) {
      steps.push(undefined)
      continue
    }
    const region = kind === 'fence' || kind === 'sync' ? '' : regionOf(events.pageId(event) * PAGE_BYTES)
    steps.push({ role, program, barriersBefore: barriers, kind, region })
    if (kind === 'fence' || kind === 'sync') barriers++
  }
  return steps
}

const KINDS: Readonly<Partial<Record<number, Step['kind']>>> = {
  [EVENT_STORE]: 'store',
  [EVENT_STORE_NON_TEMPORAL]: 'non-temporal store',
  [EVENT_FLUSH]: 'flush',
  [EVENT_FENCE]: 'fence',
  [EVENT_SYNC_ALL]: 'sync',
}

interface Facts {
  regions: Set<string>
  syncs: boolean
  phase: string
  afterGrowth: boolean
}

function rolesOf({ image, events }: Trace): Map<number, ProgramRole> {
  const regionOf = regionsOf(image)
  const facts = new Map<number, Facts>()
  let phase = ''
  let grown = false
  for (let event = 0; event < events.count; event++) {
    const kind = events.kind(event)
    if (kind === EVENT_MARK) phase = events.mark(event).label
    if (kind === EVENT_GROW) grown = true
    const program = events.program(event)
    if (program === 0) continue
    let about = facts.get(program)
    if (about === undefined) {
      facts.set(program, (about = { regions: new Set(), syncs: false, phase, afterGrowth: grown }))
      grown = false
    }
    if (kind === EVENT_SYNC_ALL) about.syncs = true
    if (kind === EVENT_STORE || kind === EVENT_STORE_NON_TEMPORAL) {
      about.regions.add(regionOf(events.pageId(event) * PAGE_BYTES))
    }
  }
  const roles = new Map<number, ProgramRole>()
  let synced = false
  for (const [program, { regions, syncs, phase: during, afterGrowth }] of facts) {
    if (during === 'opening') {
      if (regions.has('anchor')) roles.set(program, synced ? 'open: new anchor' : 'open: anchors again')
      else if (regions.has('log')) roles.set(program, 'open: log again')
      else roles.set(program, 'open: data')
      synced ||= syncs
      continue
    }
    synced = false
    if (during === 'closing') roles.set(program, regions.has('anchor') ? 'close: anchor' : 'close: data')
    else if (regions.has('log')) roles.set(program, afterGrowth ? 'growth' : 'commit')
    else if (regions.has('anchor')) roles.set(program, 'checkpoint')
  }
  return roles
}

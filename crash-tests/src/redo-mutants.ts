/**
 * The rules of protocol C, each broken once: the crash enumeration must notice every one of them, or it would not notice
 * that a rule got lost. Mutants change the programs on their way to the executor, or one method of the engine.
 */
import { CrashViolation } from './explorer.js'
import { recordWorkload } from './recording.js'
import type { Recording } from './recording.js'
import { RecordingMemory } from './replay-memory.js'
import { SEGMENT_SHIFT } from './workload.js'
import type { StepKind } from './workload.js'
import { OP_FENCE, OP_RECORD, OP_STORE, OP_SYNC_ALL, operationWords, PAGE_BYTES } from '../../src/pmem/program.js'
import { Allocator } from '../../src/pool/allocator.js'
import { decodeAnchor, encodeAnchor } from '../../src/pool/anchor.js'
import type { Anchor } from '../../src/pool/anchor.js'
import { PAGE_ANCHOR_A, PAGE_ANCHOR_B, PAGE_LOG_START } from '../../src/pool/format.js'
import { MAX_LOGGED_EXTENT_BYTES, RedoCommitter } from '../../src/tx/redo-commit.js'
import { RedoRing } from '../../src/tx/redo-ring.js'
import { TouchedPages } from '../../src/tx/touched-pages.js'
import { engineOptions, explorerOfBoth, recordingMemory, SmallStore } from './redo-support.js'
import { afterFailedSync, afterKill, pointsBeforeFences } from './second-life.js'

const LOG_PAGES = 8
/** Words of an operation, first the operation itself. */
export type Operation = number[]

/** Changes every program on its way to the executor. */
export function mutantMemory(
  change: (operations: Operation[], memory: RecordingMemory) => Operation[],
): typeof RecordingMemory {
  return class extends RecordingMemory {
    override run(words: number): void {
      const changed = change(operationsOf(this.program.subarray(0, words)), this).flat()
      this.reserveProgram(changed.length)
      this.program.set(changed)
      super.run(changed.length)
    }
  }
}

function operationsOf(program: Uint32Array): Operation[] {
  const operations: Operation[] = []
  for (let at = 0; at < program.length;) {
    const length = operationWords(program, at)
    operations.push([...program.subarray(at, at + length)])
    at += length
  }
  return operations
}

export const isAnchor = ([operation, page]: Operation): boolean =>
  operation === OP_STORE && (page === PAGE_ANCHOR_A || page === PAGE_ANCHOR_B)
const isCheckpoint = (operations: Operation[]): boolean => operations[0][0] === OP_SYNC_ALL && operations.some(isAnchor)

export interface Run {
  readonly memory?: typeof RecordingMemory
  readonly script?: readonly StepKind[]
  readonly steps?: number
  readonly logPages?: number
}

export function recordWith({ memory, script, steps = 40, logPages = LOG_PAGES }: Run, seed: number): Recording[] {
  const kind = memory ?? RecordingMemory
  return recordWorkload({
    seed,
    steps,
    granularity: 'page',
    stepsPerTrace: 10,
    maxBytes: 20_000,
    engineOptions: () => engineOptions('redo', logPages),
    lints: false,
    ...(script === undefined ? {} : { script }),
    memory: new kind({ sizeBytes: 48 * PAGE_BYTES, segmentShift: SEGMENT_SHIFT, granularity: 'page', record: true }),
  })
}

/** Power failures at every point of the run. */
function explorePower(run: Run, seed: number): void {
  const logPages = run.logPages ?? LOG_PAGES
  for (const recording of recordWith(run, seed)) {
    const explorer = explorerOfBoth('page', logPages)
    explorer.explore(recording, { model: 'page', points: 'frontier', exhaustiveLimit: 48, samples: 48, seed })
  }
}

/**
 * Kills when a record is whole in the cache and not yet on the medium, a second process (the mutant) that recovers, and power
 * failures then.
 */
function exploreSecondLife(run: Run, seed: number, secondLife = afterKill): void {
  for (const recording of recordWith({ ...run, memory: RecordingMemory, steps: 30 }, seed)) {
    for (const point of pointsBeforeFences(recording, 3)) {
      const life = secondLife(recording, point, {
        engineOptions: () => engineOptions('redo', LOG_PAGES),
        logPages: LOG_PAGES,
        seed: seed + point,
        ...(run.memory === undefined ? {} : { memory: run.memory }),
      })
      const explorer = explorerOfBoth('page', LOG_PAGES)
      explorer.explore(life, { model: 'page', points: 'frontier', fromPoint: point, exhaustiveLimit: 32, samples: 32 })
    }
  }
}

export interface RedoMutant {
  /** The rule of the protocol that is broken. */
  readonly rule: string
  /** Looks for a violation, of the rule kept or broken. */
  readonly explore: (seed: number, broken: boolean) => void
}

/** All of them; the order is that of docs/internals.md. */
export const REDO_MUTANTS: RedoMutant[] = []

function mutant(rule: string, explore: RedoMutant['explore']): void {
  REDO_MUTANTS.push({ rule, explore })
}

/** Looks for a violation with the rule broken, under a few seeds. Returns the first, or undefined when the mutant survives. */
export function catchRedoMutant({ explore }: RedoMutant, seeds = 6): CrashViolation | undefined {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      explore(seed, true)
    } catch (error) {
      if (!(error instanceof CrashViolation)) throw error
      return error
    }
  }
  return undefined
}

/** A value goes in place to pages that an earlier record covers, and a process opens the pool after a kill. */
function checkValueInPlace(): void {
  const store = new SmallStore(recordingMemory(300), engineOptions('redo', 40))
  store.put(['logged', 'a', 30_000])
  store.delete('logged')
  store.put(['in place', 'b', MAX_LOGGED_EXTENT_BYTES * 2])
  const image = store.memory.image()
  const memory = new RecordingMemory({
    sizeBytes: image.length,
    segmentShift: SEGMENT_SHIFT,
    granularity: 'page',
    image,
  })
  try {
    const found = [...new SmallStore(memory, store.options).entries()].join()
    if (found !== `in place,b${MAX_LOGGED_EXTENT_BYTES * 2}`) throw new Error(`the pool holds ${found}`)
  } catch (error) {
    throw new CrashViolation('[kill] after the last transaction', String(error), { cause: error })
  }
}

const power =
  (memory: typeof RecordingMemory, run: Run = {}) =>
  (seed: number, broken: boolean): void =>
    explorePower(broken ? { ...run, memory } : run, seed)

const secondLife =
  (memory: typeof RecordingMemory, run: Run = {}) =>
  (seed: number, broken: boolean): void =>
    exploreSecondLife(broken ? { ...run, memory } : run, seed)

/** Replaces a method for the time of a call. */
function withPatch(prototype: object, name: string, value: unknown, work: () => void): void {
  const original = Object.getOwnPropertyDescriptor(prototype, name)
  if (original === undefined) throw new Error(`there is no ${name} to break`)
  Object.defineProperty(prototype, name, { value, configurable: true, writable: true })
  try {
    work()
  } finally {
    Object.defineProperty(prototype, name, original)
  }
}

mutant(
  'log msync before acknowledge: no fence after the record',
  power(
    mutantMemory((operations) =>
      operations.filter(([code], index) => code !== OP_FENCE || operations[index - 1][0] !== OP_RECORD),
    ),
  ),
)

mutant(
  'log msync before apply: lines stored in place before the fence',
  power(
    mutantMemory((operations) => {
      const record = operations.findIndex(([code]) => code === OP_RECORD)
      if (record < 0) return operations
      const [fence] = operations.splice(record + 1, 1)
      return [...operations, fence]
    }),
  ),
)

mutant(
  'checkpoint order: no data sync before the anchor',
  power(
    mutantMemory((operations) =>
      isCheckpoint(operations) ? operations.filter(([code]) => code !== OP_SYNC_ALL) : operations,
    ),
  ),
)

mutant(
  'checkpoint order: the anchor durable before the data',
  power(
    mutantMemory((operations) => (isCheckpoint(operations) ? [...operations.slice(1), operations[0]] : operations)),
  ),
)

mutant(
  'checkpoint order: the ring freed without an anchor that says so',
  power(
    mutantMemory((operations) => (isCheckpoint(operations) ? operations.filter((one) => !isAnchor(one)) : operations)),
  ),
)

mutant(
  'checkpoint order: the ring freed before the anchor is durable',
  power(
    mutantMemory((operations) =>
      isCheckpoint(operations) ? operations.filter(([code]) => code !== OP_FENCE) : operations,
    ),
  ),
)

mutant('the ring never overwrites what recovery still needs', (seed, broken) => {
  const place = function (this: RedoRing, pages: number): number {
    const head = Reflect.get(this, 'head') as number
    return pages <= this.lengthPages - head ? head : 0
  }
  if (broken) {
    withPatch(RedoRing.prototype, 'place', place, () => {
      withPatch(
        RedoCommitter.prototype,
        'checkpoint',
        () => undefined,
        () => explorePower({}, seed),
      )
    })
  } else {
    explorePower({}, seed)
  }
})

mutant(
  'two anchor copies: one copy written again and again',
  power(
    mutantMemory((operations) =>
      operations.map((one) => (isAnchor(one) ? [one[0], PAGE_ANCHOR_A, ...one.slice(2)] : one)),
    ),
  ),
)

mutant('fresh in place only where no record since the checkpoint touches the page', (_seed, broken) => {
  if (!broken) checkValueInPlace()
  else withPatch(TouchedPages.prototype, 'any', () => false, checkValueInPlace)
})

mutant('pages written in place are fenced before the record', (seed, broken) => {
  const script = Array.from({ length: 24 }, (_, step): StepKind =>
    step === 0 ? 'createKeyspace' : step % 4 === 3 ? 'clear' : 'manyPages',
  )
  const memory = mutantMemory((operations) => {
    const record = operations.findIndex(([code]) => code === OP_RECORD)
    return operations.filter(([code], index) => code !== OP_FENCE || index > record || record < 0)
  })
  explorePower({ script, steps: 24, ...(broken ? { memory } : {}) }, seed)
})

mutant('no reuse of a page freed in the same transaction', (seed, broken) => {
  const script = Array.from({ length: 60 }, (_, step): StepKind =>
    step === 0 ? 'createKeyspace' : 'replaceLargeValue',
  )
  const takenWord = function (this: object, word: number): number {
    const words = Reflect.get(this, 'stagedWords') as Int32Array
    return words[(Reflect.get(this, 'stagedBase') as number) + word]
  }
  if (broken) withPatch(Allocator.prototype, 'takenWord', takenWord, () => explorePower({ script }, seed))
  else explorePower({ script }, seed)
})

mutant(
  'recovery makes the record durable before replaying',
  secondLife(
    // Only recovery stores to the log line by line.
    mutantMemory((operations) => {
      const kept = operations.filter(
        ([code, page]) => code !== OP_STORE || page < PAGE_LOG_START || page >= PAGE_LOG_START + LOG_PAGES,
      )
      return kept.length === 0 ? [[OP_FENCE]] : kept
    }),
  ),
)

mutant(
  'recovery makes the data durable before the anchor',
  secondLife(
    mutantMemory((operations) => {
      if (operations.length === 1 && operations[0][0] === OP_SYNC_ALL) return [[OP_FENCE]]
      return operations.length > 1 && operations.at(-1)?.[0] === OP_SYNC_ALL ? operations.slice(0, -1) : operations
    }),
  ),
)

mutant('a new epoch and salt at every open', (seed, broken) => {
  const pinned = { epoch: 1, saltLo: 5, saltHi: 6 }
  const memory = mutantMemory((operations, { stagingChunks }) => {
    for (const [, , frame] of operations.filter(isAnchor)) {
      const bytes = stagingChunks[frame >>> 7].u8.subarray((frame & 127) * PAGE_BYTES, (frame & 127) * PAGE_BYTES + 128)
      const anchor = decodeAnchor(bytes)
      if (anchor !== undefined) encodeAnchor(bytes, { ...anchor, ...pinned })
    }
    return operations
  })
  const startEpoch = Reflect.get<RedoCommitter, 'startEpoch'>(RedoCommitter.prototype, 'startEpoch')
  const pin = function (this: RedoCommitter, anchor: Anchor): void {
    startEpoch.call(this, { ...anchor, ...pinned })
  }
  const script = Array.from({ length: 60 }, (_, step): StepKind =>
    step === 0 ? 'createKeyspace' : step % 4 === 3 ? 'reopen' : step % 2 === 0 ? 'severalKeys' : 'putNew',
  )
  if (!broken) {
    exploreSecondLife({ script }, seed)
    return
  }
  withPatch(RedoCommitter.prototype, 'startEpoch', pin, () => {
    exploreSecondLife({ script, memory }, seed)
  })
})

mutant('the chosen anchor copy is made durable again before the other is written', (seed, broken) => {
  // The first program of an open: the valid copies, and a fence.
  const memory = mutantMemory((operations, { counters }) => (counters.programs === 0 ? [[OP_FENCE]] : operations))
  exploreSecondLife(broken ? { memory } : {}, seed, afterFailedSync)
})

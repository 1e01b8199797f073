/**
 * Hostile persist programs, given to the native and to the simulated executor alike: each is refused by both with a clear
 * error and changes nothing, or is run by both and leaves the same bytes.
 */
import { constants, openSync, writeFileSync } from 'node:fs'
import { DaxkvError } from '../../../src/errors.js'
import { NativeMemory } from '../../../src/pmem/native-memory.js'
import type { Granularity, PersistentMemory } from '../../../src/pmem/persistent-memory.js'
import {
  FRAME_IN_POOL,
  FRAME_UNLOGGED,
  OP_APPLY,
  OP_CHECKSUM,
  OP_CHECKSUM_FRESH,
  OP_CHECKSUM_FROM,
  OP_FENCE,
  OP_FLUSH,
  OP_RECORD,
  OP_STORE,
  OP_STORE_LAZY,
  OP_SYNC_ALL,
  PAGE_BYTES,
  RECORD_FIRST_LINE,
  RECORD_SLOT,
  RECORD_UNDO,
} from '../../../src/pmem/program.js'
import { SimulatedMemory } from '../../../src/pmem/simulated-memory.js'
import { Random } from '../random.js'

const PAGES = 24
/** Pages from here on hold the log. */
const DATA_PAGES = 16
const SEGMENT_SHIFT = 3
const CHUNKS = 2
const FRAMES = CHUNKS * 128
const EDGES = [
  0, 1, 7, 8, 23, 24, 25, 127, 128, 255, 256, 257, 65535, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff,
]
const GRANULARITIES: readonly Granularity[] = ['byte', 'cache-line', 'page']

export interface OperandCounts {
  accepted: number
  refused: number
}

/** Two executors on the same bytes. */
export class OperandFuzzer {
  readonly counts: OperandCounts = { accepted: 0, refused: 0 }
  private readonly native: NativeMemory
  private readonly simulated: SimulatedMemory

  constructor(
    private readonly seed: number,
    file: string,
  ) {
    const random = new Random(seed)
    const sizeBytes = PAGES * PAGE_BYTES
    const image = Buffer.alloc(sizeBytes)
    for (let at = 0; at < sizeBytes; at += 4) image.writeUInt32LE(random.word(), at)
    writeFileSync(file, image)
    const granularity = GRANULARITIES[seed % GRANULARITIES.length]
    const common = { sizeBytes, segmentShift: SEGMENT_SHIFT }
    const native = { ...common, path: file, readOnly: false, forceGranularity: granularity }
    this.native = NativeMemory.open(openSync(file, constants.O_RDWR), native)
    this.simulated = new SimulatedMemory({ ...common, granularity, image })
    for (const memory of this.memories) while (memory.stagingChunks.length < CHUNKS) memory.addStagingChunk()
    this.fillFrames(random)
  }

  /** Runs program number `index` of the seed. @throws Error when the executors differ. */
  run(index: number): void {
    const random = new Random(Math.imul(this.seed + 1, 0x9e37_79b1) ^ Math.imul(index + 1, 0x85eb_ca6b))
    random.word()
    if (random.below(50) === 0) this.fillFrames(random)
    const words = makeProgram(random)
    const length = random.below(60) === 0 ? EDGES[random.below(EDGES.length)] : words.length
    const outcomes = this.memories.map((memory) => runProgram(memory, words, length))
    const [native, simulated] = outcomes
    if (native !== simulated) {
      throw new Error(
        `program ${index}: native ${native}, simulated ${simulated}: ${words.join(' ')} (${length} words)`,
      )
    }
    this.counts[native === 'ran' ? 'accepted' : 'refused']++
    // Comparing costs more than running: refused programs are compared now and then, the others at once.
    if (native === 'ran' || random.below(16) === 0) this.compare(index, words)
    if (random.below(20) === 0) this.callOthers(index, random)
  }

  close(): void {
    this.native.close()
    this.simulated.close()
  }

  private get memories(): readonly PersistentMemory[] {
    return [this.native, this.simulated]
  }

  private fillFrames(random: Random): void {
    const bytes = Buffer.alloc(PAGE_BYTES * 128)
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(random.word(), at)
    for (const { stagingChunks } of this.memories) for (const { u8 } of stagingChunks) bytes.copy(u8)
  }

  private compare(index: number, words: readonly number[]): void {
    const { native, simulated } = this
    const segments = native.segments.map(
      (_, at) => [native.segments[at] ?? native.mapSegment(at), simulated.segments[at]] as const,
    )
    const chunks = native.stagingChunks.map((view, at) => [view, simulated.stagingChunks[at]] as const)
    for (const [a, b] of [...segments, ...chunks]) {
      const length = Math.min(a.byteLength, b.byteLength)
      if (a.u8.compare(b.u8, 0, length, 0, length) !== 0) {
        throw new Error(`program ${index} left different bytes: ${words.join(' ')}`)
      }
    }
  }

  /** The calls beside `run`, with places and lengths of all kinds. */
  private callOthers(index: number, random: Random): void {
    const place = EDGES[random.below(EDGES.length)]
    const length = random.below(2) === 0 ? random.below(9 * PAGE_BYTES) : EDGES[random.below(EDGES.length)]
    const lazily = random.below(2) === 0
    const bytes = Buffer.alloc(Math.min(length, 9 * PAGE_BYTES), index)
    const calls: readonly ((memory: PersistentMemory, out: Uint32Array) => unknown)[] = [
      (memory, out) => memory.hashExtent(place, length, out),
      (memory, out) => memory.writeExtent(place, bytes, out, lazily),
      (memory) => memory.verifyPage(place),
    ]
    const call = calls[random.below(calls.length)]
    const [native, simulated] = this.memories.map((memory) => {
      const out = new Uint32Array(2)
      return outcomeOf(() => `${String(call(memory, out))} ${out.join(' ')}`)
    })
    if (native !== simulated)
      throw new Error(`program ${index}: native ${native}, simulated ${simulated}: ${place} ${length}`)
    this.compare(index, [place, length])
  }
}

function runProgram(memory: PersistentMemory, words: readonly number[], length: number): string {
  memory.reserveProgram(words.length)
  memory.program.set(words)
  // Whatever stands behind the program is not to be run.
  if (length > words.length) memory.program.fill(0, words.length)
  return outcomeOf(() => {
    memory.run(length)
    return 'ran'
  })
}

function outcomeOf(action: () => string): string {
  try {
    return action()
  } catch (error) {
    if (error instanceof DaxkvError) return error.code
    throw error
  }
}

/** A program that would be accepted, as a rule with some words replaced; or just words. */
function makeProgram(random: Random): number[] {
  if (random.below(20) === 0) return Array.from({ length: random.below(40) }, () => anyWord(random))
  const words: number[] = []
  for (let count = 1 + random.below(6); count > 0; count--) words.push(...makeOperation(random))
  if (random.below(3) > 0) {
    for (let count = 1 + random.below(2); count > 0; count--) words[random.below(words.length)] = anyWord(random)
  }
  return random.below(12) === 0 ? words.slice(0, random.below(words.length + 1)) : words
}

function anyWord(random: Random): number {
  return random.below(3) === 0 ? random.word() : EDGES[random.below(EDGES.length)]
}

function makeOperation(random: Random): number[] {
  const page = random.below(DATA_PAGES)
  const frame = random.below(FRAMES)
  const mask = (): number => (random.below(3) === 0 ? 0xffff_ffff : random.word())
  switch (random.below(10)) {
    case 0:
      return [OP_FENCE]
    case 1:
      return [OP_CHECKSUM, page, frame, (mask() | 1) >>> 0, mask()]
    case 2:
      return [OP_CHECKSUM_FRESH, page, frame]
    case 3:
      return [OP_STORE, page, frame, mask(), mask()]
    case 4:
      return [OP_STORE_LAZY, page, frame, mask(), mask()]
    case 5:
      return [OP_FLUSH, page, mask(), mask()]
    case 6:
      return random.below(8) === 0 ? [OP_SYNC_ALL] : [OP_FENCE]
    case 7:
      return [OP_CHECKSUM_FROM, page, frame, random.below(FRAMES), (mask() | 1) >>> 0, mask()]
    case 8:
      return [OP_APPLY, DATA_PAGES, 1 + random.below(2), random.below(64)]
    default:
      return makeRecord(random)
  }
}

function makeRecord(random: Random): number[] {
  const kind = 1 + random.below(3)
  const extents: number[] = []
  for (let page = 18 + random.below(2); page < PAGES && random.below(2) === 0; page += 2)
    extents.push(page, 1 + random.below(2))
  const entries: number[] = []
  for (let page = random.below(4); page < DATA_PAGES && entries.length < 24; page += 1 + random.below(6)) {
    const inPool = kind !== RECORD_UNDO && random.below(4) === 0
    const unlogged = kind === RECORD_SLOT && random.below(3) === 0 ? FRAME_UNLOGGED : 0
    const frame = inPool ? FRAME_IN_POOL : unlogged + random.below(FRAMES)
    entries.push(page, frame, random.word() & random.word(), (random.word() & random.word()) | 1)
  }
  const identity = Array.from({ length: 6 }, () => random.word())
  const unsigned = entries.map((word) => word >>> 0)
  return [
    OP_RECORD,
    kind + (extents.length === 0 && kind !== RECORD_SLOT ? random.below(64) * RECORD_FIRST_LINE : 0),
    DATA_PAGES,
    1 + random.below(2),
    ...identity,
    extents.length / 2,
    entries.length / 4,
    ...extents,
    ...unsigned,
  ]
}

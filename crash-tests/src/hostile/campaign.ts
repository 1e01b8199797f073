/** Makes hostile images one after the other and judges each. Every image follows from the seed and its number alone. */
import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs'
import { open } from '../../../src/api/open.js'
import { storeOn } from '../../../src/api/open.js'
import type { StoreHandle } from '../../../src/api/store.js'
import type { StoreOptions } from '../../../src/api/options.js'
import { DaxkvError } from '../../../src/errors.js'
import { PAGE_BYTES } from '../../../src/pmem/program.js'
import { Engine } from '../../../src/tx/engine.js'
import type { Logging } from '../../../src/tx/committer.js'
import { decodeIdentity } from '../../../src/pool/identity.js'
import { Random } from '../random.js'
import { type BasePool, makeBasePools, poolOptions, SEGMENT_SHIFT } from './base-pools.js'
import { HostileImage } from './hostile-image.js'
import { HostileMemory } from './hostile-memory.js'
import { type Claim, judge, type Subject, type Verdict } from './judge.js'
import { mutate } from './mutations.js'

export interface Outcome {
  readonly verdict: Verdict
  readonly mutations: readonly string[]
}

/** Room behind an image for what mutations append and writes grow into. */
const ROOM_BYTES = 2 ** SEGMENT_SHIFT * 4 * PAGE_BYTES
/** Of the images given to the native executor, one in so many loses its end while it is open. */
const TRUNCATED_WHILE_OPEN = 8

/** A violation, with everything needed to see it again. */
export class HostileFailure extends Error {
  constructor(
    readonly image: number,
    readonly description: string,
    readonly bytes: Buffer,
    cause: unknown,
  ) {
    super(`image ${image} (${description}): ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

export class Campaign {
  private readonly pools: readonly BasePool[]
  private readonly room = Buffer.alloc(ROOM_BYTES)
  private readonly memories: Readonly<Record<Logging, HostileMemory>> = {
    undo: new HostileMemory(SEGMENT_SHIFT, 'cache-line'),
    redo: new HostileMemory(SEGMENT_SHIFT, 'page'),
  }

  constructor(
    private readonly seed: number,
    /** A file to write images to and open them with the native executor; without one they run in simulated memory. */
    private readonly file?: string,
  ) {
    this.pools = makeBasePools(seed)
  }

  /** @throws HostileFailure when a rule is broken. */
  run(image: number): Outcome {
    // Neighbouring numbers must not give similar streams.
    const random = new Random(Math.imul(this.seed + 1, 0x9e37_79b1) ^ Math.imul(image + 1, 0x85eb_ca6b))
    random.word()
    const base = this.pools[random.below(this.pools.length)]
    const target = new HostileImage(base, random, this.room)
    const mutations = mutate(target)
    const verifyReads = random.below(2) === 0
    const readOnly = random.below(16) === 0
    const logging: Logging = random.below(6) === 0 ? (base.logging === 'undo' ? 'redo' : 'undo') : base.logging
    const claim: Claim = { contents: claimed(target), forged: target.forged, verifyReads }
    const options: StoreOptions = { verifyReads, readOnly, logging }
    const subject = this.file === undefined ? this.inMemory(target, options) : this.onFile(target, options, random)
    try {
      return { verdict: judge(subject, claim, random), mutations }
    } catch (error) {
      const what = `${base.name} pool, ${mutations.join(' + ')}, ${JSON.stringify(options)}: ${target.notes.join('; ')}`
      throw new HostileFailure(image, what, Buffer.from(target.bytes), error)
    }
  }

  private inMemory(target: HostileImage, options: StoreOptions): Subject {
    const logging = options.logging ?? 'undo'
    const engines = new Map<StoreHandle, Engine>()
    return {
      independent: !target.areas.has('identity'),
      engineOf: (store) => engines.get(store) as Engine, // made by `open` below
      open: () => {
        // Simulated memory has whole pages, and formats what is blank: such files end here, in the code that opens files.
        const head = target.bytes.subarray(0, 2 * PAGE_BYTES)
        if (target.length < 2 * PAGE_BYTES || head.every((byte) => byte === 0)) {
          decodeIdentity(head, 'hostile.pool')
          throw new DaxkvError('TRUNCATED', 'less than two pages')
        }
        const memory = this.memories[logging]
        memory.loadHostile(target.base, target.bytes)
        const engine = Engine.open('hostile.pool', { ...poolOptions(logging), ...engineOptions(options), memory })
        const store = storeOn(engine)
        engines.set(store, engine)
        return store
      },
    }
  }

  private onFile(target: HostileImage, options: StoreOptions, random: Random): Subject {
    const file = this.file as string // only called with one
    const cutAt = random.below(TRUNCATED_WHILE_OPEN) === 0 ? random.below(target.length) : undefined
    if (cutAt !== undefined) target.notes.push(`truncated to ${cutAt} bytes while open`)
    const forceGranularity = random.below(2) === 0 ? 'page' : 'cache-line'
    const { growthStepBytes, maxSizeBytes } = poolOptions('undo')
    const sizes = { growthStepBytes, maxSizeBytes } as StoreOptions
    return {
      independent: false,
      engineOf: (store) => (store as unknown as { context: { engine: Engine } }).context.engine,
      open: () => {
        rmSync(file, { force: true })
        const fd = openSync(file, 'w')
        writeSync(fd, target.bytes)
        closeSync(fd)
        const store = open(file, { ...sizes, ...options, forceGranularity }) as unknown as StoreHandle
        if (cutAt !== undefined) {
          const cutter = openSync(file, 'r+')
          ftruncateSync(cutter, cutAt)
          closeSync(cutter)
        }
        return store
      },
    }
  }
}

function engineOptions({ verifyReads, readOnly }: StoreOptions): { verifyReads: boolean; readOnly: boolean } {
  return { verifyReads: verifyReads === true, readOnly: readOnly === true }
}

/**
 * What must be in the pool if it can be read at all. Nothing is claimed of a file that was forged, of one that has lost an
 * anchor and something else besides, and of one that was torn and has lost what could take the torn transaction back.
 */
function claimed(target: HostileImage): Claim['contents'] {
  const { areas, base, forged } = target
  if (forged || (areas.has('anchor') && areas.size > 1)) return undefined
  if (base.needsLog && (areas.has('log') || areas.has('anchor'))) return undefined
  return base.contents
}

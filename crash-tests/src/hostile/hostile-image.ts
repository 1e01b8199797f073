import { PAGE_BYTES } from '../../../src/pmem/program.js'
import { PAGE_LOG_START, PAGE_ROOT } from '../../../src/pool/format.js'
import type { Random } from '../random.js'
import type { BasePool } from './base-pools.js'
import type { PoolMap } from './pool-map.js'

/** What a mutation has changed: what may be claimed about the content depends on it. */
export type Area = 'length' | 'identity' | 'anchor' | 'log' | 'data'

/** A pool image being made hostile, and the notes on what was done to it. */
export class HostileImage {
  /** Room for what a mutation appends. */
  readonly #room: Buffer
  length: number
  readonly areas = new Set<Area>()
  readonly notes: string[] = []
  /**
   * Whether checksums or hashes were computed anew, or older or other sound pages put in the place of the right ones: then
   * nothing in the file says what it held.
   */
  forged = false

  constructor(
    readonly base: BasePool,
    readonly random: Random,
    room: Buffer,
  ) {
    this.#room = room
    base.image.copy(room)
    this.length = base.image.length
  }

  get map(): PoolMap {
    return this.base.map
  }

  /** The image as it stands. */
  get bytes(): Buffer {
    return this.#room.subarray(0, this.length)
  }

  get pages(): number {
    return Math.floor(this.length / PAGE_BYTES)
  }

  /** Lengthens the image, up to the room there is; the new bytes are zero. */
  extend(length: number): void {
    const end = Math.min(length, this.#room.length)
    this.#room.fill(0, this.length, end)
    this.length = Math.max(this.length, end)
  }

  note(area: Area, what: string): void {
    this.areas.add(area)
    this.notes.push(what)
  }

  noteAt(offset: number, what: string): void {
    this.note(
      areaOf(this.map, offset),
      `${what} at page ${Math.floor(offset / PAGE_BYTES)} byte ${offset % PAGE_BYTES}`,
    )
  }

  /** One of a list; undefined of an empty one. */
  pick<T>(list: readonly T[]): T | undefined {
    return list.length === 0 ? undefined : list[this.random.below(list.length)]
  }

  chance(percent: number): boolean {
    return this.random.below(100) < percent
  }
}

function areaOf(map: PoolMap, offset: number): Area {
  const page = Math.floor(offset / PAGE_BYTES)
  if (page < 2) return 'identity'
  if (page < PAGE_ROOT) return 'anchor'
  return page >= PAGE_LOG_START && page < map.geometry.firstBitmapPage ? 'log' : 'data'
}

/** A change of an image; false where the image has nothing of the kind. */
export interface Mutation {
  readonly name: string
  apply(target: HostileImage): boolean
}

const EDGES = [0, 1, 2, 3, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

/** A value for a number of so many bits that is likely to be at some edge. */
export function hostileNumber(target: HostileImage, old: number, bits: number): number {
  const { random } = target
  const mask = bits === 32 ? 0xffff_ffff : 2 ** bits - 1
  let value: number
  switch (random.below(7)) {
    case 0:
      value = EDGES[random.below(EDGES.length)]
      break
    case 1:
      value = mask
      break
    case 2:
      value = old + 1 + random.below(4)
      break
    case 3:
      value = old - 1 - random.below(4)
      break
    case 4:
      value = old ^ (1 << random.below(bits))
      break
    case 5:
      value = hostilePage(target)
      break
    default:
      value = random.word()
  }
  value = (value & mask) >>> 0
  return value === old ? (old ^ 1) >>> 0 : value
}

/** A page id: of every kind of page there is, or of none. */
export function hostilePage(target: HostileImage): number {
  const { random, map } = target
  const { capacityPages } = map
  const nodes = map.nodes
  switch (random.below(8)) {
    case 0:
      return random.below(8)
    case 1:
      return capacityPages - 1 + random.below(3)
    case 2:
      return 0xffff_ffff - random.below(2)
    case 3:
      return target.pick(map.bitmapPages) ?? 0
    case 4:
      return target.pick(map.extents)?.page ?? map.catalogPage
    case 5:
      return target.pick(map.freePages) ?? 0
    default:
      return nodes[random.below(nodes.length)].page
  }
}

import type { Random } from './random.js'

/** One place that can be filled in several ways; the choices are indexes into a list of the caller. */
export interface Slot {
  /** The oldest choice first. */
  readonly choices: readonly number[]
  /** The choice that stands for "everything reached the medium". */
  readonly newest: number
  /** What it is for, where that is known: the telling combinations depend on it. Default `data`. */
  readonly role?: SlotRole
}

/** `header`: the line of a log record that carries its hash; `body`: its other lines. */
export type SlotRole = 'anchor' | 'header' | 'body' | 'data'

export type CombinationKind =
  | 'exhaustive'
  | 'what recovery reads'
  | 'all old'
  | 'all new'
  | 'anchor new, data old'
  | 'anchor old, data new'
  | 'record new, data old'
  | 'header new, body old'
  | 'one new'
  | 'one old'
  | 'two new'
  | 'two old'
  | 'random'

export interface Combination {
  kind: CombinationKind
  /** A choice for each slot; reused by the next combination. */
  readonly chosen: number[]
}

/** Number of combinations, or Infinity when it is too large to matter. */
export function combinationCount(slots: readonly Slot[]): number {
  let count = 1
  for (const slot of slots) count *= slot.choices.length
  return count
}

/** Every combination of all slots, last slot fastest. */
export function* allCombinations(slots: readonly Slot[]): Generator<Combination> {
  const positions = slots.map(() => 0)
  const combination: Combination = { kind: 'exhaustive', chosen: slots.map((slot) => slot.choices[0]) }
  if (slots.some((slot) => slot.choices.length === 0)) return
  for (;;) {
    yield combination
    let index = slots.length - 1
    while (index >= 0 && positions[index] === slots[index].choices.length - 1) {
      positions[index] = 0
      combination.chosen[index] = slots[index].choices[0]
      index--
    }
    if (index < 0) return
    positions[index]++
    combination.chosen[index] = slots[index].choices[positions[index]]
  }
}

/**
 * Up to `limit` distinct combinations, the telling ones first: all old, all new, one slot apart from all others (in
 * every choice it has), two slots apart, random ones.
 */
export function* sampledCombinations(slots: readonly Slot[], limit: number, random: Random): Generator<Combination> {
  if (slots.some((slot) => slot.choices.length === 0)) return
  const seen = new Set<number>()
  const combination: Combination = { kind: 'all old', chosen: slots.map(() => 0) }
  const fresh = (kind: CombinationKind): boolean => {
    combination.kind = kind
    const key = keyOf(combination.chosen)
    if (seen.has(key) || seen.size >= limit) return false
    seen.add(key)
    return true
  }
  const fill = (pick: (slot: Slot) => number): void => {
    for (let index = 0; index < slots.length; index++) combination.chosen[index] = pick(slots[index])
  }
  const oldest = (slot: Slot): number => slot.choices[0]
  const newest = (slot: Slot): number => slot.newest
  const any = (slot: Slot): number => slot.choices[random.below(slot.choices.length)]

  fill(oldest)
  if (fresh('all old')) yield combination
  fill(newest)
  if (fresh('all new')) yield combination
  for (const [kind, anchors, others] of [
    ['anchor new, data old', newest, oldest],
    ['anchor old, data new', oldest, newest],
  ] as const) {
    if (!slots.some(({ role }) => role === 'anchor')) break
    fill((slot) => (slot.role === 'anchor' ? anchors(slot) : others(slot)))
    if (fresh(kind)) yield combination
  }
  // A whole record, and what must be durable before it (all of it, one line) is not.
  const data = shuffledIndexes(slots.length, random).filter((index) => slots[index].role === 'data')
  if (data.length > 0 && data.length < slots.length) {
    fill((slot) => (slot.role === 'data' ? oldest(slot) : newest(slot)))
    if (fresh('record new, data old')) yield combination
    for (const index of data.slice(0, 2)) {
      fill(newest)
      combination.chosen[index] = oldest(slots[index])
      if (fresh('record new, data old')) yield combination
    }
  }
  // A record whose hash is there and k of whose lines are not: all, half of them, two, one.
  const body = shuffledIndexes(slots.length, random).filter((index) => slots[index].role === 'body')
  if (slots.some(({ role }) => role === 'header')) {
    for (const count of new Set([body.length, body.length >>> 1, 2, 1])) {
      for (let shift = 0; shift < (count === body.length ? 1 : 4) && count > 0 && count <= body.length; shift++) {
        fill(newest)
        for (let k = 0; k < count; k++) {
          const index = body[(shift * count + k) % body.length]
          combination.chosen[index] = oldest(slots[index])
        }
        if (fresh('header new, body old')) yield combination
      }
    }
  }
  for (const [kind, others] of [
    ['one new', oldest],
    ['one old', newest],
  ] as const) {
    // Half of the budget is kept for what follows.
    const budget = limit / (kind === 'one new' ? 4 : 2)
    if (seen.size >= budget) continue
    for (const index of shuffledIndexes(slots.length, random)) {
      fill(others)
      for (const choice of slots[index].choices) {
        combination.chosen[index] = choice
        if (seen.size < budget && fresh(kind)) yield combination
      }
      if (seen.size >= budget) break
    }
  }
  for (const [kind, others] of [
    ['two new', oldest],
    ['two old', newest],
  ] as const) {
    for (let count = 0; count < limit / 8 && slots.length > 2; count++) {
      fill(others)
      for (let apart = 0; apart < 2; apart++) {
        const index = random.below(slots.length)
        const opposite = kind === 'two new' ? newest(slots[index]) : oldest(slots[index])
        combination.chosen[index] = random.below(2) === 0 ? opposite : any(slots[index])
      }
      if (fresh(kind)) yield combination
    }
  }
  for (let attempts = 0; attempts < limit * 2 && seen.size < limit; attempts++) {
    // Mostly old, half and half, mostly new; and sometimes every intermediate and torn content.
    const [weight, whole] = [1 + random.below(7), random.below(3) > 0]
    if (whole) fillMixed(combination.chosen, slots, weight, random)
    else fill(any)
    if (fresh('random')) yield combination
  }
}

/**
 * Branches on nothing but the slots that the recovery of an image has read (`wasRead`, asked after each): from all old and
 * all new outwards, one slot at a time. Returns true when nothing is left to branch on: then every image that was not made
 * recovers exactly as one that was, because they differ only where nobody looks.
 */
export function* lazyCombinations(
  slots: readonly Slot[],
  limit: number,
  wasRead: (slot: number) => boolean,
): Generator<Combination, boolean> {
  if (slots.some((slot) => slot.choices.length === 0)) return true
  const seen = new Set<number>()
  const waiting: number[][] = []
  const add = (chosen: number[]): void => {
    const key = keyOf(chosen)
    if (seen.has(key)) return
    seen.add(key)
    waiting.push(chosen)
  }
  add(slots.map((slot) => slot.choices[0]))
  add(slots.map((slot) => slot.newest))
  for (let made = 0; made < waiting.length; made++) {
    if (made === limit) return false
    yield { kind: 'what recovery reads', chosen: waiting[made] }
    // Read once, before the next image overwrites what was read; no more than can still be made.
    for (let index = 0; index < slots.length && waiting.length <= limit; index++) {
      if (slots[index].choices.length < 2 || !wasRead(index)) continue
      for (const choice of slots[index].choices) {
        if (choice === waiting[made][index]) continue
        const next = [...waiting[made]]
        next[index] = choice
        add(next)
      }
    }
  }
  return true
}

/** Newest in `eighths` of eight cases, else oldest. Hot: ten slots share a random word. */
function fillMixed(chosen: number[], slots: readonly Slot[], eighths: number, random: Random): void {
  let bits = 0
  for (let index = 0; index < slots.length; index++) {
    if (index % 10 === 0) bits = random.word()
    chosen[index] = (bits & 7) < eighths ? slots[index].newest : slots[index].choices[0]
    bits >>>= 3
  }
}

/** A hash of the choices; joining them to a string takes longer than recovering the image. */
function keyOf(chosen: readonly number[]): number {
  let a = 1
  let b = 2
  for (let index = 0; index < chosen.length; index++) {
    a = Math.imul(a ^ chosen[index], 0x9e3779b1)
    a ^= a >>> 15
    b = Math.imul((b + chosen[index]) | 0, 0x85ebca77)
    b ^= b >>> 13
  }
  return (a >>> 0) * 2 ** 21 + (b >>> 11)
}

function shuffledIndexes(length: number, random: Random): number[] {
  const indexes = Array.from({ length }, (_, index) => index)
  for (let index = length - 1; index > 0; index--) {
    const other = random.below(index + 1)
    ;[indexes[index], indexes[other]] = [indexes[other], indexes[index]]
  }
  return indexes
}

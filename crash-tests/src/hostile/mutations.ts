import { FIXED_MUTATIONS } from './fixed-mutations.js'
import type { HostileImage, Mutation } from './hostile-image.js'
import { LOG_MUTATIONS } from './log-mutations.js'
import { RAW_MUTATIONS } from './raw-mutations.js'
import { TREE_MUTATIONS } from './tree-mutations.js'

/** Groups are chosen with these weights, and every mutation of a group alike. */
const GROUPS: readonly { readonly weight: number; readonly mutations: readonly Mutation[] }[] = [
  { weight: 25, mutations: RAW_MUTATIONS },
  { weight: 15, mutations: FIXED_MUTATIONS },
  { weight: 45, mutations: TREE_MUTATIONS },
  { weight: 15, mutations: LOG_MUTATIONS },
]

export const MUTATION_NAMES = GROUPS.flatMap(({ mutations }) => mutations.map(({ name }) => name))

/** Applies one mutation, now and then several; returns their names. */
export function mutate(target: HostileImage): string[] {
  const names: string[] = []
  const wanted = target.chance(80) ? 1 : 2 + target.random.below(2)
  while (names.length < wanted) {
    const mutation = choose(target)
    // An image that has been truncated has no place for most of them any more.
    if (target.areas.has('length') && names.length > 0) break
    if (mutation.apply(target)) names.push(mutation.name)
  }
  return names
}

function choose(target: HostileImage): Mutation {
  let at = target.random.below(GROUPS.reduce((sum, { weight }) => sum + weight, 0))
  for (const { weight, mutations } of GROUPS) {
    if (at < weight) return mutations[target.random.below(mutations.length)]
    at -= weight
  }
  throw new Error('weights do not add up')
}

import { UsageError } from './options.js'
import type { Workload } from './workload.js'

/**
 * The workloads of a run. Without words: the goal rows, or all with `full`. A word that is an id means that workload,
 * whether it is a goal row or not; any other the workloads whose id contains it, of the goal rows if some do, else of
 * all (with `full`: of all anyway).
 *
 * @throws UsageError when a word means nothing
 */
export function selectWorkloads(
  all: readonly Workload[],
  words: readonly string[],
  full: boolean,
): readonly Workload[] {
  const goals = all.filter(({ suite }) => full || suite === 'goal')
  if (words.length === 0) return goals
  const chosen = new Set<Workload>()
  for (const word of words) {
    const exact = all.filter(({ id }) => id === word)
    const inGoals = goals.filter(({ id }) => id.includes(word))
    const matches = [exact, inGoals, all.filter(({ id }) => id.includes(word))].find((list) => list.length > 0)
    if (matches === undefined) {
      throw new UsageError(`no workload contains ${word}; there are ${all.map(({ id }) => id).join(', ')}`)
    }
    for (const workload of matches) chosen.add(workload)
  }
  return all.filter((workload) => chosen.has(workload))
}

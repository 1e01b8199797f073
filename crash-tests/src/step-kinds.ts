/** Every kind of transaction the workload makes, with how often it comes up. */
export const WEIGHTS = {
  putNew: 8,
  overwriteSame: 8,
  overwriteLarger: 4,
  overwriteSmaller: 4,
  delete: 6,
  severalKeys: 6,
  twoTrees: 5,
  ascendingRun: 2,
  deleteRun: 4,
  deleteMost: 1,
  largeValue: 5,
  replaceLargeValue: 4,
  abort: 3,
  nested: 6,
  nestedLargeValues: 3,
  touchEverything: 2,
  manyPages: 1,
  hugeValue: 1,
  dropLargeValues: 1,
  createKeyspace: 1,
  dropKeyspace: 1,
  clear: 1,
  reopen: 2,
  // Nothing to do under undo; scripts ask for it.
  checkpoint: 0,
} as const

export type StepKind = keyof typeof WEIGHTS

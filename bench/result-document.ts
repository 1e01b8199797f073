/** The JSON file of a run: everything the table was made from, so that other tools need not measure again. */
import type { Machine } from './machine.js'
import type { BenchOptions } from './options.js'
import type { Row } from './rows.js'
import type { WorkloadResult } from './run.js'

export const RESULT_VERSION = 1

export function resultDocument(
  started: Date,
  options: BenchOptions,
  machine: Machine,
  results: readonly WorkloadResult[],
  rows: readonly Row[],
): unknown {
  return {
    version: RESULT_VERSION,
    started: started.toISOString(),
    keys: options.keys,
    rounds: options.rounds,
    clock: options.clock,
    machine,
    rows: rows.map(({ workload, spec, ours, theirs, ratio, verdict }) => ({
      workload,
      ...spec,
      figure: ours ?? null,
      peerFigure: theirs ?? null,
      ratio: ratio ?? null,
      verdict,
    })),
    series: results.map(({ workload, series, notes, failures, elapsedMs }) => ({
      workload: workload.id,
      elapsedMs: Math.round(elapsedMs),
      subjects: Object.fromEntries([...series].map(([id, metrics]) => [id, Object.fromEntries(metrics)])),
      notes: Object.fromEntries(notes),
      failures: Object.fromEntries(failures),
    })),
  }
}

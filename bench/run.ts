/**
 * Runs workloads in rounds, the subjects of each taking turns: A B C, B C A, C A B, ... so that drift meets all of them
 * alike, and nobody always comes first.
 */
import type { JobRunner } from './fork-job.js'
import type { LatencyProfile, Measurement, Metric } from './jobs.js'
import { LEAST_ROUNDS } from './statistics.js'
import type { StoreFiles } from './store-files.js'
import { subjectOf } from './subjects.js'
import { Unavailable } from './unavailable.js'
import { RoundContext, type Workload } from './workload.js'

export interface RunSettings {
  readonly keys: number
  readonly rounds: number
  readonly files: StoreFiles
  readonly diskFiles: StoreFiles
  readonly jobs: JobRunner
  readonly report: (line: string) => void
  /** Asked before each round beyond the least number a ratio needs; true: the run has no time for more of this workload. */
  readonly late?: (workload: Workload) => boolean
}

export interface WorkloadResult {
  readonly workload: Workload
  /** By subject id, then metric: one figure for each round. */
  readonly series: ReadonlyMap<string, ReadonlyMap<Metric, readonly number[]>>
  /** Of the last round, by subject id. */
  readonly latencies: ReadonlyMap<string, LatencyProfile>
  readonly notes: ReadonlyMap<string, readonly string[]>
  /** Why subjects gave no figures though they should have. */
  readonly failures: ReadonlyMap<string, string>
  /** Why subjects were left out. */
  readonly skipped: ReadonlyMap<string, string>
  readonly elapsedMs: number
}

export const MACHINE = 'machine'

export async function runWorkload(workload: Workload, settings: RunSettings): Promise<WorkloadResult> {
  const { keys, files, diskFiles, jobs, report } = settings
  const started = performance.now()
  const rounds = Math.min(settings.rounds, workload.maxRounds ?? Infinity)
  const series = new Map<string, Map<Metric, number[]>>()
  const latencies = new Map<string, LatencyProfile>()
  const notes = new Map<string, readonly string[]>()
  const failures = new Map<string, string>()
  const skipped = new Map<string, string>()
  for (let round = 0; round < rounds; round++) {
    if (round >= LEAST_ROUNDS && settings.late?.(workload) === true) break
    const context = new RoundContext(keys, round, files, diskFiles, jobs)
    const checksums = new Map<string, number>()
    for (const id of turnsOf(workload.subjects, round)) {
      // One engine's failure must not cost the figures of the others.
      if (failures.has(id) || skipped.has(id)) continue
      try {
        const measurement = await measure(workload, context, id)
        collect(series, id, measurement)
        if (measurement.checksum !== undefined) checksums.set(id, measurement.checksum)
        if (measurement.notes !== undefined) notes.set(id, measurement.notes)
        if (measurement.latency !== undefined) latencies.set(id, measurement.latency)
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        series.delete(id)
        if (error instanceof Unavailable) skipped.set(id, message)
        else failures.set(id, message)
        report(`${workload.id}: ${error instanceof Unavailable ? `left out ${id}: ` : ''}${message}`)
      }
    }
    requireAgreement(workload, checksums)
  }
  return { workload, series, latencies, notes, failures, skipped, elapsedMs: performance.now() - started }
}

/** Each round begins with another subject. */
export function turnsOf(subjects: readonly string[], round: number): readonly string[] {
  if (subjects.length === 0) return [MACHINE]
  const first = round % subjects.length
  return [...subjects.slice(first), ...subjects.slice(0, first)]
}

function measure(workload: Workload, context: RoundContext, id: string): Promise<Measurement> {
  // Workloads without subjects measure the machine itself and only need a place for a file.
  return workload.measure(context, subjectOf(id === MACHINE ? 'msync-floor' : id))
}

function collect(series: Map<string, Map<Metric, number[]>>, id: string, { metrics }: Measurement): void {
  const ofSubject = series.get(id) ?? new Map<Metric, number[]>()
  series.set(id, ofSubject)
  for (const [metric, value] of Object.entries(metrics) as [Metric, number][]) {
    const rounds = ofSubject.get(metric) ?? []
    ofSubject.set(metric, rounds)
    rounds.push(value)
  }
}

/** Engines that were given the same work must have read the same. */
function requireAgreement(workload: Workload, checksums: ReadonlyMap<string, number>): void {
  if (new Set(checksums.values()).size <= 1) return
  const seen = [...checksums].map(([id, sum]) => `${id} ${String(sum)}`).join(', ')
  throw new Error(`${workload.id}: the engines did not read the same data: ${seen}`)
}

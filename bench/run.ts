/** Runs workloads in rounds, the subjects of each taking turns: A B C, A B C, ... so that drift meets all of them alike. */
import type { JobRunner } from './fork-job.js'
import type { Measurement, Metric } from './jobs.js'
import type { StoreFiles } from './store-files.js'
import { subjectOf } from './subjects.js'
import { RoundContext, type Workload } from './workload.js'

export interface RunSettings {
  readonly keys: number
  readonly rounds: number
  readonly files: StoreFiles
  readonly diskFiles: StoreFiles
  readonly jobs: JobRunner
  readonly report: (line: string) => void
}

export interface WorkloadResult {
  readonly workload: Workload
  /** By subject id, then metric: one figure for each round. */
  readonly series: ReadonlyMap<string, ReadonlyMap<Metric, readonly number[]>>
  readonly notes: ReadonlyMap<string, readonly string[]>
  /** Why subjects gave no figures. */
  readonly failures: ReadonlyMap<string, string>
  readonly elapsedMs: number
}

export const MACHINE = 'machine'

export async function runWorkload(workload: Workload, settings: RunSettings): Promise<WorkloadResult> {
  const { keys, files, diskFiles, jobs, report } = settings
  const started = performance.now()
  const rounds = Math.min(settings.rounds, workload.maxRounds ?? Infinity)
  const series = new Map<string, Map<Metric, number[]>>()
  const notes = new Map<string, readonly string[]>()
  const failures = new Map<string, string>()
  for (let round = 0; round < rounds; round++) {
    const context = new RoundContext(keys, round, files, diskFiles, jobs)
    const checksums = new Map<string, number>()
    for (const id of workload.subjects.length === 0 ? [MACHINE] : workload.subjects) {
      // One engine's failure must not cost the figures of the others.
      if (failures.has(id)) continue
      try {
        const measurement = await measure(workload, context, id)
        collect(series, id, measurement)
        if (measurement.checksum !== undefined) checksums.set(id, measurement.checksum)
        if (measurement.notes !== undefined) notes.set(id, measurement.notes)
      } catch (error) {
        failures.set(id, error instanceof Error ? error.message : String(error))
        series.delete(id)
        report(`${workload.id}: ${failures.get(id) as string}`)
      }
    }
    requireAgreement(workload, checksums)
  }
  return { workload, series, notes, failures, elapsedMs: performance.now() - started }
}

function measure(workload: Workload, context: RoundContext, id: string): Promise<Measurement> {
  // Workloads without subjects measure the machine itself and do not look at this argument.
  return workload.measure(context, subjectOf(id === MACHINE ? 'daxkv' : id))
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

/** Where the time goes in one workload: profiles daxkv's measured part and lists the functions with most self time. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Metric } from './jobs.js'
import type { RunSettings } from './run.js'
import { subjectOf } from './subjects.js'
import { RoundContext, type Workload } from './workload.js'

const TOP = 25

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface SelfTime {
  readonly name: string
  readonly share: number
}

export async function profileWorkload(workload: Workload, settings: RunSettings, directory: string): Promise<void> {
  const { keys, files, diskFiles, jobs, report } = settings
  const id = workload.subjects.find((name) => name.startsWith('daxkv'))
  if (id === undefined) throw new Error(`${workload.id} does not measure daxkv`)
  mkdirSync(directory, { recursive: true })
  const profileDir = join(directory, `${workload.id}-${new Date().toISOString().replaceAll(':', '-')}`)
  mkdirSync(profileDir)
  const context = new RoundContext(keys, 0, files, diskFiles, jobs, profileDir)
  const measurement = await workload.measure(context, subjectOf(id))
  const figures = (Object.entries(measurement.metrics) as [Metric, number][]).map(
    ([metric, value]) => `${metric} ${value.toFixed(3)}`,
  )
  report(`${workload.id}, ${id}: ${figures.join(', ')} (while profiled)`)
  for (const name of readdirSync(profileDir)) {
    const file = join(profileDir, name)
    report(file)
    const profile = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile
    for (const { name: what, share } of selfTimes(profile).slice(0, TOP)) {
      report(`${(share * 100).toFixed(1).padStart(6)} %  ${what}`)
    }
  }
}

/** Self time by function, largest first. */
export function selfTimes(profile: CpuProfile): SelfTime[] {
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const times = new Map<string, number>()
  let total = 0
  profile.samples.forEach((id, i) => {
    const name = names.get(id) ?? 'unknown'
    const elapsed = profile.timeDeltas[i] ?? 0
    times.set(name, (times.get(name) ?? 0) + elapsed)
    total += elapsed
  })
  return [...times]
    .map(([name, time]) => ({ name, share: total === 0 ? 0 : time / total }))
    .sort((a, b) => b.share - a.share)
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  if (functionName.startsWith('(')) return functionName
  // Functions of addons have no place, and share one name: the profiler knows them by an address that they share.
  const place =
    url === '' ? '(native)' : `${url.replace(/^.*\/(?=(?:src|bench|node_modules)\/)/, '')}:${lineNumber + 1}`
  return `${functionName === '' ? '(anonymous)' : functionName} ${place}`
}

import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector'

/** Sampling interval. Short, so that a measured part of a second still gives thousands of samples. */
const INTERVAL_US = 200

/** Records a CPU profile of the measured part only: `node --cpu-prof` would show start-up, keys and warm-up as well. */
export class MeasuredPartProfiler {
  private readonly session: Session | undefined

  constructor(private readonly directory: string | undefined) {
    if (directory === undefined) return
    this.session = new Session()
    this.session.connect()
    this.session.post('Profiler.enable')
    this.session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US })
  }

  start(): void {
    this.session?.post('Profiler.start')
  }

  /** Writes the profile. The in-process session answers before `post` returns. */
  stop(name: string): void {
    const { session, directory } = this
    if (session === undefined || directory === undefined) return
    session.post('Profiler.stop', (error, result) => {
      if (error !== null) throw error
      writeFileSync(`${directory}/${name}.cpuprofile`, JSON.stringify(result.profile))
    })
    session.disconnect()
  }
}

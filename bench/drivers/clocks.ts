import { readFileSync } from 'node:fs'

export interface Elapsed {
  readonly wallMs: number
  /** How long the work had a processor. */
  readonly cpuMs: number
}

const MAIN_THREAD = `/proc/self/task/${process.pid}/schedstat`
const waitCell = new Int32Array(new SharedArrayBuffer(4))

/**
 * Both clocks of a measured part. Synchronous engines work in the main thread, so that thread's time is taken: V8
 * compiling in the background is not the engine's work. Asynchronous engines work in threads of their own, so there it is
 * the time of all threads.
 */
export class Clocks {
  private readonly cpuStart: number
  private readonly wallStart: number

  constructor(private readonly sync: boolean) {
    this.cpuStart = cpuNowMs(sync)
    this.wallStart = performance.now()
  }

  elapsed(): Elapsed {
    const wallMs = performance.now() - this.wallStart
    return { wallMs, cpuMs: cpuNowMs(this.sync) - this.cpuStart }
  }
}

function cpuNowMs(sync: boolean): number {
  if (sync) {
    try {
      // The kernel brings the account up to date when the thread gives up the processor.
      Atomics.wait(waitCell, 0, 0, 0.01)
      return Number(readFileSync(MAIN_THREAD, 'latin1').split(' ')[0]) / 1e6
    } catch {
      // No such account in this kernel: the whole process will do.
    }
  }
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

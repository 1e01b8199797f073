/** Both clocks of a measured part: what the wall says, and how long the process had a processor. */
export class Clocks {
  private readonly cpuStart = process.cpuUsage()
  private readonly wallStart = performance.now()

  /** Milliseconds since this was made, by either clock. Processor time counts all threads of the process. */
  elapsed(): { readonly wallMs: number; readonly cpuMs: number } {
    const wallMs = performance.now() - this.wallStart
    const { user, system } = process.cpuUsage(this.cpuStart)
    return { wallMs, cpuMs: (user + system) / 1000 }
  }
}

/** A store that was not written to for this long is checkpointed. */
export const IDLE_CHECKPOINT_MS = 1000

/** What is watched. */
export interface IdleHost {
  /** Changes with every commit. */
  readonly sequence: number
  /** Whether a checkpoint would free anything. */
  wantsCheckpoint(): boolean
  inTransaction(): boolean
  checkpointWhenIdle(): void
}

/** A store that nobody writes to for a while is checkpointed, so that what is in the log does not wait for the next open. */
export class IdleCheckpoint {
  private timer: NodeJS.Timeout | undefined
  private sequence = 0

  constructor(private readonly host: IdleHost) {}

  /** Begins to watch, if there is anything to wait for; again and again until there is not. */
  watch(): void {
    const { host } = this
    if (this.timer !== undefined || !host.wantsCheckpoint()) return
    this.sequence = host.sequence
    this.timer = setTimeout(() => {
      this.timer = undefined
      if (!host.wantsCheckpoint()) return
      if (!host.inTransaction() && host.sequence === this.sequence) host.checkpointWhenIdle()
      this.watch() // again, if that one found no memory
    }, IDLE_CHECKPOINT_MS)
    this.timer.unref()
  }

  stop(): void {
    clearTimeout(this.timer)
    this.timer = undefined
  }
}

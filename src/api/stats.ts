import type { EngineStats } from '../tx/engine.js'

/** Sizes and counters of an open pool. */
export interface StoreStats extends EngineStats {
  /** Bytes of the pool: `capacityPages` pages of 4096 bytes. */
  readonly capacityBytes: number
  /** Keyspaces, the default one included. */
  readonly keyspaces: number
}

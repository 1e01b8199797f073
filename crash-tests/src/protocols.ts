import type { Granularity } from '../../src/pmem/persistent-memory.js'
import type { Logging } from '../../src/tx/committer.js'
import type { CrashModel } from './medium.js'

/**
 * The commit protocols, of which the granularity chooses between the two of redo: two slots (B) where a barrier is a fence, a
 * ring (C) where it is a wait for a disk.
 */
export type Protocol = 'undo' | 'slots' | 'ring'

export interface ProtocolFacts {
  /** Of docs/crash-testing.md. */
  readonly letter: 'A' | 'B' | 'C'
  readonly logging: Logging
  /** Recorded and recovered under it. */
  readonly granularity: Granularity
  /** What is made durable by a fence alone is none of the page model's business, and the other way round. */
  readonly models: readonly CrashModel[]
}

export const PROTOCOLS: Readonly<Record<Protocol, ProtocolFacts>> = {
  undo: { letter: 'A', logging: 'undo', granularity: 'cache-line', models: ['cache-line', 'byte', 'kill', 'page'] },
  slots: { letter: 'B', logging: 'redo', granularity: 'cache-line', models: ['cache-line', 'byte', 'kill'] },
  ring: { letter: 'C', logging: 'redo', granularity: 'page', models: ['page', 'kill'] },
}

export const ALL_PROTOCOLS: readonly Protocol[] = ['undo', 'slots', 'ring']

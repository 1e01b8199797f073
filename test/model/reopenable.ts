/** Pools that the model tests open again and again, after a close or as a killed process would have left them. */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Granularity } from '../../src/pmem/persistent-memory.js'
import { Engine } from '../../src/tx/engine.js'
import { type KeptMemory, simulatedMemory } from '../api/support.js'

export interface Reopenable {
  /** Opens what is there now: after a close the closed pool, else the one a kill of the last owner would leave. */
  open(): Engine
  dispose(): void
}

const MEMORY_BYTES = 4 * 2 ** 20
/** A redo record must fit the ring; an undo record may overflow, and shall. */
const LOG_BYTES = { byte: 64 * 1024, 'cache-line': 64 * 1024, page: 2 ** 20 }

export function simulatedPool(granularity: Granularity): Reopenable {
  let memory: KeptMemory | undefined
  return {
    open() {
      memory =
        memory === undefined
          ? simulatedMemory(undefined, MEMORY_BYTES, granularity)
          : simulatedMemory(memory.image(), undefined, granularity)
      return Engine.open('model.pool', { memory, logSizeBytes: LOG_BYTES[granularity] })
    },
    dispose() {
      // Plain memory.
    },
  }
}

/** A real file under the portable executor, in small segments: its windows are mapped anew at nearly every growth. */
export function portablePool(): Reopenable {
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'daxkv-model-'))
  let generation = 0
  let engine: Engine | undefined
  const path = (): string => join(directory, `${generation}.pool`)
  return {
    open() {
      if (engine !== undefined) {
        // What the page cache holds is what a kill would leave; a closed engine ignores the second close.
        const before = path()
        generation++
        copyFileSync(before, path())
        engine.close()
        rmSync(before)
      }
      engine = Engine.open(path(), {
        executor: 'portable',
        initialSizeBytes: 2 ** 20,
        logSizeBytes: 2 ** 19,
        growthStepBytes: 2 ** 18,
        segmentBytes: 2 ** 20,
      })
      return engine
    },
    dispose() {
      engine?.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

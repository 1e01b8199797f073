import type { PersistentMemory } from '../../src/pmem/persistent-memory.js'
import { Engine } from '../../src/tx/engine.js'
import type { EngineOptions } from '../../src/tx/engine.js'
import type { Random } from './random.js'

/** Opens an engine whose salts can be repeated. */
export function openEngine(
  memory: PersistentMemory,
  random: Random,
  growthStepPages = 8,
  options: EngineOptions = {},
): Engine {
  return Engine.open('crash-test', {
    memory,
    random: (words) => {
      for (let index = 0; index < words.length; index++) words[index] = random.word()
    },
    logSizeBytes: LOG_PAGES * 4096,
    growthStepBytes: growthStepPages * 4096,
    maxSizeBytes: 512 * 4096,
    ...options,
  })
}

/** Pages of the log where nothing else is said: some transactions overflow it. */
export const LOG_PAGES = 4
export const SEGMENT_SHIFT = 8

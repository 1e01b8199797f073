import type { MemoryView } from '../../src/pmem/memory-view.js'
import xxhash from 'xxhash-wasm'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import type { SimulatedMemoryOptions } from '../../src/pmem/simulated-memory.js'
import { STAGING_CHUNK_FRAMES, STAGING_CHUNK_SHIFT } from '../../src/pmem/persistent-memory.js'
import type { PersistentMemory } from '../../src/pmem/persistent-memory.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'
import { ready } from '../../src/pmem/xxh64.js'

const reference = await xxhash()
await ready

/** XXH64 straight from xxhash-wasm, as the expected value beside the production path. */
export function referenceHash(bytes: Uint8Array, seedLo = 0, seedHi = 0): bigint {
  return reference.h64Raw(bytes, (BigInt(seedHi) << 32n) | BigInt(seedLo))
}

/** A small pool of `pages` pages with four pages a segment and one staging chunk. */
export function smallPool(pages = 10, options: Partial<SimulatedMemoryOptions> = {}): SimulatedMemory {
  const memory = new SimulatedMemory({ sizeBytes: pages * PAGE_BYTES, segmentShift: 2, ...options })
  memory.addStagingChunk()
  return memory
}

export function run(memory: PersistentMemory, ...words: number[]): void {
  memory.reserveProgram(words.length)
  memory.program.set(words)
  memory.run(words.length)
}

/** The bytes of one staged page. */
export function frame(memory: PersistentMemory, index: number): Buffer {
  const start = (index % STAGING_CHUNK_FRAMES) * PAGE_BYTES
  return memory.stagingChunks[index >>> STAGING_CHUNK_SHIFT].u8.subarray(start, start + PAGE_BYTES)
}

/** The bytes of one page of the pool. */
export function page(memory: PersistentMemory, pageId: number): Buffer {
  const inSegment = pageId % (1 << memory.segmentShift)
  const index = pageId >>> memory.segmentShift
  const { u8 } = (memory.segments[index] as MemoryView | undefined) ?? memory.mapSegment(index)
  return u8.subarray(inSegment * PAGE_BYTES, (inSegment + 1) * PAGE_BYTES)
}

/** Bytes that differ everywhere and from those of other seeds. */
export function pattern(byteLength: number, seed: number): Buffer {
  const bytes = Buffer.alloc(byteLength)
  let state = (seed * 2654435761 + 1) >>> 0
  for (let index = 0; index < byteLength; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[index] = state >>> 24
  }
  return bytes
}

/** Checksum a page should carry, computed the slow and obvious way. */
export function referenceChecksum(pageId: number, bytes: Uint8Array): bigint {
  const copy = Buffer.from(bytes)
  copy.fill(0, 0, 8)
  let sum = 0n
  for (let line = 0; line < 64; line++)
    sum ^= referenceHash(copy.subarray(line * 64, line * 64 + 64), pageId * 64 + line)
  return sum
}

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { DaxkvError } from '../../src/errors.js'
import type { DaxkvErrorCode } from '../../src/errors.js'
import { zeroFill } from '../../src/pmem/native-file.js'
import type { MemoryView } from '../../src/pmem/memory-view.js'
import { NativeMemory } from '../../src/pmem/native-memory.js'
import type { NativeMemoryOptions } from '../../src/pmem/native-memory.js'
import { PAGE_BYTES } from '../../src/pmem/program.js'

/** Folders to test in: memory that stands in for the persistent medium, and a disk. */
export const FOLDERS = [...(fs.existsSync('/dev/shm') ? ['/dev/shm'] : []), os.tmpdir()]

export interface TestPool {
  readonly memory: NativeMemory
  readonly file: string
  /** A descriptor of the test's own, to look at the file and to damage it. */
  readonly fd: number
}

export type TestPoolOptions = Partial<NativeMemoryOptions> & { readonly pages?: number; readonly folder?: string }

/** Opens a fresh pool whose page p starts with the bytes p, p + 1, ...; closes and removes everything afterwards. */
export async function withPool(options: TestPoolOptions, use: (pool: TestPool) => void | Promise<void>): Promise<void> {
  const { pages = 32, folder = FOLDERS[0], ...rest } = options
  const directory = fs.mkdtempSync(path.join(folder, 'daxkv-native-'))
  const file = path.join(directory, 'pool')
  const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT)
  try {
    zeroFill(fd, file, 0, pages * PAGE_BYTES)
    for (let page = 0; page < pages; page++) {
      fs.writeSync(
        fd,
        Uint8Array.from({ length: 256 }, (_, i) => page + i),
        0,
        256,
        page * PAGE_BYTES,
      )
    }
    const memory = NativeMemory.open(fs.openSync(file, rest.readOnly === true ? 'r' : 'r+'), {
      path: file,
      sizeBytes: pages * PAGE_BYTES,
      segmentShift: 18,
      readOnly: false,
      ...rest,
    })
    try {
      if (rest.readOnly !== true) memory.addStagingChunk()
      await use({ memory, file, fd })
    } finally {
      memory.close()
    }
  } finally {
    fs.closeSync(fd)
    fs.rmSync(directory, { recursive: true })
  }
}

/** The file's bytes as another reader sees them. */
export function readFilePage(fd: number, pageId: number): Buffer {
  const bytes = Buffer.alloc(PAGE_BYTES)
  fs.readSync(fd, bytes, 0, PAGE_BYTES, pageId * PAGE_BYTES)
  return bytes
}

/** The staging frame of that number. */
export function stagingFrame(memory: NativeMemory, frame: number): Buffer {
  return memory.stagingChunks[frame >>> 7].u8.subarray((frame & 127) * PAGE_BYTES, ((frame & 127) + 1) * PAGE_BYTES)
}

export function runWords(memory: NativeMemory, words: readonly number[]): void {
  memory.reserveProgram(words.length)
  memory.program.set(words)
  memory.run(words.length)
}

/** For assert.throws: an error of the family with this code. */
export function hasCode(code: DaxkvErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof DaxkvError && error.code === code
}

/** Small deterministic generator, so that a failing seed can be repeated. */
export function randomWords(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}

/** A mapped segment, made visible if nothing has needed it yet. */
export function segmentOf(memory: NativeMemory, index: number): MemoryView {
  return memory.segments[index] ?? memory.mapSegment(index)
}

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { storeOn } from '../../src/api/open.js'
import { DaxkvError, open as openStore, type DaxkvErrorCode, type Store, type StoreOptions } from '../../src/index.js'
import type { Granularity } from '../../src/pmem/persistent-memory.js'
import { SimulatedMemory } from '../../src/pmem/simulated-memory.js'
import { Engine, type EngineOptions } from '../../src/tx/engine.js'

/** Set by portable.test.ts, which runs the tests of this folder once more: `portable`. Else the default executor runs. */
export const EXECUTOR = process.env['DAXKV_TEST_EXECUTOR'] as 'portable' | undefined

let filesForMemory: string | undefined
let fileCount = 0

/** In place of `:memory:`, which has an executor of its own. */
function fileForMemory(): string {
  if (filesForMemory === undefined) {
    const directory = mkdtempSync(join(scratchParent(), 'daxkv-api-'))
    process.on('exit', () => {
      rmSync(directory, { recursive: true, force: true })
    })
    filesForMemory = directory
  }
  return join(filesForMemory, `${++fileCount}.pool`)
}

/** `open` with the executor under test, also for what tests want in memory. */
export const open: typeof openStore = (path: string, options?: StoreOptions): never => {
  // Memory stores are never read-only; what is no object is a test of the argument check.
  const isChecked = (options !== undefined && Object(options) !== options) || (path === ':memory:' && options?.readOnly)
  if (EXECUTOR === undefined || isChecked === true) return openStore(path, options) as never
  if (path !== ':memory:') return openStore(path, { executor: EXECUTOR, ...options }) as never
  const small = { executor: EXECUTOR, initialSizeBytes: 2 ** 20, logSizeBytes: 2 ** 18 }
  return openStore(fileForMemory(), { ...small, ...options }) as never
}

function scratchParent(): string {
  return existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
}

/** A store in memory, closed when the test ends. */
export function memoryStore(t: TestContext): Store
export function memoryStore<K extends string, V>(t: TestContext, options: StoreOptions): Store<K, V>
export function memoryStore(t: TestContext, options: StoreOptions = {}): unknown {
  const store = open(':memory:', options)
  t.after(() => {
    store.close()
  })
  return store
}

/** A path for a pool file, in memory where the machine has such a file system; removed when the test ends. */
export function poolPath(t: TestContext): string {
  const directory = mkdtempSync(join(scratchParent(), 'daxkv-api-'))
  t.after(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  return join(directory, 'test.pool')
}

/** Simulated memory that can still be read when it has been closed. */
export class KeptMemory extends SimulatedMemory {
  private kept: Buffer | undefined

  override close(): void {
    this.kept ??= super.image()
    super.close()
  }

  override image(): Buffer {
    return this.kept ?? super.image()
  }
}

/** Simulated memory of a pool, small enough to be copied often. */
export function simulatedMemory(
  image?: Uint8Array,
  sizeBytes = 512 * 1024,
  granularity: Granularity = 'cache-line',
): KeptMemory {
  return new KeptMemory({
    sizeBytes: image?.length ?? sizeBytes,
    segmentShift: 12,
    granularity,
    ...(image === undefined ? {} : { image }),
  })
}

/** A store on memory of the test's own, so that its image can be opened again. */
export function storeOnMemory(memory: SimulatedMemory, options: EngineOptions = {}): Store {
  return storeOn(Engine.open('test.pool', { logSizeBytes: 64 * 1024, ...options, memory })) as Store
}

/** Asserts that a call throws a DaxkvError of this code, whose message matches. */
export function throwsCode(action: () => unknown, code: DaxkvErrorCode, message: RegExp = /./): DaxkvError {
  let thrown: unknown
  try {
    action()
  } catch (error) {
    thrown = error
  }
  assert.ok(
    thrown instanceof DaxkvError,
    `expected ${code}, got ${thrown instanceof Error ? thrown.stack : String(thrown)}`,
  )
  assert.equal(thrown.code, code, thrown.stack)
  assert.match(thrown.message, message)
  return thrown
}

/** Keys, values and their order, made before the clock starts; the same for every engine. */
import { rmSync } from 'node:fs'
import { KeyMaker, mix, shuffledOrder, ValueMaker, type Key } from '../data.js'
import type { EngineOpener } from '../engines/open-engine.js'
import type { Operation, StoreJob, Target } from '../jobs.js'
import type { Subject } from '../subjects.js'

/** `bench/native/driver.h` has the same. */
const ROUND_SEED = 0x20bd

export interface Inputs {
  readonly keys: readonly Key[]
  /** Empty where nothing is put. */
  readonly values: readonly unknown[]
}

interface InputRequest extends StoreJob {
  readonly operation: Operation
  readonly target?: Target
  readonly hotKeys?: number
}

export function isPut(operation: Operation): boolean {
  return operation === 'put' || operation === 'transaction' || operation === 'group'
}

export function makeInputs(job: InputRequest, count: number): Inputs {
  const { operation, target, round } = job
  const keyMaker = new KeyMaker(job.keys, job.keyKind)
  const put = isPut(operation)
  if (put && target === undefined) throw new Error(`${operation} without a target`)
  const oncePerKey = operation === 'remove' || (put && target !== 'existing')
  if (oncePerKey && count > job.keys) {
    throw new RangeError(`${operation}: ${String(count)} distinct keys asked of ${String(job.keys)}`)
  }
  const indexOf = indexPicker(job)
  const absent = operation === 'miss' || (put && target === 'new')
  const version = put && target === 'existing' ? 1 + round : 0
  const valueMaker = put ? new ValueMaker(job.values, job.valueBytes) : undefined
  const keys: Key[] = []
  const values: unknown[] = []
  for (let i = 0; i < count; i++) {
    const index = indexOf(i)
    keys.push(absent ? keyMaker.missing(index) : keyMaker.present(index))
    if (valueMaker !== undefined) values.push(valueMaker.value(index, version))
  }
  return { keys, values }
}

function indexPicker({ keys, round, hotKeys }: InputRequest): (i: number) => number {
  // Without an array as long as the data set, which would show in the memory of the process.
  if (hotKeys !== undefined) return (i) => mix(i % hotKeys, ROUND_SEED + round) % keys
  const order = shuffledOrder(keys, ROUND_SEED + round)
  return (i) => order[i % keys]
}

/** Longest time for each pass of it: an engine that has not warmed up by then has other costs than its code. */
const WARM_UP_LIMIT_MS = 3000

/**
 * Fills another store first and then, where that is what is measured, overwrites or removes what it holds; `together` puts at a
 * time (1: single ones).
 */
export async function warmUpElsewhere(
  openEngine: EngineOpener,
  job: StoreJob,
  operation: Operation,
  target: Target = 'empty',
  together = 1,
): Promise<void> {
  if (job.warmUp === undefined) return
  const { path, puts } = job.warmUp
  const put = operation === 'remove' ? 'put' : operation
  const { keys, values } = makeInputs({ ...job, operation: put, target: 'empty' }, puts)
  const opened = await openEngine({ ...job, path })
  const { engine } = opened
  const passes = operation === 'remove' ? [put, operation] : target === 'existing' ? [put, put] : [put]
  for (const pass of passes) {
    const end = performance.now() + WARM_UP_LIMIT_MS
    for (let i = 0; i + together <= puts && performance.now() < end; i += together) {
      if (pass === 'group') await engine.putTogether(keys, values, i, i + together)
      else if (pass === 'transaction') await engine.putMany(keys, values, i, i + together)
      else if (pass === 'remove') await engine.remove(keys[i])
      else if (opened.sync) opened.engine.put(keys[i], values[i])
      else await opened.engine.put(keys[i], values[i])
    }
  }
  await engine.close()
}

/** A path beside the store; lmdb makes a single file only when the path has an extension. */
export function warmUpPath(subject: Subject, path: string): string {
  return `${path}.warmup${subject.engine === 'level' ? '' : '.mdb'}`
}

export function removeStore(path: string): void {
  for (const suffix of ['', '-lock', '-wal', '-shm']) rmSync(path + suffix, { recursive: true, force: true })
}

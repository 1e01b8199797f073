/**
 * The kinds of work that power is cut under. Each is a sequence of steps that follows from a seed alone: the writer
 * executes them one by one, and whoever finds the pool later knows what it must hold after any number of them.
 */
import type { Keyspace, Store, StoreOptions } from '../../../src/index.js'
import { Random } from '../../src/random.js'

/** One change; `space` is the index of a keyspace. */
export type Operation =
  | { readonly type: 'put'; readonly space: number; readonly key: string; readonly value: Buffer }
  | { readonly type: 'delete'; readonly space: number; readonly key: string }
  /** All keys that begin so. */
  | { readonly type: 'deletePrefix'; readonly space: number; readonly key: string }

/** One step: what becomes durable together. */
export interface Step {
  readonly operations: readonly Operation[]
  /** Done in a savepoint in the middle of the transaction and taken back. */
  readonly abandoned?: readonly Operation[]
}

export type Space = Keyspace<string, Buffer>

export interface Mode {
  readonly name: string
  readonly options: StoreOptions
  readonly step: (random: Random, index: number) => Step
  /**
   * Makes a step durable, and returns when it is; a promise for the asynchronous modes, which then have several steps
   * under way. Default: one call for a single operation, a transaction for more.
   */
  readonly commit?: (store: Store, spaces: readonly Space[], step: Step) => Promise<unknown>
  /** Steps under way at a time; default 1. */
  readonly concurrency?: number
  /** Closes and opens the pool every so many steps. */
  readonly reopenEvery?: number
  /**
   * After so many steps the file is cloned (XFS), so that its extents are shared: `closed`, the work goes on in the clone;
   * `open`, somebody clones it while it is in use.
   */
  readonly clone?: { readonly after: number; readonly when: 'closed' | 'open' }
}

const SPACES = ['first', 'second']
const MIB = 1024 * 1024

export const MODES: readonly Mode[] = [
  {
    name: 'puts',
    options: {},
    step: (random) => ({ operations: [put(random, 0, `key ${random.below(400)}`)] }),
  },
  {
    name: 'transactions',
    options: { initialSizeBytes: 2 * MIB, growthStepBytes: MIB },
    step: (random) => transaction(random, 300),
  },
  {
    name: 'deletes',
    options: { initialSizeBytes: 2 * MIB, growthStepBytes: MIB },
    step: deletes,
  },
  {
    // Ever new keys and long values: the file is extended every few steps.
    name: 'growth',
    options: { initialSizeBytes: MIB, growthStepBytes: 128 * 1024 },
    step: (random, index) =>
      // Emptied at 20 MiB or so, to grow through reused space too
      index % 1500 === 0
        ? { operations: [{ type: 'deletePrefix', space: 0, key: '' }] }
        : {
            operations: [{ type: 'put', space: 0, key: `${index}`, value: bytes(random, 4000 + random.below(20_000)) }],
          },
  },
  {
    // The redo log with a ring so short that a checkpoint comes every few transactions, and some do not fit it.
    name: 'checkpoint',
    options: { logging: 'redo', initialSizeBytes: 2 * MIB, growthStepBytes: MIB, logSizeBytes: 64 * 1024 },
    step: (random) => transaction(random, 600),
  },
  {
    // Small in everything, for cuts at each system call of creation and growth
    name: 'steps',
    options: { initialSizeBytes: 512 * 1024, growthStepBytes: 128 * 1024, logSizeBytes: 32 * 1024 },
    step: (random, index) => ({
      operations: [{ type: 'put', space: 0, key: `${index}`, value: bytes(random, 20_000) }],
    }),
  },
  {
    name: 'reopen',
    options: { initialSizeBytes: MIB, growthStepBytes: MIB },
    reopenEvery: 7,
    step: (random) => transaction(random, 100),
  },
  {
    // Asynchronous batches, eight under way: under granularity page they become durable in groups.
    name: 'group',
    options: { initialSizeBytes: 2 * MIB, growthStepBytes: MIB, logSizeBytes: 256 * 1024 },
    concurrency: 8,
    commit: (_store, spaces, step) => batchAsync(spaces, step),
    step: (random) => inOneSpace(transaction(random, 300)),
  },
  {
    // Relaxed commits, acknowledged when a flush asked for afterwards has come back.
    name: 'relaxed',
    options: { initialSizeBytes: 2 * MIB, growthStepBytes: MIB, logSizeBytes: 256 * 1024, durability: 'relaxed' },
    concurrency: 12,
    commit: commitRelaxed,
    step: (random) => transaction(random, 300),
  },
  {
    name: 'reflinked',
    options: { initialSizeBytes: MIB, growthStepBytes: MIB },
    clone: { after: 40, when: 'closed' },
    step: (random) => transaction(random, 300),
  },
  {
    name: 'reflinked-open',
    options: { initialSizeBytes: MIB, growthStepBytes: MIB },
    clone: { after: 40, when: 'open' },
    step: (random) => transaction(random, 300),
  },
]

export function modeOf(name: string): Mode {
  const mode = MODES.find((candidate) => candidate.name === name)
  if (mode === undefined) throw new Error(`no mode ${name}`)
  return mode
}

/** The step with that index, from 1. */
export function stepOf(mode: Mode, seed: number, index: number): Step {
  return mode.step(new Random(Math.imul(seed, 0x9e3779b1) + Math.imul(index, 0x85ebca6b)), index)
}

export function spacesOf(store: Store): Space[] {
  return SPACES.map((name) => store.keyspace(name, { keyEncoding: 'utf8', valueEncoding: 'binary' }))
}

/** Executes a step on the store; durable when it returns. */
export function commitStep(store: Store, spaces: readonly Space[], step: Step): void {
  const { operations, abandoned } = step
  if (operations.length === 1 && abandoned === undefined) {
    applyTo(spaces, operations[0])
    return
  }
  store.transaction(() => {
    const half = operations.length >>> 1
    operations.forEach((operation, at) => {
      if (at === half && abandoned !== undefined) takeBack(store, spaces, abandoned)
      applyTo(spaces, operation)
    })
  })
}

/** All operations of the step, which are in one keyspace; the promise resolves when they are durable. */
function batchAsync(spaces: readonly Space[], { operations }: Step): Promise<void> {
  return spaces[operations[0].space].batchAsync(
    operations.map((operation) => {
      if (operation.type === 'put') return { type: 'put', key: operation.key, value: operation.value }
      if (operation.type === 'delete') return { type: 'del', key: operation.key }
      throw new Error('a batch has no deletion of a prefix')
    }),
  )
}

class TakenBack extends Error {}

function takeBack(store: Store, spaces: readonly Space[], operations: readonly Operation[]): void {
  try {
    store.transaction(() => {
      for (const operation of operations) applyTo(spaces, operation)
      throw new TakenBack()
    })
  } catch (error) {
    if (!(error instanceof TakenBack)) throw error
  }
}

export function applyTo(spaces: readonly Space[], operation: Operation): void {
  const space = spaces[operation.space]
  if (operation.type === 'put') space.put(operation.key, operation.value)
  else if (operation.type === 'delete') space.delete(operation.key)
  else if (operation.key === '') space.clear()
  else space.deleteRange({ prefix: operation.key })
}

/** A few changes in both keyspaces, some deletions, sometimes a savepoint taken back. */
function transaction(random: Random, keys: number): Step {
  const operations: Operation[] = []
  for (let count = 2 + random.below(10); count > 0; count--) operations.push(change(random, keys))
  if (random.below(10) > 0) return { operations }
  return { operations, abandoned: [change(random, keys), change(random, keys)] }
}

function change(random: Random, keys: number): Operation {
  const space = random.below(2)
  const key = `key ${random.below(keys)}`
  return random.below(5) === 0 ? { type: 'delete', space, key } : put(random, space, key)
}

/** Acknowledged when all that was committed up to here is durable. */
function commitRelaxed(store: Store, spaces: readonly Space[], step: Step): Promise<void> {
  commitStep(store, spaces, step)
  return store.flush()
}

function inOneSpace({ operations }: Step): Step {
  return { operations: operations.map((operation) => ({ ...operation, space: operations[0].space })) }
}

/** Fills groups of keys and removes them, singly and at once. */
function deletes(random: Random): Step {
  const group = `${random.below(6)} `
  const space = random.below(2)
  const choice = random.below(8)
  if (choice === 0) return { operations: [{ type: 'deletePrefix', space, key: group }] }
  const operations: Operation[] = []
  for (let count = 20; count > 0; count--) {
    const key = `${group}${random.below(100)}`
    operations.push(choice < 4 ? { type: 'delete', space, key } : put(random, space, key))
  }
  return { operations }
}

/** Mostly short values, some of several pages. */
function put(random: Random, space: number, key: string): Operation {
  const choice = random.below(200)
  const length = choice === 0 ? 90_000 : choice < 8 ? 3000 + random.below(15_000) : 1 + random.below(250)
  return { type: 'put', space, key, value: bytes(random, length) }
}

function bytes(random: Random, length: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4))
  let word = random.word()
  for (let at = 0; at < words.length; at++) {
    words[at] = word
    word = (Math.imul(word, 0x9e3779b1) + 0x7f4a7c15) | 0
  }
  return Buffer.from(words.buffer, 0, length)
}

/** What the commands share: their options, and how they get at a pool and a keyspace. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  type AnyKey,
  DaxkvError,
  type Keyspace,
  type KeyEncoding,
  type KeyspaceInfo,
  type KeyspaceOptions,
  open,
  type Store,
  type ValueEncoding,
} from '../index.js'
import { CliError } from './cli-error.js'
import { formatBytes, plural } from './layout.js'

const KEY_ENCODINGS: readonly KeyEncoding[] = ['ordered', 'utf8', 'binary', 'uint32']
const VALUE_ENCODINGS: readonly ValueEncoding[] = ['msgpack', 'json', 'string', 'binary']

export interface BaseOptions {
  readonly json?: true
  readonly verbose?: true
}

export interface KeyspaceChoice {
  readonly keyspace?: string
  readonly keyEncoding?: KeyEncoding
  readonly valueEncoding?: ValueEncoding
}

export interface ReadOptions extends BaseOptions, KeyspaceChoice {
  readonly recover?: true
}

export interface WriteOptions extends BaseOptions, KeyspaceChoice {
  readonly create: boolean
}

export type AnyKeyspace = Keyspace<AnyKey, unknown>

export function addBaseOptions(command: Command): Command {
  return command
    .option('--json', 'print JSON, one object a line')
    .option('--verbose', 'print the stack trace of an error, and its cause')
}

export function addKeyspaceOptions(command: Command, mayCreate: boolean): Command {
  const when = mayCreate ? 'used if the keyspace is new' : 'fail if it is another one'
  return command
    .option('-k, --keyspace <name>', 'keyspace to use (default: the one without a name)')
    .addOption(new Option('--key-encoding <encoding>', `encoding of the keys; ${when}`).choices(KEY_ENCODINGS))
    .addOption(new Option('--value-encoding <encoding>', `encoding of the values; ${when}`).choices(VALUE_ENCODINGS))
}

export function addReadOptions(command: Command): Command {
  return command.option('--recover', 'recover the pool first if it was not closed cleanly (opens it for writing)')
}

export function addWriteOptions(command: Command): Command {
  return command.option('--no-create', 'fail if the pool or the keyspace does not exist')
}

export function parseCount(text: string): number {
  const count = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(count)) return count
  throw new InvalidArgumentError('It must be a whole number, 0 or more.')
}

/** Opens a pool without changing it; with `recover` one that was not closed cleanly is opened for writing instead. */
export function openForReading(path: string, options: ReadOptions): Store {
  try {
    return open(path, { readOnly: true })
  } catch (error) {
    if (!(error instanceof DaxkvError) || error.code !== 'NEEDS_RECOVERY') throw error
    if (options.recover === true) return openForWriting(path, { create: false })
    throw new DaxkvError('NEEDS_RECOVERY', `${error.message}; --recover does that and goes on`, { path, cause: error })
  }
}

/** Opens a pool for writing, and says so on standard error when that has recovered or created it. */
export function openForWriting(path: string, options: WriteOptions): Store {
  try {
    const store = open(path, { create: false })
    noteRecovery(store)
    return store
  } catch (error) {
    if (!(error instanceof DaxkvError) || error.code !== 'POOL_NOT_FOUND' || !options.create) throw error
  }
  // The encodings of the unnamed keyspace are settled when the pool is created.
  const store = open(path, (options.keyspace ?? '') === '' ? encodingsOf(options) : {})
  note(`created ${path} (${formatBytes(store.stats().capacityBytes)})`)
  return store
}

/** The keyspace the options name, if the pool has it. */
export function existingKeyspace(store: Store, options: KeyspaceChoice): AnyKeyspace {
  const name = options.keyspace ?? ''
  if (name !== '' && !hasKeyspace(store, name)) throw noSuchKeyspace(store, name)
  return keyspaceNamed(store, name, options)
}

/** The keyspace the options name, created if need be and allowed. */
export function keyspaceForWriting(store: Store, name: string, options: WriteOptions): AnyKeyspace {
  const isNew = name !== '' && !hasKeyspace(store, name)
  if (isNew && !options.create) throw noSuchKeyspace(store, name)
  const keyspace = keyspaceNamed(store, name, options)
  if (isNew) note(`created keyspace ${name} (keys ${keyspace.keyEncoding}, values ${keyspace.valueEncoding})`)
  return keyspace
}

/** What opening the pool had to repair; undefined when it had been closed cleanly. */
export function describeRecovery(store: Store): string | undefined {
  const { outcome, txid, lines } = store.stats().recovery
  switch (outcome) {
    case 'clean':
      return undefined
    case 'nothing':
      return 'no transaction was under way, nothing to repair'
    case 'finished':
      return `transaction ${txid} was complete, ${plural(lines, 'cache line')} made durable again`
    case 'rolled-back':
      return `transaction ${txid} was torn and is rolled back, ${plural(lines, 'cache line')} restored`
    case 'replayed':
      return `the log up to transaction ${txid} was applied again, ${plural(lines, 'cache line')} stored`
  }
}

export function showKeyspace(name: string): string {
  return name === '' ? '(unnamed)' : name
}

export function describeKeyspace(name: string): string {
  return name === '' ? 'the unnamed keyspace' : `keyspace ${name}`
}

/** A line for people beside the output. */
export function note(text: string): void {
  process.stderr.write(`daxkv: ${text}\n`)
}

function noteRecovery(store: Store): void {
  const text = describeRecovery(store)
  if (text !== undefined) note(`${store.path} was not closed cleanly; ${text}`)
}

function hasKeyspace(store: Store, name: string): boolean {
  return store.keyspaces().some((info) => info.name === name)
}

function keyspaceNamed(store: Store, name: string, options: KeyspaceChoice): AnyKeyspace {
  if (name !== '') return store.keyspace<AnyKey, unknown>(name, encodingsOf(options))
  for (const [what, wanted, actual] of [
    ['keys', options.keyEncoding, store.keyEncoding],
    ['values', options.valueEncoding, store.valueEncoding],
  ] as const) {
    if (wanted === undefined || wanted === actual) continue
    throw new DaxkvError(
      'ENCODING_MISMATCH',
      `the ${what} of the unnamed keyspace of ${store.path} are ${actual}, not ${wanted}`,
    )
  }
  return store // its key type depends on the pool
}

function noSuchKeyspace(store: Store, name: string): CliError {
  const names = store
    .keyspaces()
    .map((info: KeyspaceInfo) => info.name)
    .filter((known) => known !== '')
  const others = names.length === 0 ? 'it has none with a name' : `it has ${names.join(', ')}`
  return new CliError('KEYSPACE_NOT_FOUND', `${store.path} has no keyspace ${JSON.stringify(name)}; ${others}`)
}

function encodingsOf(options: KeyspaceChoice): KeyspaceOptions {
  return {
    ...(options.keyEncoding === undefined ? {} : { keyEncoding: options.keyEncoding }),
    ...(options.valueEncoding === undefined ? {} : { valueEncoding: options.valueEncoding }),
  }
}

import { KEY_ENCODINGS } from '../codec/key-codec.js'
import { VALUE_ENCODINGS } from '../codec/value-codec.js'
import { DaxkvError } from '../errors.js'
import { type CheckedOptions, checkOptions } from '../options.js'
import type { Granularity } from '../pmem/persistent-memory.js'
import { Catalog } from '../tree/catalog.js'
import { Engine, type EngineOptions } from '../tx/engine.js'
import { checkPath } from './arguments.js'
import { DURABILITIES, StoreContext, withPath } from './context.js'
import { Keyspaces, type WantedEncodings } from './keyspaces.js'
import type { StoreOptions } from './options.js'
import type { Store } from './store-interface.js'
import { StoreHandle } from './store.js'
import type { AnyKey, KeyEncoding, KeyOf, ValueEncoding, ValueOf } from './types.js'

const OPTION_NAMES = [
  'keyEncoding',
  'valueEncoding',
  'readOnly',
  'create',
  'initialSizeBytes',
  'growthStepBytes',
  'maxSizeBytes',
  'logSizeBytes',
  'stagingLimitBytes',
  'segmentBytes',
  'verifyReads',
  'requireGranularity',
  'forceGranularity',
  'logging',
  'durability',
  'relaxedIntervalMs',
  'executor',
] as const satisfies readonly (keyof StoreOptions)[]

const GRANULARITIES = ['byte', 'cache-line', 'page'] as const satisfies readonly Granularity[]

/**
 * Opens a pool: creates it if need be, recovers it if its last user died, or says why it cannot. The path
 * `:memory:` gives a store that lives in this process only.
 *
 *     import { open } from 'daxkv'
 *     const store = open('orders.pool')
 *     try {
 *       store.put('ada', { born: 1815 })
 *       store.get('ada')
 *     } finally {
 *       store.close()
 *     }
 *
 * Types follow from the encodings named (`open(path, { valueEncoding: 'string' })`), or are declared:
 * `open<string, User>(path)`.
 *
 * @throws DaxkvError `INVALID_ARGUMENT`, `UNKNOWN_OPTION`, `ENCODING_MISMATCH`; about the file: `POOL_NOT_FOUND`,
 *   `PERMISSION_DENIED`, `UNSUPPORTED_TARGET`, `NOT_A_POOL`, `UNSUPPORTED_FORMAT`, `TRUNCATED`, `CORRUPT`,
 *   `EXTENTS_UNSAFE`, `NO_SPACE`, `IO_ERROR`; about its use: `POOL_LOCKED`, `POOL_ALREADY_OPEN`, `NEEDS_RECOVERY` (read-only
 *   open of a pool not cleanly closed), `GRANULARITY_UNAVAILABLE`, `NATIVE_UNAVAILABLE`, `PORTABLE_UNAVAILABLE`.
 */
export function open<KE extends KeyEncoding = KeyEncoding, VE extends ValueEncoding = ValueEncoding>(
  path: string,
  options?: StoreOptions<KE, VE>,
): Store<KeyOf<KE>, ValueOf<VE>>
export function open<K extends AnyKey, V>(path: string, options?: StoreOptions): Store<K, V>
export function open(path: string, options?: StoreOptions): Store<AnyKey> {
  checkPath(path)
  const checked = checkOptions(options, OPTION_NAMES, 'open')
  const encodings = {
    keyEncoding: checked.oneOf('keyEncoding', KEY_ENCODINGS, undefined),
    valueEncoding: checked.oneOf('valueEncoding', VALUE_ENCODINGS, undefined),
  }
  const engineOptions = readEngineOptions(checked)
  if (path === ':memory:' && engineOptions.readOnly === true) {
    throw new DaxkvError('INVALID_ARGUMENT', 'open: a :memory: store starts empty, so it cannot be readOnly')
  }
  return storeOn(Engine.open(path, engineOptions), encodings)
}

/** Puts the public face on an engine; closes it when that fails. Tests come in here with engines of their own. */
export function storeOn(
  engine: Engine,
  encodings: WantedEncodings = { keyEncoding: undefined, valueEncoding: undefined },
): StoreHandle {
  try {
    const context = new StoreContext(engine, new Catalog(engine, engine.catalogPage()))
    const keyspaces = new Keyspaces(context)
    return new StoreHandle(context, keyspaces, keyspaces.parts('', encodings))
  } catch (error) {
    engine.close()
    throw withPath(error, engine.path)
  }
}

function readEngineOptions(checked: CheckedOptions): EngineOptions {
  const options: EngineOptions = {
    ...given('readOnly', checked.boolean('readOnly', undefined)),
    ...given('create', checked.boolean('create', undefined)),
    ...given('initialSizeBytes', checked.byteSize('initialSizeBytes', undefined)),
    ...given('growthStepBytes', checked.byteSize('growthStepBytes', undefined)),
    ...given('maxSizeBytes', checked.byteSize('maxSizeBytes', undefined)),
    ...given('logSizeBytes', checked.byteSize('logSizeBytes', undefined)),
    ...given('stagingLimitBytes', checked.byteSize('stagingLimitBytes', undefined)),
    ...given('segmentBytes', checked.byteSize('segmentBytes', undefined)),
    ...given('verifyReads', checked.boolean('verifyReads', undefined)),
    ...given('requireGranularity', checked.oneOf('requireGranularity', GRANULARITIES, undefined)),
    ...given('forceGranularity', checked.oneOf('forceGranularity', GRANULARITIES, undefined)),
    ...given('logging', checked.oneOf('logging', ['undo', 'redo'], undefined)),
    ...given('durability', checked.oneOf('durability', DURABILITIES, undefined)),
    ...given('relaxedIntervalMs', checked.integer('relaxedIntervalMs', undefined, { min: 1, max: 60_000 })),
    ...given('executor', checked.oneOf('executor', ['native', 'portable', 'simulated'], undefined)),
  }
  return options
}

/** An option only if it was given: the engine tells "absent" from undefined. */
function given<N extends string, T>(name: N, value: T | undefined): { [P in N]?: T } {
  return value === undefined ? {} : ({ [name]: value } as { [P in N]: T })
}

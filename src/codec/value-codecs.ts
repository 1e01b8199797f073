import { DaxkvError } from '../errors.js'
import { binaryValueCodec } from './binary-value.js'
import { describe } from './key-codec.js'
import { MsgpackValueCodec } from './msgpack-value.js'
import { jsonValueCodec, stringValueCodec } from './text-values.js'
import { VALUE_ENCODINGS } from './value-codec.js'
import type { StructureHooks, ValueCodec, ValueEncoding } from './value-codec.js'

/** The type of the values of each encoding. */
export interface ValueTypes {
  msgpack: unknown
  json: unknown
  string: string
  binary: Uint8Array
}

const factories: { readonly [N in ValueEncoding]: (hooks: StructureHooks) => ValueCodec<ValueTypes[N]> } = {
  msgpack: (hooks) => new MsgpackValueCodec(hooks),
  json: () => jsonValueCodec,
  string: () => stringValueCodec,
  binary: () => binaryValueCodec,
}

/** A codec for one keyspace. Only `msgpack` has state (its structures) and uses the hooks; the others are shared. */
export function createValueCodec<N extends ValueEncoding>(name: N, hooks: StructureHooks): ValueCodec<ValueTypes[N]> {
  if (!Object.hasOwn(factories, name)) {
    throw new DaxkvError(
      'INVALID_ARGUMENT',
      `unknown value encoding ${describe(name)}; expected one of ${VALUE_ENCODINGS.join(', ')}`,
    )
  }
  return factories[name](hooks)
}

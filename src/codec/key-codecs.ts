import { DaxkvError } from '../errors.js'
import { KEY_ENCODINGS, describe } from './key-codec.js'
import type { KeyCodec, KeyEncoding } from './key-codec.js'
import { orderedKeyCodec } from './ordered-key.js'
import type { OrderedKey } from './ordered-key.js'
import { binaryKeyCodec, uint32KeyCodec, utf8KeyCodec } from './plain-keys.js'

/** The type of the keys of each encoding. */
export interface KeyTypes {
  ordered: OrderedKey
  utf8: string
  binary: Uint8Array
  uint32: number
}

const codecs: { readonly [N in KeyEncoding]: KeyCodec<KeyTypes[N]> } = {
  ordered: orderedKeyCodec,
  utf8: utf8KeyCodec,
  binary: binaryKeyCodec,
  uint32: uint32KeyCodec,
}

/** The codec of a key encoding; key codecs have no state and are shared. */
export function keyCodec<N extends KeyEncoding>(name: N): KeyCodec<KeyTypes[N]> {
  if (!Object.hasOwn(codecs, name)) {
    throw new DaxkvError(
      'INVALID_ARGUMENT',
      `unknown key encoding ${describe(name)}; expected one of ${KEY_ENCODINGS.join(', ')}`,
    )
  }
  return codecs[name]
}

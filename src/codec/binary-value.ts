import { copyBytes } from './copy-bytes.js'
import { describe } from './key-codec.js'
import { invalidValue } from './value-codec.js'
import type { ValueCodec } from './value-codec.js'

/** Bytes as they are: `encode` returns the caller's own, `decode` a copy, always a Buffer. */
export const binaryValueCodec: ValueCodec<Uint8Array> = {
  name: 'binary',
  encode(value) {
    if (!(value instanceof Uint8Array))
      throw invalidValue('binary', `takes Buffers and Uint8Arrays, not ${describe(value)}`)
    return value
  },
  decode: copyBytes,
  reset() {},
}

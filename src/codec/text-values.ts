/** The value encodings that are text: `string` and `json`, both UTF-8. */
import { constants } from 'node:buffer'
import { DaxkvError } from '../errors.js'
import { asStringBuffer } from './buffer-methods.js'
import type { StringBuffer } from './buffer-methods.js'
import { describe } from './key-codec.js'
import { corruptValue, invalidValue } from './value-codec.js'
import type { ValueCodec } from './value-codec.js'

/** Longer texts get a buffer of their own, which is not kept. */
const SCRATCH_BYTES = 65536

/** V8 reads no more UTF-8 than this into one string, whatever the number of characters. */
const MAX_TEXT_BYTES = constants.MAX_STRING_LENGTH

let scratch: StringBuffer | undefined

function encodeText(name: 'string' | 'json', text: string): Uint8Array {
  // Three bytes are the most one UTF-16 unit needs.
  if (text.length * 3 <= SCRATCH_BYTES) {
    scratch ??= asStringBuffer(Buffer.allocUnsafeSlow(SCRATCH_BYTES))
    return scratch.subarray(0, scratch.utf8Write(text, 0, SCRATCH_BYTES))
  }
  const bytes = Buffer.byteLength(text)
  if (bytes > MAX_TEXT_BYTES) {
    throw new DaxkvError(
      'VALUE_TOO_LARGE',
      `value encoding '${name}' takes texts of up to ${MAX_TEXT_BYTES} bytes, this one has ${bytes}; use value encoding 'binary'`,
      { limit: MAX_TEXT_BYTES, actual: bytes },
    )
  }
  return Buffer.from(text, 'utf8')
}

function decodeText(name: 'string' | 'json', source: Buffer, start: number, end: number): string {
  if (end - start > MAX_TEXT_BYTES) throw corruptValue(name, start, end)
  return asStringBuffer(source).utf8Slice(start, end)
}

/** Strings as UTF-8. Lone surrogates are rejected: they would not read back. */
export const stringValueCodec: ValueCodec<string> = {
  name: 'string',
  encode(value) {
    if (typeof value !== 'string') throw invalidValue('string', `takes strings, not ${describe(value)}`)
    if (!value.isWellFormed()) {
      throw invalidValue('string', 'takes well-formed strings, this one has a lone surrogate, which has no UTF-8 form')
    }
    return encodeText('string', value)
  },
  decode: (source, start, end) => decodeText('string', source, start, end),
  reset() {},
}

/** What `JSON.stringify` makes of a value; lone surrogates are kept, as escapes. */
export const jsonValueCodec: ValueCodec<unknown> = {
  name: 'json',
  encode(value) {
    let text: unknown
    try {
      text = JSON.stringify(value)
    } catch (cause) {
      throw invalidValue('json', `cannot express this value: ${messageOf(cause)}`, cause)
    }
    if (typeof text !== 'string') throw invalidValue('json', `cannot express ${describe(value)}`)
    return encodeText('json', text)
  },
  decode(source, start, end) {
    try {
      return JSON.parse(decodeText('json', source, start, end)) as unknown
    } catch (cause) {
      throw corruptValue('json', start, end, cause)
    }
  },
  reset() {},
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.split('\n')[0] : String(error)
}

/** The key encodings without types inside: `utf8`, `binary` and `uint32`. */
import { asStringBuffer } from './buffer-methods.js'
import { copyBytes } from './copy-bytes.js'
import { MAX_KEY_BYTES, corruptKey, describe, invalidKey, keyTooLong } from './key-codec.js'
import type { KeyCodec } from './key-codec.js'
import { LOOP_CHARS } from './ordered-string.js'

/** Strings as UTF-8, ordered by code point. Lone surrogates are rejected: they would not read back. */
export const utf8KeyCodec: KeyCodec<string> = {
  name: 'utf8',

  encode(key, target, offset) {
    if (typeof key !== 'string') throw invalidKey('utf8', `takes strings, not ${describe(key)}`)
    const length = key.length
    if (length <= LOOP_CHARS) {
      let i = 0
      for (; i < length; i++) {
        const code = key.charCodeAt(i)
        if (code > 127) break
        target[offset + i] = code
      }
      if (i === length) return offset + length
    }
    // Whole characters only are written, so four bytes beyond the limit make every longer key show in the count.
    const written = length > MAX_KEY_BYTES ? length : asStringBuffer(target).utf8Write(key, offset, MAX_KEY_BYTES + 4)
    if (written > MAX_KEY_BYTES) throw keyTooLong(Buffer.byteLength(key))
    if (written !== length && !key.isWellFormed()) {
      throw invalidKey('utf8', 'takes well-formed strings, this one has a lone surrogate, which has no UTF-8 form')
    }
    return offset + written
  },

  decode(source, start, end) {
    let at = start
    while (at < end && source[at] < 128) at++
    const bytes = asStringBuffer(source)
    if (at === end) return bytes.latin1Slice(start, end)
    const text = bytes.utf8Slice(start, end)
    // The decoder puts U+FFFD where bytes are not UTF-8; only a text that really holds one has its three bytes.
    if (text.includes('\ufffd') && !Buffer.from(text).equals(source.subarray(start, end))) {
      throw corruptKey('utf8', start, end)
    }
    return text
  },
}

/** Bytes as they are. Decoded keys are copies. */
export const binaryKeyCodec: KeyCodec<Uint8Array> = {
  name: 'binary',

  encode(key, target, offset) {
    if (!(key instanceof Uint8Array)) throw invalidKey('binary', `takes Buffers and Uint8Arrays, not ${describe(key)}`)
    const length = key.length
    if (length > MAX_KEY_BYTES) throw keyTooLong(length)
    target.set(key, offset)
    return offset + length
  },

  decode: copyBytes,
}

/** Integers from 0 to 4,294,967,295 in four big-endian bytes. */
export const uint32KeyCodec: KeyCodec<number> = {
  name: 'uint32',

  encode(key, target, offset) {
    if (typeof key !== 'number' || key >>> 0 !== key) {
      throw invalidKey('uint32', `takes integers from 0 to 4294967295, not ${describe(key)}`)
    }
    target[offset] = key >>> 24
    target[offset + 1] = key >>> 16
    target[offset + 2] = key >>> 8
    target[offset + 3] = key
    return offset + 4
  },

  decode(source, start, end) {
    if (end - start !== 4) throw corruptKey('uint32', start, end)
    return ((source[start] << 24) | (source[start + 1] << 16) | (source[start + 2] << 8) | source[start + 3]) >>> 0
  },
}

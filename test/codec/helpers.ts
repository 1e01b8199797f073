import assert from 'node:assert/strict'
import type { KeyCodec } from '../../src/codec/key-codec.js'
import { DaxkvError } from '../../src/errors.js'

const OFFSET = 100

/** Encodes at an odd place and checks that nothing before it was touched. */
export function encodeKey<K>(codec: KeyCodec<K>, key: K): Buffer {
  const target = Buffer.alloc(4096, 0xaa)
  const end = codec.encode(key, target, OFFSET)
  assert.ok(target.subarray(0, OFFSET).every((byte) => byte === 0xaa))
  return Buffer.from(target.subarray(OFFSET, end))
}

/** Decodes from between other bytes, which must not matter, and checks that the source is left as it was. */
export function decodeAs<K>(codec: KeyCodec<K>, bytes: Buffer): K {
  const source = Buffer.concat([Buffer.alloc(3, 0x61), bytes, Buffer.alloc(7, 0x61)])
  const before = Buffer.from(source)
  const key = codec.decode(source, 3, 3 + bytes.length)
  assert.deepEqual(source, before)
  assert.equal(Object.hasOwn(source, 'dataView'), false)
  return key
}

export function errorOf(error: unknown): DaxkvError {
  assert.ok(error instanceof DaxkvError, String(error))
  return error
}

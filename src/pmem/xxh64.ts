/** XXH64 on the TypeScript side: superblocks, log records and page checksums where the addon is not asked anyway. */
import xxhash from 'xxhash-wasm'
import type { XXHashAPI } from 'xxhash-wasm'
import { isNativeAvailable, nativeAddon } from './native-binding.js'
import { LINES_PER_PAGE, LINE_BYTES } from './program.js'
import { xxh64InTypeScript } from './xxh64-typescript.js'

let wasm: XXHashAPI | undefined

/** Resolves when the WebAssembly build is there; before that the addon hashes, or slow TypeScript where there is none. */
export const ready: Promise<void> = xxhash().then((api) => {
  wasm = api
})

/** Above this, the input is fed in pieces: the one-shot call grows the WebAssembly memory to the input's size for ever. */
const ONE_SHOT_BYTES = 64 * 1024

/** XXH64 of `bytes` with the 64-bit seed (seedHi, seedLo); the hash is left in `out` as [lo, hi]. */
export function xxh64(bytes: Uint8Array, seedLo: number, seedHi: number, out: Uint32Array): void {
  if (wasm === undefined) {
    hashWithoutWasm(bytes, seedLo, seedHi, out)
    return
  }
  const seed = (BigInt(seedHi) << 32n) | BigInt(seedLo)
  const hash = bytes.byteLength <= ONE_SHOT_BYTES ? wasm.h64Raw(bytes, seed) : hashInPieces(wasm, bytes, seed)
  out[0] = Number(hash & 0xffffffffn)
  out[1] = Number(hash >> 32n)
}

function hashInPieces(api: XXHashAPI, bytes: Uint8Array, seed: bigint): bigint {
  const state = api.create64(seed)
  for (let offset = 0; offset < bytes.byteLength; offset += ONE_SHOT_BYTES) {
    state.update(bytes.subarray(offset, offset + ONE_SHOT_BYTES))
  }
  return state.digest()
}

function hashWithoutWasm(bytes: Uint8Array, seedLo: number, seedHi: number, out: Uint32Array): void {
  if (isNativeAvailable()) nativeAddon().xxh64(bytes, seedLo >>> 0, seedHi >>> 0, out)
  else xxh64InTypeScript(bytes, seedLo, seedHi, out)
}

const firstLine = new Uint8Array(LINE_BYTES)

/**
 * Keyed hash of one line of the page that starts at byte `base` of `bytes`, as the page checksum uses it: seed =
 * pageId * 64 + line, the checksum field (bytes 0..7 of the page) read as zero.
 */
export function lineHash(bytes: Uint8Array, base: number, pageId: number, line: number, out: Uint32Array): void {
  const start = base + line * LINE_BYTES
  let source = bytes.subarray(start, start + LINE_BYTES)
  if (line === 0) {
    firstLine.set(source)
    firstLine.fill(0, 0, 8)
    source = firstLine
  }
  xxh64(source, ((pageId << 6) | line) >>> 0, pageId >>> 26, out)
}

const lineResult = new Uint32Array(2)

/** Checksum of a whole page: the XOR of its 64 line hashes, left in `out` as [lo, hi]. */
export function pageChecksum(bytes: Uint8Array, base: number, pageId: number, out: Uint32Array): void {
  let lo = 0
  let hi = 0
  for (let line = 0; line < LINES_PER_PAGE; line++) {
    lineHash(bytes, base, pageId, line, lineResult)
    lo ^= lineResult[0]
    hi ^= lineResult[1]
  }
  out[0] = lo
  out[1] = hi
}

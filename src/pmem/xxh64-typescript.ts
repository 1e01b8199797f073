/**
 * XXH64 for the first moments of a process that has no addon, until xxhash-wasm is compiled: `open` is synchronous and
 * cannot wait. Written for the reader; some hundred times slower than the others.
 */
const MASK = 0xffff_ffff_ffff_ffffn
const PRIME_1 = 0x9e37_79b1_85eb_ca87n
const PRIME_2 = 0xc2b2_ae3d_27d4_eb4fn
const PRIME_3 = 0x1656_67b1_9e37_79f9n
const PRIME_4 = 0x85eb_ca77_c2b2_ae63n
const PRIME_5 = 0x27d4_eb2f_1656_67c5n
const STRIPE_BYTES = 32

function rotate(value: bigint, bits: bigint): bigint {
  return ((value << bits) | (value >> (64n - bits))) & MASK
}

function round(accumulator: bigint, input: bigint): bigint {
  return (rotate((accumulator + input * PRIME_2) & MASK, 31n) * PRIME_1) & MASK
}

/** The same as `xxh64`, always in TypeScript. */
export function xxh64InTypeScript(bytes: Uint8Array, seedLo: number, seedHi: number, out: Uint32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const seed = (BigInt(seedHi >>> 0) << 32n) | BigInt(seedLo >>> 0)
  let at = 0
  let hash = (seed + PRIME_5) & MASK
  if (bytes.length >= STRIPE_BYTES) {
    const lanes = [seed + PRIME_1 + PRIME_2, seed + PRIME_2, seed, seed - PRIME_1].map((lane) => lane & MASK)
    for (; at + STRIPE_BYTES <= bytes.length; at += STRIPE_BYTES) {
      for (let lane = 0; lane < 4; lane++) lanes[lane] = round(lanes[lane], view.getBigUint64(at + lane * 8, true))
    }
    const [first, second, third, fourth] = lanes
    hash = (rotate(first, 1n) + rotate(second, 7n) + rotate(third, 12n) + rotate(fourth, 18n)) & MASK
    for (const lane of lanes) hash = ((hash ^ round(0n, lane)) * PRIME_1 + PRIME_4) & MASK
  }
  hash = (hash + BigInt(bytes.length)) & MASK
  for (; at + 8 <= bytes.length; at += 8) {
    hash = (rotate(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * PRIME_1 + PRIME_4) & MASK
  }
  if (at + 4 <= bytes.length) {
    hash = (rotate(hash ^ ((BigInt(view.getUint32(at, true)) * PRIME_1) & MASK), 23n) * PRIME_2 + PRIME_3) & MASK
    at += 4
  }
  for (; at < bytes.length; at++) hash = (rotate(hash ^ ((BigInt(bytes[at]) * PRIME_5) & MASK), 11n) * PRIME_1) & MASK
  hash = ((hash ^ (hash >> 33n)) * PRIME_2) & MASK
  hash = ((hash ^ (hash >> 29n)) * PRIME_3) & MASK
  hash ^= hash >> 32n
  out[0] = Number(hash & 0xffff_ffffn)
  out[1] = Number(hash >> 32n)
}

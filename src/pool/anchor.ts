/**
 * The anchor: the few words that say where recovery starts. It lives outside transactions, twice, in pages of its own;
 * the valid copy with the higher sequence number counts. Whoever writes one copy first makes the other one durable
 * again (recovery rule "two anchor copies ... the chosen one re-persisted before the other is written"), so that a
 * crash at any store leaves at least one valid copy.
 */
import { xxh64 } from '../pmem/xxh64.js'
import {
  ANCHOR_BYTES,
  ANCHOR_MAGIC,
  ANCHOR_OFFSET_BOOT_ID,
  ANCHOR_OFFSET_CLEAN,
  ANCHOR_OFFSET_EPOCH,
  ANCHOR_OFFSET_HASH,
  ANCHOR_OFFSET_MAGIC,
  ANCHOR_OFFSET_RING,
  ANCHOR_OFFSET_SALT,
  ANCHOR_OFFSET_SEQ,
  ANCHOR_OFFSET_TXID,
  ANCHOR_OFFSET_UNSAFE_SHUTDOWNS,
} from './format.js'

export interface Anchor {
  /** Grows by one with every anchor written; the higher valid copy wins. */
  readonly seq: number
  /** Grows by one with every open and close: records of other epochs are dead. */
  readonly epoch: number
  /** Random per epoch; seeds every hash of the log, so that stale bytes or user values cannot forge a record. */
  readonly saltLo: number
  readonly saltHi: number
  /** Last transaction known when the anchor was written. */
  readonly txid: number
  /** Line of the log area where redo recovery starts. */
  readonly ringLine: number
  readonly clean: boolean
  /** Sum of the DIMMs' unsafe-shutdown counters when written, 0 where unreadable. */
  readonly unsafeShutdowns: number
  /** Kernel boot id (32 hex digits) of the writer. */
  readonly bootId: string
}

/** 64-bit counters are held as numbers; below this adding one is exact. */
export const MAX_COUNTER = 2 ** 52
const NO_BOOT_ID = '0'.repeat(32)

/** Writes an anchor to the first 128 bytes of `target`. */
export function encodeAnchor(target: Buffer, anchor: Anchor): void {
  target.fill(0, 0, ANCHOR_BYTES)
  target.writeUInt32LE(ANCHOR_MAGIC, ANCHOR_OFFSET_MAGIC)
  target.writeUInt32LE(anchor.clean ? 1 : 0, ANCHOR_OFFSET_CLEAN)
  writeU64(target, anchor.seq, ANCHOR_OFFSET_SEQ)
  writeU64(target, anchor.epoch, ANCHOR_OFFSET_EPOCH)
  target.writeUInt32LE(anchor.saltLo, ANCHOR_OFFSET_SALT)
  target.writeUInt32LE(anchor.saltHi, ANCHOR_OFFSET_SALT + 4)
  writeU64(target, anchor.txid, ANCHOR_OFFSET_TXID)
  writeU64(target, anchor.ringLine, ANCHOR_OFFSET_RING)
  target.writeUInt32LE(anchor.unsafeShutdowns, ANCHOR_OFFSET_UNSAFE_SHUTDOWNS)
  target.write((anchor.bootId || NO_BOOT_ID).slice(0, 32), ANCHOR_OFFSET_BOOT_ID, 'hex')
  const hash = hashOf(target)
  target.writeUInt32LE(hash[0], ANCHOR_OFFSET_HASH)
  target.writeUInt32LE(hash[1], ANCHOR_OFFSET_HASH + 4)
}

/** Reads an anchor copy; undefined when it is not valid. */
export function decodeAnchor(bytes: Buffer): Anchor | undefined {
  if (bytes.readUInt32LE(ANCHOR_OFFSET_MAGIC) !== ANCHOR_MAGIC) return undefined
  const hash = hashOf(bytes)
  if (bytes.readUInt32LE(ANCHOR_OFFSET_HASH) !== hash[0]) return undefined
  if (bytes.readUInt32LE(ANCHOR_OFFSET_HASH + 4) !== hash[1]) return undefined
  const anchor: Anchor = {
    seq: readU64(bytes, ANCHOR_OFFSET_SEQ),
    epoch: readU64(bytes, ANCHOR_OFFSET_EPOCH),
    saltLo: bytes.readUInt32LE(ANCHOR_OFFSET_SALT),
    saltHi: bytes.readUInt32LE(ANCHOR_OFFSET_SALT + 4),
    txid: readU64(bytes, ANCHOR_OFFSET_TXID),
    ringLine: readU64(bytes, ANCHOR_OFFSET_RING),
    clean: bytes.readUInt32LE(ANCHOR_OFFSET_CLEAN) === 1,
    unsafeShutdowns: bytes.readUInt32LE(ANCHOR_OFFSET_UNSAFE_SHUTDOWNS),
    bootId: bytes.toString('hex', ANCHOR_OFFSET_BOOT_ID, ANCHOR_OFFSET_BOOT_ID + 16),
  }
  // Counters start at one and grow by one: a larger value was not written by anybody, and could not be added to.
  const largest = Math.max(anchor.seq, anchor.epoch, anchor.txid, anchor.ringLine)
  return largest < MAX_COUNTER ? anchor : undefined
}

function hashOf(bytes: Buffer): [number, number] {
  const out = new Uint32Array(2)
  xxh64(bytes.subarray(0, ANCHOR_OFFSET_HASH), 0, 0, out)
  return [out[0], out[1]]
}

/** 64-bit counters are kept below 2^53 and held as numbers; the format has room for the rest. */
function writeU64(target: Buffer, value: number, offset: number): void {
  target.writeUInt32LE(value % 2 ** 32, offset)
  target.writeUInt32LE(Math.floor(value / 2 ** 32), offset + 4)
}

function readU64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * 2 ** 32
}

/**
 * Identity: what a pool is and will always be. Written once, when the pool is created, and kept twice (pages 0 and 1).
 * Feature flags are judged before the checksum, so that a pool of a newer library is refused with the right reason
 * (PMDK learned this from its users).
 */
import { DaxkvError } from '../errors.js'
import { PAGE_BYTES } from '../pmem/program.js'
import { xxh64 } from '../pmem/xxh64.js'
import {
  FORMAT_VERSION,
  IDENTITY_BYTES,
  IDENTITY_MAGIC,
  IDENTITY_OFFSET_BITMAP_PAGE,
  IDENTITY_OFFSET_CREATED_MS,
  IDENTITY_OFFSET_HASH,
  IDENTITY_OFFSET_INCOMPAT,
  IDENTITY_OFFSET_LOG_PAGE,
  IDENTITY_OFFSET_LOG_PAGES,
  IDENTITY_OFFSET_MAGIC,
  IDENTITY_OFFSET_PAGE_BYTES,
  IDENTITY_OFFSET_RO_COMPAT,
  IDENTITY_OFFSET_SEGMENT_SHIFT,
  IDENTITY_OFFSET_UUID,
  IDENTITY_OFFSET_VERSION,
  PAGE_LOG_START,
} from './format.js'
import { Geometry } from './geometry.js'

/** Features this version knows; a pool with others set is refused or opened read-only. None exist yet. */
const KNOWN_INCOMPAT = 0
const KNOWN_RO_COMPAT = 0

export const MIN_SEGMENT_SHIFT = 8
export const MAX_SEGMENT_SHIFT = 18

export interface Identity {
  readonly formatVersion: number
  readonly uuid: string
  readonly segmentShift: number
  readonly logPages: number
  readonly createdMs: number
  /** A read-compatible feature is unknown: the pool may be read but not written. */
  readonly readOnlyFeatures: boolean
}

/** Writes an identity to the first 128 bytes of `target`. */
export function encodeIdentity(target: Buffer, identity: Omit<Identity, 'formatVersion' | 'readOnlyFeatures'>): void {
  target.fill(0, 0, IDENTITY_BYTES)
  target.write(IDENTITY_MAGIC, IDENTITY_OFFSET_MAGIC, 'latin1')
  target.writeUInt32LE(FORMAT_VERSION, IDENTITY_OFFSET_VERSION)
  Buffer.from(identity.uuid.replaceAll('-', ''), 'hex').copy(target, IDENTITY_OFFSET_UUID)
  target.writeUInt32LE(PAGE_BYTES, IDENTITY_OFFSET_PAGE_BYTES)
  target.writeUInt32LE(identity.segmentShift, IDENTITY_OFFSET_SEGMENT_SHIFT)
  target.writeUInt32LE(PAGE_LOG_START, IDENTITY_OFFSET_LOG_PAGE)
  target.writeUInt32LE(identity.logPages, IDENTITY_OFFSET_LOG_PAGES)
  const geometry = new Geometry(identity.segmentShift, identity.logPages)
  target.writeUInt32LE(geometry.firstBitmapPage, IDENTITY_OFFSET_BITMAP_PAGE)
  target.writeUInt32LE(identity.createdMs % 2 ** 32, IDENTITY_OFFSET_CREATED_MS)
  target.writeUInt32LE(Math.floor(identity.createdMs / 2 ** 32), IDENTITY_OFFSET_CREATED_MS + 4)
  const hash = hashOf(target)
  target.writeUInt32LE(hash[0], IDENTITY_OFFSET_HASH)
  target.writeUInt32LE(hash[1], IDENTITY_OFFSET_HASH + 4)
}

/**
 * Reads the identity from the first two pages of a file (8192 bytes, fewer if the file is shorter); either copy will do.
 *
 * @throws DaxkvError NOT_A_POOL, UNSUPPORTED_FORMAT or CORRUPT.
 */
export function decodeIdentity(head: Buffer, path: string): Identity {
  let firstError: DaxkvError | undefined
  for (const offset of [0, PAGE_BYTES]) {
    if (head.length < offset + IDENTITY_BYTES) continue
    const decoded = decodeCopy(head.subarray(offset, offset + IDENTITY_BYTES), path)
    if (!(decoded instanceof DaxkvError)) return decoded
    // The most telling refusal wins: "newer format" says more than "no magic in the damaged copy".
    if (firstError === undefined || firstError.code === 'NOT_A_POOL') firstError = decoded
  }
  throw firstError ?? notAPool(path, `it has only ${head.length} bytes`)
}

function decodeCopy(bytes: Buffer, path: string): Identity | DaxkvError {
  if (bytes.toString('latin1', 0, IDENTITY_MAGIC.length) !== IDENTITY_MAGIC) {
    return notAPool(path, 'it does not start with the magic of one')
  }
  const formatVersion = bytes.readUInt32LE(IDENTITY_OFFSET_VERSION)
  if (formatVersion !== FORMAT_VERSION) {
    return new DaxkvError(
      'UNSUPPORTED_FORMAT',
      `${path} has format version ${formatVersion}, this library knows version ${FORMAT_VERSION}: ` +
        (formatVersion > FORMAT_VERSION ? 'upgrade daxkv' : 'the file is damaged or from an unreleased version'),
      { path, limit: FORMAT_VERSION, actual: formatVersion },
    )
  }
  const incompat = bytes.readUInt32LE(IDENTITY_OFFSET_INCOMPAT)
  if ((incompat & ~KNOWN_INCOMPAT) !== 0) {
    return new DaxkvError(
      'UNSUPPORTED_FORMAT',
      `${path} uses features this library does not know (incompatible flags 0x${incompat.toString(16)}): upgrade daxkv`,
      { path, actual: incompat },
    )
  }
  const hash = hashOf(bytes)
  if (
    bytes.readUInt32LE(IDENTITY_OFFSET_HASH) !== hash[0] ||
    bytes.readUInt32LE(IDENTITY_OFFSET_HASH + 4) !== hash[1]
  ) {
    return new DaxkvError('CORRUPT', `${path}: both identity pages fail their checksum`, {
      path,
      offset: 0,
      length: 2 * PAGE_BYTES,
    })
  }
  const segmentShift = bytes.readUInt32LE(IDENTITY_OFFSET_SEGMENT_SHIFT)
  const logPages = bytes.readUInt32LE(IDENTITY_OFFSET_LOG_PAGES)
  const geometryFault =
    bytes.readUInt32LE(IDENTITY_OFFSET_PAGE_BYTES) !== PAGE_BYTES ||
    segmentShift < MIN_SEGMENT_SHIFT ||
    segmentShift > MAX_SEGMENT_SHIFT ||
    bytes.readUInt32LE(IDENTITY_OFFSET_LOG_PAGE) !== PAGE_LOG_START ||
    logPages < 1 ||
    logPages >= 2 ** segmentShift ||
    bytes.readUInt32LE(IDENTITY_OFFSET_BITMAP_PAGE) !== PAGE_LOG_START + logPages
  if (geometryFault) {
    return new DaxkvError('CORRUPT', `${path}: the identity describes an impossible pool`, {
      path,
      offset: 0,
      length: IDENTITY_BYTES,
    })
  }
  return {
    formatVersion,
    uuid: formatUuid(bytes.subarray(IDENTITY_OFFSET_UUID, IDENTITY_OFFSET_UUID + 16)),
    segmentShift,
    logPages,
    createdMs:
      bytes.readUInt32LE(IDENTITY_OFFSET_CREATED_MS) + bytes.readUInt32LE(IDENTITY_OFFSET_CREATED_MS + 4) * 2 ** 32,
    readOnlyFeatures: (bytes.readUInt32LE(IDENTITY_OFFSET_RO_COMPAT) & ~KNOWN_RO_COMPAT) !== 0,
  }
}

function notAPool(path: string, why: string): DaxkvError {
  return new DaxkvError('NOT_A_POOL', `${path} is not a daxkv pool: ${why}`, { path })
}

function hashOf(bytes: Buffer): [number, number] {
  const out = new Uint32Array(2)
  xxh64(bytes.subarray(0, IDENTITY_OFFSET_HASH), 0, 0, out)
  return [out[0], out[1]]
}

function formatUuid(bytes: Buffer): string {
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

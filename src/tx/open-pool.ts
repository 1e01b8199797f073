/** Opening a pool: recovery, or the proof that none is needed; then its capacity, and the anchor of a new epoch. */
import { readFileSync } from 'node:fs'
import { DaxkvError } from '../errors.js'
import type { PersistentMemory } from '../pmem/persistent-memory.js'
import { OP_SYNC_ALL, PAGE_BYTES } from '../pmem/program.js'
import type { Anchor } from '../pool/anchor.js'
import { HEADER_OFFSET_TYPE, PAGE_ROOT, PAGE_TYPE_ROOT, ROOT_OFFSET_CAPACITY_PAGES } from '../pool/format.js'
import type { Geometry } from '../pool/geometry.js'
import { readUnsafeShutdowns } from '../pool/platform.js'
import { pageBytes } from './log-record.js'
import { newestAnchor, readAnchors, recover, type Recovery, refuseRottenAnchor, writeNextAnchor } from './recovery.js'

/** A pool that is being opened, and what is needed for it. */
export interface PoolToOpen {
  readonly memory: PersistentMemory
  readonly geometry: Geometry
  readonly path: string
  /** Throws when the mapping has faulted. */
  readonly checkFault: () => void
  /** Source of salts. */
  readonly random: (words: Uint32Array) => void
}

export interface OpenedPool {
  readonly anchor: Anchor
  readonly recovery: Recovery
  readonly capacityPages: number
}

/** Recovers the pool and begins a new epoch. */
export function openForWriting(pool: PoolToOpen): OpenedPool {
  const { memory, geometry, path, checkFault } = pool
  const { anchor, recovery } = recover(memory, geometry, path, checkFault)
  const capacityPages = readCapacity(pool)
  memory.limitTo(capacityPages * PAGE_BYTES)
  const next = writeAnchor(pool, anchor, Math.max(anchor.txid, recovery.txid), false)
  return { anchor: next, recovery, capacityPages }
}

/** Takes a pool that was closed cleanly as it is. */
export function openReadOnly(pool: PoolToOpen): OpenedPool {
  const { memory, geometry, path, checkFault } = pool
  const anchors = readAnchors(memory)
  const anchor = newestAnchor(anchors)
  checkFault()
  if (anchor !== undefined && anchors.includes(undefined)) {
    refuseRottenAnchor(memory, geometry, anchor, anchor.txid, path)
  }
  if (anchor?.clean !== true) {
    throw new DaxkvError(
      'NEEDS_RECOVERY',
      `${path} was not closed cleanly; open it for writing once so that it can be recovered`,
      { path },
    )
  }
  return { anchor, recovery: { outcome: 'clean', txid: anchor.txid, lines: 0 }, capacityPages: readCapacity(pool) }
}

/** Makes the next anchor durable: that of a new epoch, or of a pool that is being closed. */
export function writeAnchor(pool: PoolToOpen, current: Anchor, txid: number, clean: boolean): Anchor {
  const { memory } = pool
  if (clean) {
    // Step 5 again: all data durable before the anchor says so, and the record must not undo it later.
    memory.reserveProgram(1)
    memory.program[0] = OP_SYNC_ALL
    memory.run(1)
  }
  return writeNextAnchor(
    memory,
    current,
    {
      txid,
      clean,
      unsafeShutdowns: memory.persistence.executor === 'native' ? readUnsafeShutdowns() : 0,
      bootId: bootId(),
      ringLine: 0,
    },
    pool.random,
  )
}

/** The capacity in pages that the root page records, which recovery has made whole. */
function readCapacity({ memory, geometry, path }: PoolToOpen): number {
  const filePages = memory.sizeBytes / PAGE_BYTES
  const { view, base } = pageBytes(memory, PAGE_ROOT)
  const typeOk = view.u8[base + HEADER_OFFSET_TYPE] === PAGE_TYPE_ROOT
  if (!typeOk || !memory.verifyPage(PAGE_ROOT)) {
    throw new DaxkvError('CORRUPT', `${path}: the root page fails its checksum`, {
      path,
      offset: PAGE_ROOT * PAGE_BYTES,
      length: PAGE_BYTES,
    })
  }
  const capacity = view.u32[(base + ROOT_OFFSET_CAPACITY_PAGES) >>> 2]
  if (capacity > filePages) {
    throw new DaxkvError(
      'TRUNCATED',
      `${path} has ${filePages * PAGE_BYTES} bytes, its capacity is ${capacity * PAGE_BYTES}: ` +
        'the file was truncated; restore it from a backup',
      { path, limit: capacity * PAGE_BYTES, actual: filePages * PAGE_BYTES },
    )
  }
  if (!geometry.isCapacity(capacity)) {
    throw new DaxkvError(
      'CORRUPT',
      `${path}: the root page records a capacity of ${capacity} pages, which a pool with ${geometry.logPages} log pages ` +
        `and segments of ${geometry.segmentPages} pages cannot have`,
      { path, offset: PAGE_ROOT * PAGE_BYTES, length: PAGE_BYTES, actual: capacity },
    )
  }
  return capacity
}

let cachedBootId: string | undefined
function bootId(): string {
  if (cachedBootId === undefined) {
    try {
      cachedBootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim().replaceAll('-', '')
    } catch {
      cachedBootId = '' // not Linux, or /proc is not mounted: the field stays zero
    }
  }
  return cachedBootId
}

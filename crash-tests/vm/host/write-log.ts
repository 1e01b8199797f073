/** Reads what dm-log-writes has recorded and makes disks out of it as a power cut may have left them. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs'

const MAGIC = 0x6a736677736872n
const FLUSH = 1n
const DISCARD = 4n
const MARK = 8n
const SECTOR = 512

export interface Entry {
  readonly sector: number
  readonly sectors: number
  readonly flush: boolean
  readonly discard: boolean
  /** Text of a mark. */
  readonly mark: string | undefined
  /** Where the data lies in the log. */
  readonly offset: number
}

/** The entries in the order in which they were completed and flushed. */
export function readWriteLog(path: string): Entry[] {
  const fd = openSync(path, 'r')
  try {
    const head = read(fd, 0, SECTOR)
    if (head.readBigUInt64LE(0) !== MAGIC) throw new Error(`${path} is no record of dm-log-writes`)
    const count = Number(head.readBigUInt64LE(16))
    const sectorBytes = head.readUInt32LE(24)
    const entries: Entry[] = []
    let offset = sectorBytes
    for (let index = 0; index < count; index++) {
      const bytes = read(fd, offset, sectorBytes)
      const flags = bytes.readBigUInt64LE(16)
      const sectors = Number(bytes.readBigUInt64LE(8))
      const marked = (flags & MARK) !== 0n
      const discard = (flags & DISCARD) !== 0n
      const length = Number(bytes.readBigUInt64LE(24))
      offset += sectorBytes
      entries.push({
        sector: Number(bytes.readBigUInt64LE(0)),
        sectors,
        flush: (flags & FLUSH) !== 0n,
        discard,
        mark: marked
          ? bytes
              .subarray(32, 32 + length)
              .toString('latin1')
              .replaceAll('\0', '')
          : undefined,
        offset,
      })
      if (!discard && !marked) offset += sectors * sectorBytes
    }
    return entries
  } finally {
    closeSync(fd)
  }
}

/** Applies those of the entries to an image that `kept` lets through. */
export function replay(log: string, image: string, entries: readonly Entry[], kept: (entry: Entry) => boolean): void {
  const from = openSync(log, 'r')
  const to = openSync(image, 'r+')
  try {
    for (const entry of entries) {
      if (entry.mark !== undefined || entry.discard || entry.sectors === 0 || !kept(entry)) continue
      const bytes = read(from, entry.offset, entry.sectors * SECTOR)
      writeSync(to, bytes, 0, bytes.length, entry.sector * SECTOR)
    }
  } finally {
    closeSync(from)
    closeSync(to)
  }
}

function read(fd: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  if (readSync(fd, bytes, 0, length, offset) !== length) throw new Error(`the record ends at ${offset}`)
  return bytes
}

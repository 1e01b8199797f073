/** The log: records that are there, and records that never were, with the hash under the epoch's salt computed anew. */
import {
  DIRECTORY_UNLOGGED,
  LINE_BYTES,
  PAGE_BYTES,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  RECORD_OFFSET_EPOCH,
  RECORD_OFFSET_EXTENT_COUNT,
  RECORD_OFFSET_FRESH_HASH,
  RECORD_OFFSET_KIND,
  RECORD_OFFSET_LINE_COUNT,
  RECORD_OFFSET_MAGIC,
  RECORD_OFFSET_PAGE_COUNT,
  RECORD_OFFSET_POST_HASH,
  RECORD_OFFSET_TOTAL_LINES,
  RECORD_OFFSET_TXID,
  RECORD_REDO,
  RECORD_SLOT,
  recordLines,
} from '../../../src/pmem/program.js'
import { xxh64 } from '../../../src/pmem/xxh64.js'
import { PAGE_LOG_START } from '../../../src/pool/format.js'
import { hostileNumber, hostilePage, type HostileImage, type Mutation } from './hostile-image.js'
import { sealRecord } from './seal.js'

const FIELDS: readonly (readonly [name: string, offset: number])[] = [
  ['magic', RECORD_OFFSET_MAGIC],
  ['kind', RECORD_OFFSET_KIND],
  ['epoch', RECORD_OFFSET_EPOCH],
  ['epoch, high word', RECORD_OFFSET_EPOCH + 4],
  ['txid', RECORD_OFFSET_TXID],
  ['txid, high word', RECORD_OFFSET_TXID + 4],
  ['pages', RECORD_OFFSET_PAGE_COUNT],
  ['lines', RECORD_OFFSET_LINE_COUNT],
  ['extents', RECORD_OFFSET_EXTENT_COUNT],
  ['total lines', RECORD_OFFSET_TOTAL_LINES],
  ['post hash', RECORD_OFFSET_POST_HASH],
  ['fresh hash', RECORD_OFFSET_FRESH_HASH],
]

function seal(target: HostileImage, at: number, percent: number): void {
  const { saltLo, saltHi } = target.map.anchor
  if (target.chance(percent) && sealRecord(target.bytes, at, saltLo, saltHi)) target.forged = true
}

export const LOG_MUTATIONS: readonly Mutation[] = [
  {
    name: 'record headers',
    apply(target: HostileImage): boolean {
      const at = target.pick(target.map.records)
      if (at === undefined) return false
      for (let count = target.chance(75) ? 1 : 3; count > 0; count--) {
        const [name, offset] = FIELDS[target.random.below(FIELDS.length)]
        const old = target.bytes.readUInt32LE(at + offset)
        const value = hostileNumber(target, old, 32)
        target.bytes.writeUInt32LE(value, at + offset)
        target.noteAt(at, `record: ${name}, ${old} becomes ${value}`)
      }
      seal(target, at, 80)
      return true
    },
  },
  {
    name: 'record directories and bodies',
    apply(target: HostileImage): boolean {
      const at = target.pick(target.map.records)
      if (at === undefined) return false
      // An earlier mutation may have put any number into the header.
      const roomLines = Math.floor((target.bytes.length - at) / LINE_BYTES) - 1
      const within = (count: number, limit: number): number => Math.max(1, Math.min(count, limit))
      const pageCount = within(target.bytes.readUInt32LE(at + RECORD_OFFSET_PAGE_COUNT), roomLines * (LINE_BYTES / 16))
      const directory = at + RECORD_HEADER_BYTES
      for (let count = 1 + target.random.below(3); count > 0; count--) {
        const entry = directory + target.random.below(pageCount) * 16
        switch (target.random.below(4)) {
          case 0:
            target.bytes.writeUInt32LE(hostilePage(target), entry)
            break
          case 1: {
            const word = entry + 4 + 4 * target.random.below(2)
            target.bytes.writeUInt32LE(hostileNumber(target, target.bytes.readUInt32LE(word), 32), word)
            break
          }
          default: {
            const lines = within(target.bytes.readUInt32LE(at + RECORD_OFFSET_TOTAL_LINES) - 1, roomLines)
            const byte = at + LINE_BYTES + target.random.below(lines * LINE_BYTES)
            target.bytes[byte] ^= 1 << target.random.below(8)
          }
        }
      }
      target.noteAt(at, 'record changed behind its header')
      seal(target, at, 80)
      return true
    },
  },
  {
    name: 'a forged record',
    apply(target: HostileImage): boolean {
      // As if a transaction had been torn, or not been applied yet: whatever it holds, recovery will write it.
      const { bytes, random, map } = target
      const kind = random.below(10) === 0 ? random.word() : 1 + random.below(3)
      const slotPages = Math.floor((map.geometry.firstBitmapPage - PAGE_LOG_START) / 2)
      const slot = target.chance(80) ? (map.anchor.txid + 1) % 2 : random.below(2)
      const ringPage = Math.floor(map.anchor.ringLine / 64)
      const page = kind === RECORD_REDO ? ringPage : kind === RECORD_SLOT ? slot * slotPages : 0
      const at = (PAGE_LOG_START + page) * PAGE_BYTES
      const pageCount = 1 + random.below(5)
      const extentCount = target.chance(25) ? 1 + random.below(3) : 0
      const logEnd = map.geometry.firstBitmapPage * PAGE_BYTES
      bytes.fill(0, at, logEnd)
      const directory = at + RECORD_HEADER_BYTES + Math.ceil((extentCount * 8) / LINE_BYTES) * LINE_BYTES
      const bodies = directory + Math.ceil((pageCount * 16) / LINE_BYTES) * LINE_BYTES
      let lineCount = 0
      const unlogged: Buffer[] = []
      for (let index = 0; index < pageCount; index++) {
        const page = target.chance(70) ? (target.pick(map.nodes)?.page ?? 4) : hostilePage(target)
        const mask = target.chance(60) ? 1 << random.below(8) : random.word() & random.word()
        const entry = directory + index * 16
        bytes.writeUInt32LE(page, entry)
        bytes.writeUInt32LE(mask >>> 0, entry + 4)
        if (kind === RECORD_SLOT && index > 0 && target.chance(20)) {
          bytes.writeUInt32LE(DIRECTORY_UNLOGGED, entry + 12)
          for (let line = 0; line < 32; line++) {
            const from = page * PAGE_BYTES + line * LINE_BYTES
            if (((mask >>> line) & 1) === 1) unlogged.push(bytes.subarray(from, from + LINE_BYTES))
          }
          continue
        }
        for (let line = 0; line < 32; line++) {
          if (((mask >>> line) & 1) === 0) continue
          const body = bodies + lineCount++ * LINE_BYTES
          if (body + LINE_BYTES <= logEnd) writeBody(target, body, page * PAGE_BYTES + line * LINE_BYTES)
        }
      }
      for (let index = 0; index < extentCount; index++) {
        bytes.writeUInt32LE(hostilePage(target), at + RECORD_HEADER_BYTES + index * 8)
        bytes.writeUInt32LE(
          target.chance(70) ? 1 + random.below(3) : random.word(),
          at + RECORD_HEADER_BYTES + index * 8 + 4,
        )
      }
      bytes.writeUInt32LE(RECORD_MAGIC, at + RECORD_OFFSET_MAGIC)
      bytes.writeUInt32LE(kind, at + RECORD_OFFSET_KIND)
      bytes.writeUInt32LE(map.anchor.epoch, at + RECORD_OFFSET_EPOCH)
      bytes.writeUInt32LE(map.anchor.txid + 1, at + RECORD_OFFSET_TXID)
      bytes.writeUInt32LE(pageCount, at + RECORD_OFFSET_PAGE_COUNT)
      bytes.writeUInt32LE(lineCount, at + RECORD_OFFSET_LINE_COUNT)
      bytes.writeUInt32LE(extentCount, at + RECORD_OFFSET_EXTENT_COUNT)
      bytes.writeUInt32LE(recordLines(extentCount, pageCount, lineCount), at + RECORD_OFFSET_TOTAL_LINES)
      bytes.writeUInt32LE(random.word(), at + RECORD_OFFSET_POST_HASH)
      target.noteAt(
        at,
        `a forged record of kind ${kind}: ${pageCount} pages, ${lineCount} lines, ${extentCount} extents`,
      )
      if (kind === RECORD_SLOT) {
        const hash = new Uint32Array(2)
        xxh64(Buffer.concat(unlogged), map.anchor.saltLo, map.anchor.saltHi, hash)
        bytes.writeUInt32LE(hash[0], at + RECORD_OFFSET_FRESH_HASH)
        bytes.writeUInt32LE(hash[1], at + RECORD_OFFSET_FRESH_HASH + 4)
      }
      seal(target, at, 100)
      return true
    },
  },
]

/** What a forged record puts into a line: what stands there, a little changed, or anything. */
function writeBody(target: HostileImage, body: number, from: number): void {
  const { bytes, random } = target
  if (from + LINE_BYTES <= target.length && target.chance(75)) {
    bytes.copy(bytes, body, from, from + LINE_BYTES)
    if (target.chance(60)) bytes[body + random.below(LINE_BYTES)] = random.below(256)
  } else {
    for (let byte = 0; byte < LINE_BYTES; byte++) bytes[body + byte] = random.below(256)
  }
}

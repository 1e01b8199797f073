/** Damage that knows nothing of the format: lengths, zeros, bits, bytes, sectors and pages in the wrong place. */
import { PAGE_BYTES } from '../../../src/pmem/program.js'
import type { HostileImage, Mutation } from './hostile-image.js'

const SECTOR_BYTES = 512

/** A byte of the image, mostly one in use. */
function anyOffset(target: HostileImage): number {
  const { random, map } = target
  if (target.chance(30)) return random.below(target.length)
  const fixed = random.below(8)
  const page =
    fixed < 6
      ? (target.pick(map.nodes)?.page ?? 4)
      : fixed === 6
        ? random.below(6)
        : (target.pick(map.bitmapPages) ?? 4)
  // Headers and slots do the most harm.
  return page * PAGE_BYTES + (target.chance(60) ? random.below(256) : random.below(PAGE_BYTES))
}

function anyPage(target: HostileImage): number {
  return Math.floor(anyOffset(target) / PAGE_BYTES)
}

export const RAW_MUTATIONS: readonly Mutation[] = [
  {
    name: 'bits flipped',
    apply(target: HostileImage): boolean {
      for (let count = 1 + target.random.below(4); count > 0; count--) {
        const at = anyOffset(target)
        target.bytes[at] ^= 1 << target.random.below(8)
        target.noteAt(at, 'bit flipped')
      }
      return true
    },
  },
  {
    name: 'bytes overwritten',
    apply(target: HostileImage): boolean {
      for (let count = 1 + target.random.below(4); count > 0; count--) {
        const at = anyOffset(target)
        const end = Math.min(target.length, at + 1 + target.random.below(16))
        for (let byte = at; byte < end; byte++) target.bytes[byte] = target.random.below(256)
        target.noteAt(at, `${end - at} bytes overwritten`)
        target.noteAt(end - 1, 'until')
      }
      return true
    },
  },
  {
    name: 'zeroed',
    apply(target: HostileImage): boolean {
      const unit = [64, SECTOR_BYTES, PAGE_BYTES, 4 * PAGE_BYTES][target.random.below(4)]
      const at = Math.floor(anyOffset(target) / unit) * unit
      const end = Math.min(target.length, at + unit)
      const filler = target.chance(70) ? 0 : 0xff
      target.bytes.fill(filler, at, end)
      for (let page = at; page < end; page += PAGE_BYTES) target.noteAt(page, `${end - at} bytes filled with ${filler}`)
      return true
    },
  },
  {
    name: 'truncated',
    apply(target: HostileImage): boolean {
      const unit = target.chance(70) ? PAGE_BYTES : 1
      target.length = Math.max(1, Math.floor(target.random.below(target.length) / unit) * unit)
      target.note('length', `truncated to ${target.length} bytes`)
      return true
    },
  },
  {
    name: 'lengthened',
    apply(target: HostileImage): boolean {
      const before = target.length
      target.extend(before + 1 + target.random.below(20 * PAGE_BYTES))
      if (target.chance(50)) {
        for (let at = before; at < target.length; at++) target.bytes[at] = target.random.below(256)
      }
      target.note('length', `${target.length - before} bytes appended`)
      return true
    },
  },
  {
    name: 'pages swapped',
    apply(target: HostileImage): boolean {
      const [a, b] = [anyPage(target), target.chance(50) ? anyPage(target) : target.random.below(target.pages)]
      if (a === b || a >= target.pages || b >= target.pages) return false
      const copy = Buffer.from(target.bytes.subarray(a * PAGE_BYTES, (a + 1) * PAGE_BYTES))
      target.bytes.copy(target.bytes, a * PAGE_BYTES, b * PAGE_BYTES, (b + 1) * PAGE_BYTES)
      copy.copy(target.bytes, b * PAGE_BYTES)
      target.noteAt(a * PAGE_BYTES, 'swapped')
      target.noteAt(b * PAGE_BYTES, 'with')
      return true
    },
  },
  {
    name: 'sectors copied',
    apply(target: HostileImage): boolean {
      const unit = target.chance(50) ? SECTOR_BYTES : PAGE_BYTES
      const from = Math.floor(anyOffset(target) / unit) * unit
      const to = Math.floor(anyOffset(target) / unit) * unit
      if (from + unit > target.length || to + unit > target.length) return false
      target.bytes.copy(target.bytes, to, from, from + unit)
      target.noteAt(to, `${unit} bytes copied from ${from}`)
      return true
    },
  },
]

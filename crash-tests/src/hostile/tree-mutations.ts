/** Tree nodes, extents and the catalog: each field and each reference, mostly with the page checksum computed anew. */
import { PAGE_BYTES } from '../../../src/pmem/program.js'
import { hostileNumber, hostilePage, type HostileImage, type Mutation } from './hostile-image.js'
import { childOffsets, LEFTMOST, type MappedNode, SLOTS } from './pool-map.js'
import { sealExtent, sealPage } from './seal.js'

/** Offset and bytes of the fields of a node's header. */
const HEADER: readonly (readonly [name: string, offset: number, bytes: 1 | 2 | 4])[] = [
  ['page id', 8, 4],
  ['type', 12, 1],
  ['level', 13, 1],
  ['count', 14, 2],
  ['prefix length', 16, 2],
  ['heap start', 18, 2],
  ['prefix offset', 20, 2],
  ['dead bytes', 22, 2],
  ['leftmost child', 24, 4],
  ['keyspace', 28, 4],
  ['entries', 32, 4],
  ['entries, high word', 36, 4],
  ['run', 40, 4],
  ['prefix', 44, 4],
]

/** Bit position and width of the parts of a place. */
const PLACE: readonly (readonly [name: string, shift: number, bits: number])[] = [
  ['offset', 0, 10],
  ['suffix length', 10, 11],
  ['value length', 21, 11],
]

function seal(target: HostileImage, page: number): void {
  if (!target.chance(85)) return
  sealPage(target.bytes, page)
  target.forged = true
}

function changeNumber(target: HostileImage, at: number, bytes: 1 | 2 | 4, what: string): void {
  const old = target.bytes.readUIntLE(at, bytes)
  const value = hostileNumber(target, old, bytes * 8)
  target.bytes.writeUIntLE(value, at, bytes)
  target.noteAt(at, `${what}: ${old} becomes ${value}`)
}

function changeSlot(target: HostileImage, node: MappedNode): boolean {
  if (node.count === 0) return false
  const slot = target.random.below(node.count)
  const at = node.page * PAGE_BYTES + SLOTS + slot * 8
  if (target.chance(20)) {
    changeNumber(target, at, 4, `head of slot ${slot}`)
    return true
  }
  if (target.chance(15)) {
    const other = node.page * PAGE_BYTES + SLOTS + target.random.below(node.count) * 8
    target.bytes.copy(target.bytes, at, other, other + 8)
    target.noteAt(at, 'slot copied from another one')
    return true
  }
  const [name, shift, bits] = PLACE[target.random.below(PLACE.length)]
  const place = target.bytes.readUInt32LE(at + 4)
  const mask = 2 ** bits - 1
  const old = (place >>> shift) & mask
  const value = hostileNumber(target, old, bits)
  target.bytes.writeUInt32LE(((place & ~(mask << shift)) | (value << shift)) >>> 0, at + 4)
  target.noteAt(at + 4, `${name} of slot ${slot}: ${old} becomes ${value}`)
  return true
}

function pickNode(target: HostileImage): MappedNode {
  const { map } = target
  // Branches and roots are few, and more depends on them.
  const list = target.chance(40) && map.branches.length > 0 ? map.branches : map.nodes
  return list[target.random.below(list.length)]
}

export const TREE_MUTATIONS: readonly Mutation[] = [
  {
    name: 'node header',
    apply(target: HostileImage): boolean {
      const { page } = pickNode(target)
      for (let count = target.chance(70) ? 1 : 3; count > 0; count--) {
        const [name, offset, bytes] = HEADER[target.random.below(HEADER.length)]
        changeNumber(target, page * PAGE_BYTES + offset, bytes, name)
      }
      seal(target, page)
      return true
    },
  },
  {
    name: 'node slots',
    apply(target: HostileImage): boolean {
      const node = pickNode(target)
      let changed = false
      for (let count = target.chance(70) ? 1 : 4; count > 0; count--) changed = changeSlot(target, node) || changed
      seal(target, node.page)
      return changed
    },
  },
  {
    name: 'node payloads',
    apply(target: HostileImage): boolean {
      const { page } = pickNode(target)
      const heap = target.bytes.readUInt16LE(page * PAGE_BYTES + 18)
      if (heap >= PAGE_BYTES) return false
      for (let count = 1 + target.random.below(3); count > 0; count--) {
        const at = page * PAGE_BYTES + heap + target.random.below(PAGE_BYTES - heap)
        const end = Math.min((page + 1) * PAGE_BYTES, at + 1 + target.random.below(12))
        for (let byte = at; byte < end; byte++) target.bytes[byte] = target.random.below(256)
        target.noteAt(at, `${end - at} bytes of the heap overwritten`)
      }
      seal(target, page)
      return true
    },
  },
  {
    name: 'children',
    apply(target: HostileImage): boolean {
      const node = target.pick(target.map.branches)
      if (node === undefined) return false
      const offsets = childOffsets(target.bytes, node.page)
      const at = offsets[target.random.below(offsets.length)]
      switch (target.random.below(4)) {
        case 0: {
          // All lead to the same page: a tree that is no tree.
          const child = target.bytes.readUInt32LE(at)
          for (const offset of offsets) target.bytes.writeUInt32LE(child, offset)
          target.noteAt(at, `all children are page ${child}`)
          break
        }
        case 1:
          target.bytes.writeUInt32LE(node.page, at)
          target.noteAt(at, 'a child is the node itself')
          break
        case 2: {
          const other = offsets[target.random.below(offsets.length)]
          const [a, b] = [target.bytes.readUInt32LE(at), target.bytes.readUInt32LE(other)]
          target.bytes.writeUInt32LE(b, at)
          target.bytes.writeUInt32LE(a, other)
          target.noteAt(at, 'two children change places')
          break
        }
        default: {
          const child = hostilePage(target)
          target.bytes.writeUInt32LE(child, at)
          target.noteAt(at, `a child becomes page ${child}`)
        }
      }
      seal(target, node.page)
      return true
    },
  },
  {
    name: 'a ladder of branches with shared children',
    apply(target: HostileImage): boolean {
      // 2^levels ways lead to the one leaf at its foot: whoever goes all of them does not come back.
      const root = target.pick(target.map.nodes.filter(({ isRoot, tree }) => isRoot && tree !== 0))
      const free = target.map.freePages
      const levels = 2 + target.random.below(Math.min(29, free.length - 2))
      if (root === undefined || free.length < 4) return false
      const first = free.slice(0, levels)
      first.forEach((page, index) => {
        const level = levels - 1 - index
        writeLadderNode(target.bytes, page, level, root.tree, first[index + 1] ?? 0, 0)
        sealPage(target.bytes, page)
      })
      writeLadderNode(target.bytes, root.page, levels, root.tree, first[0], target.random.below(3))
      sealPage(target.bytes, root.page)
      target.noteAt(root.page * PAGE_BYTES, `a ladder of ${levels} levels`)
      target.forged = true
      return true
    },
  },
  {
    name: 'extent descriptors',
    apply(target: HostileImage): boolean {
      const extent = target.pick(target.map.extents)
      if (extent === undefined) return false
      const { at, node } = extent
      switch (target.random.below(5)) {
        case 0:
          target.bytes.writeUInt32LE(hostilePage(target), at)
          break
        case 1:
          changeNumber(target, at + 4, 4, 'length of an extent')
          break
        case 2: {
          const other = target.pick(target.map.extents) ?? extent
          target.bytes.copy(target.bytes, at, other.at, other.at + 8)
          break
        }
        case 3:
          // Into the middle of itself or of the next one.
          target.bytes.writeUInt32LE(extent.page + 1, at)
          break
        default:
          // To the end of the pool, and a little beyond it.
          target.bytes.writeUInt32LE(
            (target.map.capacityPages - extent.page) * PAGE_BYTES + target.random.below(3) - 1,
            at + 4,
          )
      }
      target.noteAt(at, 'descriptor of an extent changed')
      if (target.chance(60)) sealExtent(target.bytes, at)
      seal(target, node)
      return true
    },
  },
  {
    name: 'catalog',
    apply(target: HostileImage): boolean {
      const entry = target.pick(target.map.catalog)
      if (entry === undefined) return false
      const { keyAt, keyLength, valueAt, valueLength, node } = entry
      const records = target.map.catalog.filter(({ isRecord }) => isRecord)
      switch (target.random.below(6)) {
        case 0:
          if (keyLength === 0) return false
          target.bytes[keyAt + target.random.below(keyLength)] = target.random.below(256)
          break
        case 1: {
          // Two keyspaces of one tree, or the catalog as one of its own.
          const other = target.pick(records)
          const root =
            other === undefined || target.chance(30)
              ? target.map.catalogPage
              : target.bytes.readUInt32LE(other.valueAt + 4)
          if (!entry.isRecord) return false
          target.bytes.writeUInt32LE(root, valueAt + 4)
          break
        }
        case 2:
          if (!entry.isRecord) return false
          target.bytes.writeUInt32LE(hostilePage(target), valueAt + 4)
          break
        case 3:
          if (!entry.isRecord) return false
          changeNumber(target, valueAt, 4, 'keyspace id')
          break
        case 4:
          if (!entry.isRecord) return false
          target.bytes[valueAt + 8 + target.random.below(2)] = target.chance(60)
            ? target.random.below(5)
            : target.random.below(256)
          break
        default:
          target.bytes[valueAt + target.random.below(valueLength)] = target.random.below(256)
      }
      target.noteAt(valueAt, 'catalog entry changed')
      seal(target, node)
      return true
    },
  },
  {
    name: 'stale pages',
    apply(target: HostileImage): boolean {
      // A sound page of the same id, as a lost write leaves it: here an empty leaf of the same keyspace.
      const node = target.pick(target.map.leaves)
      if (node === undefined) return false
      const base = node.page * PAGE_BYTES
      target.bytes.fill(0, base + SLOTS, base + PAGE_BYTES)
      target.bytes.writeUInt16LE(0, base + 14)
      target.bytes.writeUInt16LE(0, base + 16)
      target.bytes.writeUInt16LE(PAGE_BYTES, base + 18)
      target.bytes.writeUInt32LE(0, base + 20)
      sealPage(target.bytes, node.page)
      target.noteAt(base, 'a leaf is empty')
      target.forged = true
      return true
    },
  },
]

/** A node whose two children are one page; at level 0 an empty leaf (0 slots) or one with a single empty entry. */
function writeLadderNode(bytes: Buffer, page: number, level: number, tree: number, child: number, slots: number): void {
  const base = page * PAGE_BYTES
  bytes.fill(0, base, base + PAGE_BYTES)
  bytes.writeUInt32LE(page, base + 8)
  bytes[base + 12] = level === 0 ? 3 : 4
  bytes[base + 13] = level
  bytes.writeUInt32LE(tree, base + 28)
  const count = level === 0 ? 1 : 1 + slots
  let heap = PAGE_BYTES
  for (let slot = 0; slot < count; slot++) {
    heap -= 8
    if (level > 0) bytes.writeUInt32LE(child, base + heap)
    const at = base + SLOTS + slot * 8
    // Separators and the key are one byte long: slot + 1 (as a head, its top bit flipped).
    bytes[base + heap + (level > 0 ? 4 : 0)] = slot + 1
    bytes.writeUInt32LE((((slot + 1) << 24) ^ 0x8000_0000) >>> 0, at)
    bytes.writeUInt32LE((heap >>> 2) | (1 << 10), at + 4)
  }
  bytes.writeUInt16LE(count, base + 14)
  bytes.writeUInt16LE(heap, base + 18)
  if (level > 0) bytes.writeUInt32LE(child, base + LEFTMOST)
}

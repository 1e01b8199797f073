/** docs/format.md against the constants in the sources: offsets, sizes, alignment, and nothing left out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { orderedKeyCodec, type OrderedKey } from '../../src/codec/ordered-key.js'
import { MemoryView } from '../../src/pmem/memory-view.js'
import * as program from '../../src/pmem/program.js'
import * as format from '../../src/pool/format.js'
import * as catalog from '../../src/tree/catalog.js'
import * as node from '../../src/tree/node.js'
import { MAX_RECORD_EXTENTS } from '../../src/tx/log-record.js'
import { codeOf, tables } from './markdown.js'
import { formatDocument, type Layout, layouts } from './layouts.js'

const constants = new Map<string, unknown>([
  ...Object.entries(program),
  ...Object.entries(format),
  ...Object.entries(node),
  ...Object.entries(catalog),
  ['MAX_RECORD_EXTENTS', MAX_RECORD_EXTENTS],
])
const { LINE_BYTES, PAGE_BYTES } = program

/** The value of `NAME` or `NAME * 4` in a cell. */
function evaluate(cell: string): number {
  const match = /^`([A-Z0-9_]+)( \* 4)?`$/.exec(cell)
  const value = match === null ? undefined : constants.get(match[1])
  if (typeof value !== 'number') throw new Error(`${cell} is no constant of the sources`)
  return cell.endsWith(' * 4`') ? value * 4 : value
}

const FIXED_BYTES: Record<string, number> = { u8: 1, u16: 2, i16: 2, u32: 4, i32: 4, u64: 8, header: LINE_BYTES }

for (const { name, sizeBytes, fields } of layouts.values()) {
  test(`${name}: the fields follow one another without gaps and fill ${sizeBytes} bytes`, () => {
    let end = 0
    for (const field of fields) {
      assert.equal(field.offset, end, field.name)
      assert.ok(field.bytes > 0, field.name)
      const fixed = FIXED_BYTES[field.type] as number | undefined
      if (fixed !== undefined) assert.equal(field.bytes, fixed, `${field.name}: size of a ${field.type}`)
      end += field.bytes
    }
    assert.equal(end, sizeBytes)
  })

  test(`${name}: fields are aligned, and none crosses 8 bytes`, () => {
    for (const field of fields) {
      if (field.type === 'zero' || field.type === "type's" || field.type === 'words') continue
      const alignment = Math.min(8, FIXED_BYTES[field.type] ?? 8)
      assert.equal(field.offset % alignment, 0, `${field.name} is aligned to ${alignment}`)
      const last = field.offset + Math.min(field.bytes, 8) - 1
      assert.equal(Math.floor(field.offset / 8), Math.floor(last / 8), `${field.name} lies within 8 bytes`)
    }
  })

  test(`${name}: offsets are those of the constants`, () => {
    for (const { constant, offset } of fields) {
      // Sizes of structures stand beside the layout, not in it.
      if (constant !== '') assert.equal(evaluate(constant), offset, constant)
    }
  })
}

test('every offset constant of the sources stands in a layout', () => {
  const documented = new Set([...layouts.values()].flatMap(({ fields }) => fields.map(({ constant }) => constant)))
  for (const { prefix } of layouts.values()) {
    if (!prefix.endsWith('_')) continue
    for (const name of constants.keys()) {
      // The upper half of a u64 is part of its field.
      if (!name.startsWith(prefix) || name === 'WORD_ENTRIES_HI') continue
      assert.ok(documented.has(`\`${name}\``) || documented.has(`\`${name} * 4\``), `${name} is not in docs/format.md`)
    }
  }
  assert.equal(node.WORD_ENTRIES_HI, node.WORD_ENTRIES_LO + 1)
})

test('sizes, page numbers and limits are those of the constants', () => {
  let compared = 0
  for (const { columns, rows } of tables(formatDocument)) {
    if (columns.length !== 3 || columns[2] !== 'Constant') continue
    for (const [what, value, constant] of rows) {
      assert.equal(evaluate(constant), Number(value), what)
      compared++
    }
  }
  assert.ok(compared >= 20)
  const sizes: [string, number][] = [
    ['identity', format.IDENTITY_BYTES],
    ['anchor', format.ANCHOR_BYTES],
    ['header', format.HEADER_BYTES],
    ['node header', node.SLOTS_OFFSET],
    ['slot', node.SLOT_BYTES],
    ['descriptor', node.DESCRIPTOR_BYTES],
    ['keyspace record', catalog.KEYSPACE_RECORD_BYTES],
    ['record header', program.RECORD_HEADER_BYTES],
    ['root page', PAGE_BYTES],
    ['bitmap page', PAGE_BYTES],
  ]
  assert.deepEqual(new Map(sizes), new Map([...layouts.values()].map(({ name, sizeBytes }) => [name, sizeBytes])))
})

test('what must not share a cache line with anything does not', () => {
  const { fields } = layout('root page')
  const capacityLine = Math.floor(format.ROOT_OFFSET_CAPACITY_PAGES / LINE_BYTES)
  const neighbours = fields.filter(
    ({ offset, bytes, type }) =>
      type !== 'zero' && offset < (capacityLine + 1) * LINE_BYTES && offset + bytes > capacityLine * LINE_BYTES,
  )
  assert.deepEqual(
    neighbours.map(({ constant }) => constant),
    ['`ROOT_OFFSET_CAPACITY_PAGES`'],
  )
  // Anchors and volatile words have pages of their own, which no record may cover.
  const pages = [format.PAGE_IDENTITY_A, format.PAGE_IDENTITY_B, format.PAGE_ANCHOR_A, format.PAGE_ANCHOR_B]
  const all = [...pages, format.PAGE_ROOT, format.PAGE_VOLATILE, format.PAGE_LOG_START]
  assert.deepEqual(all, [0, 1, 2, 3, 4, 5, 6])
  assert.equal(format.ANCHOR_BYTES, 2 * LINE_BYTES)
  assert.equal(node.MAX_SLOTS * node.SLOT_BYTES, PAGE_BYTES - LINE_BYTES)
})

test('the bits of a place are the documented ones', () => {
  const bits = tables(formatDocument).find(({ columns }) => columns[0] === 'Bits')
  const ranges = bits?.rows.map(([range]) => range.split(' to ').map(Number)) ?? []
  assert.deepEqual(ranges.flat(), [0, 9, 10, 20, 21, 31])
  const place = node.makePlace(4092, 1978, node.VALUE_IN_EXTENT) >>> 0
  const [offset, suffix, value] = ranges.map(([from, to]) => Math.floor(place / 2 ** from) % 2 ** (to - from + 1))
  assert.deepEqual([offset * 4, suffix, value], [4092, 1978, 2047])
})

test('the halves of packed header words lie where the document says', () => {
  const view = new MemoryView(new ArrayBuffer(PAGE_BYTES))
  node.initNode(view, 0, 3, 77)
  node.setShape(view, 0, 3, 500)
  node.setHeapStart(view, 0, 0x0abc)
  node.setDeadBytes(view, 0, 0x0123)
  node.setRun(view, 0, 0x0042, 7)
  const header = layout('node header')
  const read = (name: string): number => {
    const field = header.fields.find((candidate) => candidate.name.startsWith(name))
    assert.ok(field !== undefined, name)
    return view.u8.readUIntLE(field.offset, Math.min(field.bytes, 4))
  }
  assert.equal(read('page type'), format.PAGE_TYPE_BRANCH)
  assert.equal(read('level'), 3)
  assert.equal(read('number of slots'), 500)
  assert.equal(read('heapStart'), 0x0abc)
  assert.equal(read('dead bytes'), 0x0123)
  assert.equal(read('id of the keyspace'), 77)
  assert.equal(read('index of the last insert'), 0x0042)
  assert.equal(read('length of the run'), 7)
})

test('the example keys have the documented bytes', () => {
  const examples = tables(formatDocument)
    .filter(({ columns }) => columns.join() === 'Key,Bytes')
    .flatMap(({ rows }) => rows)
  assert.ok(examples.length > 10)
  const target = Buffer.alloc(4096)
  for (const [key, bytes] of examples) {
    const end = orderedKeyCodec.encode(JSON.parse(codeOf(key) ?? '') as OrderedKey, target, 0)
    assert.equal(target.toString('hex', 0, end), codeOf(bytes), key)
  }
})

function layout(name: string): Layout {
  const found = layouts.get(name)
  if (found === undefined) throw new Error(`docs/format.md has no layout named ${name}`)
  return found
}

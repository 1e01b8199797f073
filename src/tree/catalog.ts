/**
 * The catalog: an ordinary tree that knows the others. Its page id stands in the root page of the pool.
 *
 *     key [0x00][name, UTF-8]          -> keyspace record, 16 bytes, little-endian:
 *                                         u32 id, u32 root page, u8 key encoding, u8 value encoding, 6 bytes zero
 *     key [0x01][keyspace id, u32 BE]  -> shared structures of the keyspace's msgpack values
 *
 * The default keyspace has the empty name. Ids are never used again, so that a page can always be told to belong to
 * a keyspace that was dropped.
 */
import { DaxkvError } from '../errors.js'
import { Cursor } from './cursor.js'
import { Tree, type TreeContext } from './tree.js'

const KIND_KEYSPACE = 0
const KIND_STRUCTURES = 1
const STRUCTURES_KEY_BYTES = 5

const RECORD_OFFSET_ID = 0
const RECORD_OFFSET_ROOT_PAGE = 4
const RECORD_OFFSET_KEY_ENCODING = 8
const RECORD_OFFSET_VALUE_ENCODING = 9
export const KEYSPACE_RECORD_BYTES = 16

export const CATALOG_TREE_ID = 0
/** Names are for people and appear in messages; longer ones are a mistake. */
export const MAX_KEYSPACE_NAME_BYTES = 255

/** What the catalog says about a keyspace. The encodings are numbers here; the API gives them names. */
export interface KeyspaceRecord {
  readonly id: number
  readonly rootPage: number
  readonly keyEncoding: number
  readonly valueEncoding: number
}

export class Catalog {
  readonly tree: Tree
  private readonly key = Buffer.alloc(1 + MAX_KEYSPACE_NAME_BYTES + 4)

  constructor(context: TreeContext, rootPage: number) {
    this.tree = new Tree(context, rootPage, CATALOG_TREE_ID)
  }

  find(name: string): KeyspaceRecord | undefined {
    const { tree } = this
    if (!tree.find(this.key, this.nameKey(name))) return undefined
    return decodeRecord(tree.valueView.u8, tree.valueStart, tree.valueLength, name)
  }

  /** Adds or replaces a keyspace. Like every write here: inside a transaction, aborted when it throws. */
  put(name: string, record: KeyspaceRecord): void {
    const bytes = Buffer.alloc(KEYSPACE_RECORD_BYTES)
    bytes.writeUInt32LE(record.id, RECORD_OFFSET_ID)
    bytes.writeUInt32LE(record.rootPage, RECORD_OFFSET_ROOT_PAGE)
    bytes[RECORD_OFFSET_KEY_ENCODING] = record.keyEncoding
    bytes[RECORD_OFFSET_VALUE_ENCODING] = record.valueEncoding
    this.tree.put(this.key, this.nameKey(name), bytes)
  }

  /** Removes a keyspace and its structures from the catalog; its tree is the caller's to destroy. */
  remove(name: string, id: number): void {
    this.tree.delete(this.key, this.nameKey(name))
    this.tree.delete(this.key, this.structuresKey(id))
  }

  /** All keyspaces in order of their names. */
  list(): { name: string; record: KeyspaceRecord }[] {
    const cursor = new Cursor(this.tree)
    cursor.seek({ lt: Buffer.from([KIND_KEYSPACE + 1]) })
    const found: { name: string; record: KeyspaceRecord }[] = []
    while (cursor.next()) {
      const name = decodeName(cursor.key.subarray(1, cursor.keyLength))
      found.push({ name, record: decodeRecord(cursor.valueView.u8, cursor.valueStart, cursor.valueLength, name) })
    }
    return found
  }

  /** Ids of the keyspaces that have structures. */
  structureOwners(): number[] {
    const cursor = new Cursor(this.tree)
    cursor.seek({ gte: Buffer.from([KIND_KEYSPACE + 1]) })
    const ids: number[] = []
    while (cursor.next()) {
      if (cursor.keyLength !== STRUCTURES_KEY_BYTES || cursor.key[0] !== KIND_STRUCTURES) {
        throw new DaxkvError('CORRUPT', `the catalog has an entry of unknown kind ${cursor.key[0]}: run check()`)
      }
      ids.push(cursor.key.readUInt32BE(1))
    }
    return ids
  }

  /** The structures of a keyspace, as a copy. */
  loadStructures(id: number): Buffer | undefined {
    const { tree } = this
    if (!tree.find(this.key, this.structuresKey(id))) return undefined
    const { u8 } = tree.valueView
    return Buffer.from(u8.subarray(tree.valueStart, tree.valueStart + tree.valueLength))
  }

  saveStructures(id: number, bytes: Uint8Array): void {
    this.tree.put(this.key, this.structuresKey(id), bytes)
  }

  /** Names have been checked for their length by `checkKeyspaceName`. */
  private nameKey(name: string): number {
    this.key[0] = KIND_KEYSPACE
    return 1 + this.key.write(name, 1, 'utf8')
  }

  private structuresKey(id: number): number {
    this.key[0] = KIND_STRUCTURES
    return this.key.writeUInt32BE(id, 1)
  }
}

/** @throws DaxkvError INVALID_ARGUMENT unless the name can be stored and read back. */
export function checkKeyspaceName(name: unknown): asserts name is string {
  if (typeof name !== 'string') {
    throw new DaxkvError('INVALID_ARGUMENT', `the name of a keyspace must be a string, not ${typeof name}`)
  }
  const actual = Buffer.byteLength(name)
  if (actual > MAX_KEYSPACE_NAME_BYTES) {
    throw new DaxkvError(
      'INVALID_ARGUMENT',
      `the name of a keyspace may have ${MAX_KEYSPACE_NAME_BYTES} bytes, this one has ${actual}`,
      { limit: MAX_KEYSPACE_NAME_BYTES, actual },
    )
  }
  if (!name.isWellFormed()) {
    throw new DaxkvError(
      'INVALID_ARGUMENT',
      'the name of a keyspace must be well-formed, this one has a lone surrogate',
    )
  }
}

/** A name that could not be written by `nameKey` would be listed and never found. */
function decodeName(bytes: Buffer): string {
  const name = bytes.toString()
  if (bytes.length <= MAX_KEYSPACE_NAME_BYTES && bytes.equals(Buffer.from(name))) return name
  throw new DaxkvError(
    'CORRUPT',
    `the catalog has a keyspace whose name of ${bytes.length} bytes is not one: run check()`,
    {
      limit: MAX_KEYSPACE_NAME_BYTES,
      actual: bytes.length,
    },
  )
}

function decodeRecord(bytes: Buffer, start: number, length: number, name: string): KeyspaceRecord {
  if (length !== KEYSPACE_RECORD_BYTES) {
    throw new DaxkvError(
      'CORRUPT',
      `the catalog record of keyspace '${name}' has ${length} bytes instead of ${KEYSPACE_RECORD_BYTES}: run check()`,
      { limit: KEYSPACE_RECORD_BYTES, actual: length },
    )
  }
  return {
    id: bytes.readUInt32LE(start + RECORD_OFFSET_ID),
    rootPage: bytes.readUInt32LE(start + RECORD_OFFSET_ROOT_PAGE),
    keyEncoding: bytes[start + RECORD_OFFSET_KEY_ENCODING],
    valueEncoding: bytes[start + RECORD_OFFSET_VALUE_ENCODING],
  }
}

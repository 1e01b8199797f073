/** How the catalog records encodings. The numbers are part of the format: append, never renumber. */
import { DaxkvError } from '../errors.js'
import type { KeyEncoding, ValueEncoding } from './types.js'

const KEY_ENCODING_IDS: readonly KeyEncoding[] = ['ordered', 'utf8', 'binary', 'uint32']
const VALUE_ENCODING_IDS: readonly ValueEncoding[] = ['msgpack', 'json', 'string', 'binary']

export function keyEncodingId(name: KeyEncoding): number {
  return KEY_ENCODING_IDS.indexOf(name)
}

export function valueEncodingId(name: ValueEncoding): number {
  return VALUE_ENCODING_IDS.indexOf(name)
}

export function keyEncodingOf(id: number, keyspace: string): KeyEncoding {
  return KEY_ENCODING_IDS[id] ?? unknownEncoding('key', id, keyspace)
}

export function valueEncodingOf(id: number, keyspace: string): ValueEncoding {
  return VALUE_ENCODING_IDS[id] ?? unknownEncoding('value', id, keyspace)
}

function unknownEncoding(kind: string, id: number, keyspace: string): never {
  throw new DaxkvError(
    'UNSUPPORTED_FORMAT',
    `keyspace '${keyspace}' has ${kind} encoding number ${id}, which this library does not know: upgrade daxkv`,
    { actual: id },
  )
}

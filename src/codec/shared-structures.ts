/**
 * The names of the properties of the object shapes a keyspace has stored, so that values need not repeat them. Values
 * refer to a shape by its index; the list only grows. Saved as JSON: it is small, and read once an open.
 */
import { DaxkvError } from '../errors.js'

/** One-byte references exist for 32 shapes; others carry their names in each value. */
export const MAX_SHARED_STRUCTURES = 32

/** Shapes beyond this are more likely dictionaries than records, and would only fill the list. */
const MAX_STRUCTURE_NAMES = 100
const MAX_STRUCTURE_CHARS = 2000

export function mayShare(names: readonly string[]): boolean {
  // A reference to a shape without properties could not be told from a number by a reader that lacks the shape.
  if (names.length === 0 || names.length > MAX_STRUCTURE_NAMES) return false
  let chars = 0
  for (const name of names) chars += name.length
  return chars <= MAX_STRUCTURE_CHARS
}

export function encodeStructures(structures: readonly (readonly string[])[]): Buffer {
  return Buffer.from(JSON.stringify(structures))
}

export function decodeStructures(bytes: Uint8Array | undefined): string[][] {
  if (bytes === undefined || bytes.length === 0) return []
  let parsed: unknown
  try {
    parsed = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString())
  } catch (cause) {
    throw corruptStructures(cause)
  }
  if (!Array.isArray(parsed) || parsed.length > MAX_SHARED_STRUCTURES || !parsed.every(isStructure)) {
    throw corruptStructures(undefined)
  }
  return parsed
}

function isStructure(names: unknown): names is string[] {
  return Array.isArray(names) && names.length > 0 && names.every((name) => typeof name === 'string')
}

function corruptStructures(cause: unknown): DaxkvError {
  return new DaxkvError('CORRUPT', 'the stored list of shared msgpack structures is damaged', { cause })
}

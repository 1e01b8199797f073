import { DaxkvError } from '../errors.js'

export const VALUE_ENCODINGS = ['msgpack', 'json', 'string', 'binary'] as const

/** Names of the value encodings. */
export type ValueEncoding = (typeof VALUE_ENCODINGS)[number]

/** How the values of one keyspace become bytes. */
export interface ValueCodec<V> {
  readonly name: ValueEncoding
  /**
   * The bytes of a value. They may lie in a buffer that is used again: valid until the next `encode` of any codec.
   * With encoding `binary` they are the caller's own bytes, not a copy. Throws `INVALID_ARGUMENT` for undefined and for
   * what the encoding cannot express.
   */
  encode(value: V): Uint8Array
  /**
   * Reads the value that fills `[start, end)` exactly. `source` may be a whole mapped segment: nothing is written to
   * it, no property is added to it, and the result never shares memory with it. Throws `CORRUPT` for other bytes.
   */
  decode(source: Buffer, start: number, end: number): V
  /**
   * To be called when a transaction that encoded values was undone, wholly or to a savepoint: shared structures are
   * read again before the next use, because those it saved are gone.
   */
  reset(): void
}

/** Where the shared structures of a `msgpack` codec are kept: in the pool, as part of the current transaction. */
export interface StructureHooks {
  /** The bytes saved last, as the current transaction sees them. They are not kept. */
  loadStructures(): Uint8Array | undefined
  /**
   * Saves in the current transaction; called inside `encode`, before it returns the value that needs them. Left out
   * where no structure may be added (read-only stores; asynchronous transactions, whose commit comes after others
   * could have used the structure): then new shapes carry their names in each value.
   */
  saveStructures?(bytes: Uint8Array): void
}

export function invalidValue(encoding: ValueEncoding, problem: string, cause?: unknown): DaxkvError {
  return new DaxkvError('INVALID_ARGUMENT', `value encoding '${encoding}' ${problem}`, { cause })
}

export function corruptValue(encoding: ValueEncoding, start: number, end: number, cause?: unknown): DaxkvError {
  const detail = cause instanceof Error ? `: ${cause.message.slice(0, 200)}` : ''
  return new DaxkvError('CORRUPT', `${end - start} stored bytes are not a value of encoding '${encoding}'${detail}`, {
    cause,
  })
}

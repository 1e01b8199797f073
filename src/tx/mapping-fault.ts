import { DaxkvError } from '../errors.js'
import type { MappingFault, PersistentMemory } from '../pmem/persistent-memory.js'

/** What the faults noted since the last call were, as one error; they count as told then. */
export function mappingFault(memory: PersistentMemory, path: string): DaxkvError {
  let fault: MappingFault | undefined
  try {
    fault = memory.takeFault()
    // One operation may have touched many bad pages; what is left in the queue must not fail the innocent next one.
    while (memory.takeFault() !== undefined);
  } catch (cause) {
    // The page could not be mapped again and still shows zeros: the fault waits on, for every operation until it can.
    const message = `${path}: the mapping faulted and cannot be repaired: ${String(cause)}`
    return new DaxkvError('MEDIA_ERROR', message, { path, cause })
  }
  if (fault === undefined) return new DaxkvError('MEDIA_ERROR', `${path}: the mapping faulted`, { path })
  const message =
    fault.kind === 'write'
      ? `${path}: a view of the pool was written to; the write was discarded`
      : `${path}: the mapping faulted at offset ${fault.offset} (${fault.length} bytes): ` +
        'the file was truncated by somebody else or its memory is damaged; run check()'
  return new DaxkvError('MEDIA_ERROR', message, { path, offset: fault.offset, length: fault.length })
}

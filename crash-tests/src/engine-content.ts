import type { Engine } from '../../src/tx/engine.js'
import { readContent } from './content.js'
import type { PoolContent } from './content.js'

/** Reads and checks all that an open engine holds. */
export function contentOf({ memory, geometry }: Engine): PoolContent {
  // Windows are made when first needed, and the reader takes them as they are.
  for (let index = 0; index < memory.segments.length; index++) {
    if ((memory.segments[index] as unknown) === undefined) memory.mapSegment(index)
  }
  return readContent(memory, geometry)
}

import type { Cursor } from '../tree/cursor.js'
import type { ScanRow } from './types.js'

/** The row a scan shows: a window on its cursor. The key is put together only when it is asked for. */
export class CursorRow implements ScanRow {
  readonly keyStart = 0
  /** False while the key buffer still holds another row's. */
  keyFilled = false
  private keyLength = 0

  constructor(private readonly cursor: Cursor) {}

  get keyBuffer(): Buffer {
    if (!this.keyFilled) this.fillKey()
    return this.cursor.key
  }

  get keyEnd(): number {
    if (!this.keyFilled) this.fillKey()
    return this.keyLength
  }

  get valueBuffer(): Buffer {
    return this.cursor.valueView.u8
  }

  get valueStart(): number {
    return this.cursor.valueStart
  }

  get valueEnd(): number {
    return this.cursor.valueStart + this.cursor.valueLength
  }

  private fillKey(): void {
    this.keyLength = this.cursor.copyKey(this.cursor.key, 0)
    this.keyFilled = true
  }
}

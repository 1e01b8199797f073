import { LINES_PER_PAGE } from '../pmem/program.js'

/**
 * Where the next redo record goes in the log area (protocol C), in lines counted from the start of the log.
 *
 *     0        tail                head            length
 *     |  free   |  records since    |     free      |        not wrapped
 *               the checkpoint
 *
 * Records that one barrier makes durable follow each other line by line. With a barrier (`seal`) the next record begins on a
 * page of its own, so that no sector that holds an acknowledged record is written again. Records do not wrap: one that
 * does not fit before the end goes to the start, and recovery looks there once.
 */
export class RedoRing {
  readonly lengthLines: number
  /** Line where recovery starts: the anchor says so. The first of a page, like every line before which a barrier came. */
  private tail = 0
  /** Line the next record goes to if it fits there. */
  private head = 0
  private wrapped = false
  /** Lines that records, the gaps behind them up to a page, and the gap before a wrap take. */
  usedLines = 0

  constructor(readonly lengthPages: number) {
    this.lengthLines = lengthPages * LINES_PER_PAGE
  }

  /** First line for a record of so many lines, or -1: then only a checkpoint makes room. */
  place(lines: number): number {
    if (this.wrapped) return lines <= this.tail - this.head ? this.head : -1
    if (lines <= this.lengthLines - this.head) return this.head
    // Not onto the tail itself: recovery reads up to it.
    return lines <= this.tail ? 0 : -1
  }

  /** A record was written where `place` said. */
  take(line: number, lines: number): void {
    if (line < this.head) {
      this.usedLines += this.lengthLines - this.head
      this.wrapped = true
    }
    this.head = line + lines
    this.usedLines += lines
  }

  /** A barrier covers all records so far: the next one begins on a page of its own. Returns the first line of that page. */
  seal(): number {
    const next = Math.ceil(this.head / LINES_PER_PAGE) * LINES_PER_PAGE
    this.usedLines += next - this.head
    this.head = next
    return next
  }

  /** Line where the ring may begin anew after a checkpoint, for a record of so many lines to fit behind it. */
  restartLine(lines: number): number {
    const next = this.seal()
    return next + lines <= this.lengthLines ? next : 0
  }

  /** The anchor that says `line` is durable: what lies before it is free. */
  restart(line: number): void {
    this.tail = line
    this.head = line
    this.wrapped = false
    this.usedLines = 0
  }

  /** The anchor that says `line`, where some barrier ended, is durable: what lies before it is free, records behind it stay. */
  release(line: number): void {
    if (line === this.head) {
      this.restart(line)
      return
    }
    // Behind the tail in the upper part; else the release has passed the end of the ring.
    if (this.wrapped && line > this.tail) {
      this.usedLines = this.lengthLines - line + this.head
    } else {
      this.wrapped = false
      this.usedLines = this.head - line
    }
    this.tail = line
  }

  /** From here on a checkpoint is due: before the ring is so full that a commit has to wait for it. */
  get isHalfFull(): boolean {
    return this.usedLines * 2 >= this.lengthLines
  }
}

/** Words of a save: the frame, where its copy is, and what the tables of `PageSpace` said of the frame then. */
export const SAVE_WORDS = 6
export const SAVE_FRAME = 0
export const SAVE_BACKUP = 1
export const SAVE_DIRTY_LO = 2
export const SAVE_DIRTY_HI = 3
export const SAVE_FLAGS = 4
export const SAVE_LEVEL = 5

/**
 * The open savepoints and what each has saved, innermost last. Every asynchronous or relaxed write sets one, so nothing is
 * allocated: `bench` "relaxed put" and "1,000 outstanding puts" would notice it.
 *
 *     words   | saves of level 1 | saves of level 2 | ...      SAVE_WORDS each, the oldest first
 */
export class SavepointStack {
  depth = 0
  words = new Uint32Array(32 * SAVE_WORDS)
  /** Saves in all. */
  count = 0
  /** By level - 1: frames, words of extents, and saves there were when the savepoint was set. */
  private readonly frameCounts: number[] = []
  private readonly extentWords: number[] = []
  private readonly firstSaves: number[] = []

  set(frameCount: number, extentWords: number): void {
    const { depth } = this
    this.frameCounts[depth] = frameCount
    this.extentWords[depth] = extentWords
    this.firstSaves[depth] = this.count
    this.depth = depth + 1
  }

  /** Frames there were when the savepoint of a level was set. */
  frameCountAt(level: number): number {
    return this.frameCounts[level - 1]
  }

  /** Words of extents there were when the savepoint of a level was set. */
  extentWordsAt(level: number): number {
    return this.extentWords[level - 1]
  }

  /** First of the saves of a level. */
  firstSaveAt(level: number): number {
    return this.firstSaves[level - 1]
  }

  save(frame: number, backup: number, dirtyLo: number, dirtyHi: number, flags: number, level: number): void {
    const at = this.count * SAVE_WORDS
    if (at === this.words.length) this.growWords()
    const { words } = this
    words[at + SAVE_FRAME] = frame
    words[at + SAVE_BACKUP] = backup
    words[at + SAVE_DIRTY_LO] = dirtyLo
    words[at + SAVE_DIRTY_HI] = dirtyHi
    words[at + SAVE_FLAGS] = flags
    words[at + SAVE_LEVEL] = level
    this.count++
  }

  /** Ends the innermost savepoint; of its saves the first `kept` now belong to the one around it. */
  end(kept: number): void {
    this.count = this.firstSaves[this.depth - 1] + kept
    this.depth--
  }

  clear(): void {
    this.depth = 0
    this.count = 0
  }

  private growWords(): void {
    const words = new Uint32Array(this.words.length * 2)
    words.set(this.words)
    this.words = words
  }
}

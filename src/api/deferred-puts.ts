import { DaxkvError } from '../errors.js'
import { fitsInline } from '../tree/extent.js'
import { headOf, KeyBuffer, MAX_KEY_BYTES } from '../tree/key.js'
import type { Tree } from '../tree/tree.js'
import type { StoreContext } from './context.js'

/** Most puts kept; the place of a put takes ten bits of a sort key. */
const MAX_PUTS = 1024
const ARENA_WORDS = 64 * 1024
/** Fewer than this are not worth it. */
const MIN_PUTS = 4
/** Where so few are possible it is not asked again for so many puts. */
const PAUSE_PUTS = 64

/**
 * Asynchronous puts that were taken and are not staged yet. Staged together, in the order of their keys, they cost less than one
 * by one ("1,000 outstanding puts"): neighbours meet in leaves that are found once, and one savepoint serves all.
 * Whoever looks at the tip of the store has them staged first (`Engine.stageDeferred`).
 *
 * Puts of one group become durable together, so their order matters only among those of one key, and is kept there.
 * A put that could fail by itself is not taken: too large for a leaf, or when free pages are few. What fails all the same (damage,
 * no memory, a full file system) fails all that are kept.
 */
export class DeferredPuts {
  count = 0
  /** Most of this batch. */
  private capacity = 0
  private pause = 0
  /** Of each: its tree, where its key begins (a word), the bytes of the key, and of the value, which follows at the next word. */
  private readonly trees: Tree[] = []
  private readonly keyStarts = new Uint32Array(MAX_PUTS)
  private readonly keyLengths = new Uint32Array(MAX_PUTS)
  private readonly valueLengths = new Uint32Array(MAX_PUTS)
  private readonly order = new Float64Array(MAX_PUTS)
  private arena: Buffer | undefined
  private arenaWords: Int32Array = new Int32Array(0)
  private usedWords = 0
  private readonly key = new KeyBuffer()

  constructor(private readonly context: StoreContext) {}

  /**
   * Takes a put, of which it copies everything; false when it has to be staged by itself.
   * @throws DaxkvError POISONED
   */
  take(tree: Tree, key: Int32Array, keyLength: number, value: Uint8Array): boolean {
    const { engine } = this.context
    const valueLength = value.length
    // Saving a structure for this value may have closed a group.
    engine.usable()
    if (keyLength > MAX_KEY_BYTES || !fitsInline(keyLength, valueLength)) return false
    const keyWords = wordsOf(keyLength)
    const needed = keyWords + wordsOf(valueLength)
    if (this.count !== 0 && (this.count === this.capacity || this.usedWords + needed > ARENA_WORDS)) {
      if (this.count < MAX_PUTS) engine.batchIsFull(MAX_PUTS)
      engine.stageDeferred()
      engine.usable()
    }
    const { count } = this
    if (count === 0 && !this.begin()) return false
    const { arena, arenaWords, usedWords } = this
    if (arena === undefined) throw new DaxkvError('INTERNAL', 'a batch without memory')
    for (let i = 0; i < keyWords; i++) arenaWords[usedWords + i] = key[i]
    arena.set(value, (usedWords + keyWords) << 2)
    this.trees[count] = tree
    this.keyStarts[count] = usedWords
    this.keyLengths[count] = keyLength
    this.valueLengths[count] = valueLength
    this.usedWords = usedWords + needed
    this.count = count + 1
    return true
  }

  /** Puts everything to the trees, inside an operation of the engine. */
  stage(): void {
    const { count, order, trees, keyStarts, keyLengths, valueLengths, arena, arenaWords, key } = this
    // Before anything can fail.
    this.forget()
    if (arena === undefined) return
    try {
      this.sort(count)
      let tree: Tree | undefined
      let added = 0
      for (let i = 0; i < count; i++) {
        const put = order[i] % MAX_PUTS
        const keyLength = keyLengths[put]
        const start = keyStarts[put]
        const keyWords = wordsOf(keyLength)
        for (let word = 0; word < keyWords; word++) key.words[word] = arenaWords[start + word]
        const value = (start + keyWords) << 2
        // One tree after the other, or in turns: entries are counted for as many puts in a row as there are.
        if (trees[put] !== tree) {
          if (added !== 0) tree?.addEntries(added)
          added = 0
          tree = trees[put]
        }
        const valueLength = valueLengths[put]
        // A Buffer's subarray costs twice what this view costs. The arena begins where its memory does.
        const bytes = new Uint8Array(arena.buffer, value, valueLength)
        if (tree.putUncounted(key.bytes, keyLength, bytes, valueLength)) added++
      }
      if (added !== 0) tree?.addEntries(added)
      this.context.engine.checkFault()
    } catch (error) {
      throw this.context.readError(error)
    }
  }

  /** Drops everything. */
  forget(): void {
    this.count = 0
    this.usedWords = 0
  }

  private begin(): boolean {
    if (this.pause > 0) {
      this.pause--
      return false
    }
    this.capacity = this.context.engine.deferrable(MAX_PUTS)
    if (this.capacity < MIN_PUTS) {
      this.pause = PAUSE_PUTS
      return false
    }
    if (this.arena === undefined) {
      this.arena = Buffer.allocUnsafeSlow(ARENA_WORDS * 4)
      this.arenaWords = new Int32Array(this.arena.buffer)
    }
    return true
  }

  /**
   * Numbers of the puts in the order of their keys, as far as 42 bits behind what all keys have in common tell it; keys that agree
   * in them stay in the order of the calls. Sorting doubles needs no comparator.
   */
  private sort(count: number): void {
    const { order, keyStarts, keyLengths, arenaWords } = this
    const first = keyStarts[0]
    let common = keyLengths[0] >>> 2
    for (let put = 1; put < count; put++) {
      const start = keyStarts[put]
      const length = Math.min(common, keyLengths[put] >>> 2)
      let same = 0
      while (same < length && arenaWords[first + same] === arenaWords[start + same]) same++
      common = same
    }
    for (let put = 0; put < count; put++) {
      const from = (keyStarts[put] + common) << 2
      const end = (keyStarts[put] << 2) + keyLengths[put]
      // Heads are ordered as int32.
      const high = headOf(arenaWords, from, end) + 0x8000_0000
      const low = (headOf(arenaWords, from + 4, end) ^ -0x8000_0000) >>> 22
      order[put] = (high * 1024 + low) * MAX_PUTS + put
    }
    order.subarray(0, count).sort()
  }
}

function wordsOf(byteLength: number): number {
  return (byteLength + 3) >>> 2
}

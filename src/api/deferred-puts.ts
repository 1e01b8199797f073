import { DaxkvError } from '../errors.js'
import { fitsInline } from '../tree/extent.js'
import { MAX_KEY_BYTES } from '../tree/node.js'
import type { Tree } from '../tree/tree.js'
import type { StoreContext } from './context.js'

/** Most puts kept; the place of a put takes ten bits of a sort key. */
const MAX_PUTS = 1024
const ARENA_BYTES = 256 * 1024
/** Pages for branches that split. */
const SPARE_PAGES = 24
/** Fewer than this are not worth it. */
const MIN_PUTS = 4

/**
 * Asynchronous puts that were taken and are not staged yet. Staged together, in the order of their keys, a thousand of them cost
 * half of what they would one by one: neighbours meet in leaves that are found once, and one savepoint serves all.
 * Whoever looks at the tip of the store has them staged first (`Engine.stageDeferred`).
 *
 * Puts of one group become durable together, so their order matters only among those of one key, and is kept there.
 * A put that could fail by itself is not taken: too large for a leaf, or when free pages are few. What fails all the same (damage,
 * no memory) fails all that are kept.
 */
export class DeferredPuts {
  count = 0
  /** Most that the free pages allow of this batch. */
  private capacity = 0
  /** Of each: its tree, where its key begins (a word), the bytes of the key, and of the value, which follows at the next word. */
  private readonly trees: Tree[] = []
  private readonly keyWords = new Uint32Array(MAX_PUTS)
  private readonly keyLengths = new Uint32Array(MAX_PUTS)
  private readonly valueLengths = new Uint32Array(MAX_PUTS)
  private readonly order = new Float64Array(MAX_PUTS)
  private arena: Buffer | undefined
  private arenaWords: Int32Array = new Int32Array(0)
  private usedWords = 0
  private readonly key = Buffer.alloc(MAX_KEY_BYTES + 2)
  private readonly words = new Int32Array(this.key.buffer, this.key.byteOffset, this.key.length >>> 2)

  constructor(private readonly context: StoreContext) {}

  /** Takes a put, of which it copies everything; false when it has to be staged by itself. */
  take(tree: Tree, words: Int32Array, keyLength: number, value: Uint8Array): boolean {
    const valueLength = value.length
    if (keyLength > MAX_KEY_BYTES || !fitsInline(keyLength, valueLength)) return false
    const keyWords = (keyLength + 3) >>> 2
    const needed = keyWords + ((valueLength + 3) >>> 2)
    const { engine } = this.context
    if (this.count !== 0 && (this.count === this.capacity || this.usedWords + needed > ARENA_BYTES / 4)) {
      engine.stageDeferred()
    }
    const { count } = this
    if (count === 0 && !this.begin()) return false
    const { arena, arenaWords, usedWords } = this
    if (arena === undefined) throw new DaxkvError('INTERNAL', 'a batch without memory')
    for (let i = 0; i < keyWords; i++) arenaWords[usedWords + i] = words[i]
    arena.set(value, (usedWords + keyWords) << 2)
    this.trees[count] = tree
    this.keyWords[count] = usedWords
    this.keyLengths[count] = keyLength
    this.valueLengths[count] = valueLength
    this.usedWords = usedWords + needed
    this.count = count + 1
    return true
  }

  /** Puts everything to the trees, inside an operation of the engine. */
  stage(): void {
    const { count, order, trees, keyWords, keyLengths, valueLengths, arena, arenaWords, key, words } = this
    // Before anything can fail, and because a tree may come back to `Engine.stageDeferred`.
    this.forget()
    if (arena === undefined) return
    try {
      this.sort(count)
      for (let i = 0; i < count; i++) {
        const put = order[i] % MAX_PUTS
        const keyLength = keyLengths[put]
        const from = keyWords[put]
        const length = (keyLength + 3) >>> 2
        for (let word = 0; word < length; word++) words[word] = arenaWords[from + word]
        const value = (from + length) << 2
        trees[put].put(key, keyLength, arena.subarray(value, value + valueLengths[put]))
      }
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
    const { engine } = this.context
    // Each put splits a leaf at worst. Where few pages are left, puts are staged by themselves, and may raise the capacity.
    const free = engine.atTip(() => engine.allocator.countFree(MAX_PUTS + SPARE_PAGES))
    this.capacity = free - SPARE_PAGES
    if (this.capacity < MIN_PUTS) return false
    if (this.arena === undefined) {
      this.arena = Buffer.allocUnsafeSlow(ARENA_BYTES)
      this.arenaWords = new Int32Array(this.arena.buffer)
    }
    return true
  }

  /**
   * Numbers of the puts in the order of their keys, as far as 42 bits behind what all keys have in common tell it; keys that agree
   * in them stay in the order of the calls. Sorting doubles needs no comparator.
   */
  private sort(count: number): void {
    const { order, keyWords, keyLengths, arenaWords } = this
    const first = keyWords[0]
    let common = keyLengths[0] >>> 2
    for (let put = 1; put < count; put++) {
      const at = keyWords[put]
      const length = Math.min(common, keyLengths[put] >>> 2)
      let same = 0
      while (same < length && arenaWords[first + same] === arenaWords[at + same]) same++
      common = same
    }
    for (let put = 0; put < count; put++) {
      const at = keyWords[put] + common
      const bytes = keyLengths[put] - (common << 2)
      const high = bigEndian(arenaWords[at], bytes)
      const low = bytes > 4 ? bigEndian(arenaWords[at + 1], bytes - 4) : 0
      order[put] = (high * 1024 + (low >>> 22)) * MAX_PUTS + put
    }
    order.subarray(0, count).sort()
  }
}

/** The first four of so many bytes of a word as a number whose order is theirs, zero padded. */
function bigEndian(word: number, bytes: number): number {
  if (bytes <= 0) return 0
  const swapped = (word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff_0000) | (word << 24)
  return (bytes >= 4 ? swapped : swapped & (-1 << (32 - (bytes << 3)))) >>> 0
}

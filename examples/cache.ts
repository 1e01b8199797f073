/**
 * A cache with a time to live and a bound on its size. Entries are found by their utf8 key; a second keyspace lists
 * them by the uint32 number of their last write, so that the oldest go first; both change in one transaction.
 */
import assert from 'node:assert/strict'
import { type Keyspace, open, type Store } from 'daxkv'
import { poolPath } from './support/pool-path.js'

interface Entry<T> {
  value: T
  expiresMs: number
  /** Number of the write, its key in `writes`. */
  write: number
}

class Cache<T> {
  private readonly entries: Keyspace<string, Entry<T>>
  private readonly writes: Keyspace<number, string>
  /** Who computes a missing value now: key -> name of the worker. */
  private readonly workers: Keyspace<string, string>

  constructor(
    private readonly store: Store,
    private readonly options: { maxEntries: number; ttlMs: number },
  ) {
    this.entries = store.keyspace<string, Entry<T>>('cache', { keyEncoding: 'utf8' })
    this.writes = store.keyspace<number, string>('cache-writes', { keyEncoding: 'uint32', valueEncoding: 'string' })
    this.workers = store.keyspace<string, string>('cache-workers', { keyEncoding: 'utf8', valueEncoding: 'string' })
  }

  get(key: string, nowMs: number): T | undefined {
    const entry = this.entries.get(key)
    return entry === undefined || entry.expiresMs <= nowMs ? undefined : entry.value
  }

  set(key: string, value: T, nowMs: number): void {
    this.store.transaction(() => {
      const write = (this.writes.last()?.[0] ?? -1) + 1
      this.entries.update(key, (old) => {
        if (old !== undefined) this.writes.delete(old.write)
        return { value, expiresMs: nowMs + this.options.ttlMs, write }
      })
      this.writes.put(write, key)
      this.workers.delete(key)
      const excess = this.entries.count() - this.options.maxEntries
      for (const [oldest, victim] of this.writes.range({ limit: Math.max(0, excess) })) {
        this.entries.delete(victim)
        this.writes.delete(oldest)
      }
    })
  }

  /** True for the one worker that is to compute the value of a key; the others wait for it. */
  claim(key: string, worker: string): boolean {
    return this.workers.compareAndSet(key, undefined, worker)
  }

  /** Removes what has expired; the time to live being the same for all, the oldest writes expire first. */
  sweep(nowMs: number): number {
    return this.store.transaction(() => {
      let removed = 0
      for (const [write, key] of this.writes) {
        if ((this.entries.get(key) as Entry<T>).expiresMs > nowMs) break
        this.entries.delete(key)
        this.writes.delete(write)
        removed++
      }
      return removed
    })
  }

  keys(): string[] {
    return [...this.entries.keys()]
  }
}

// Without `using` (plain JavaScript on Node 20 has none): close in finally.
const store = open(poolPath('cache'), { maxSizeBytes: 64 * 1024 * 1024 })
try {
  const cache = new Cache<{ temperature: number }>(store, { maxEntries: 3, ttlMs: 1000 })
  cache.set('Oslo', { temperature: -4 }, 0)
  cache.set('Lima', { temperature: 19 }, 100)
  cache.set('Pune', { temperature: 31 }, 200)
  cache.set('Oslo', { temperature: -5 }, 300) // now the youngest
  assert.deepEqual(cache.get('Oslo', 1299), { temperature: -5 })
  assert.equal(cache.get('Oslo', 1300), undefined)

  cache.set('Bonn', { temperature: 8 }, 400) // one too many: the oldest write makes room
  assert.deepEqual(cache.keys(), ['Bonn', 'Oslo', 'Pune'])

  assert.ok(cache.claim('Lima', 'worker 1'))
  assert.ok(!cache.claim('Lima', 'worker 2'))
  cache.set('Lima', { temperature: 20 }, 500)
  assert.ok(cache.claim('Lima', 'worker 2')) // free again

  assert.equal(cache.sweep(1450), 2)
  assert.deepEqual(cache.keys(), ['Lima'])
  console.log('6 values cached, 2 made room, 2 expired, 1 left')
} finally {
  store.close()
}

/**
 * A job queue that survives the death of its workers. Jobs wait under the key [due time, id], so the next one is
 * simply the first; a claimed job lies under [deadline, id] and comes back when its worker has not acknowledged it
 * by then. Each step is one transaction: a job is always in exactly one place.
 */
import assert from 'node:assert/strict'
import { type Keyspace, open, type Store } from 'daxkv'
import { poolPath } from './support/pool-path.js'

type TimeAndId = [timeMs: number, id: number]

interface Job<T> {
  payload: T
  attempts: number
}

interface Claim<T> extends Job<T> {
  key: TimeAndId
}

class JobQueue<T> {
  private readonly waiting: Keyspace<TimeAndId, Job<T>>
  private readonly claimed: Keyspace<TimeAndId, Job<T>>
  private readonly failed: Keyspace<number, Job<T>>
  private readonly counters: Keyspace<string, number>

  constructor(
    private readonly store: Store,
    private readonly options: { maxAttempts: number; leaseMs: number; retryDelayMs: number },
  ) {
    this.waiting = store.keyspace<TimeAndId, Job<T>>('jobs-waiting')
    this.claimed = store.keyspace<TimeAndId, Job<T>>('jobs-claimed')
    this.failed = store.keyspace<number, Job<T>>('jobs-failed', { keyEncoding: 'uint32' })
    this.counters = store.keyspace<string, number>('counters')
  }

  add(payload: T, dueMs: number): number {
    return this.store.transaction(() => {
      const id = this.counters.update('last-job', (last = 0) => last + 1) as number
      this.waiting.put([dueMs, id], { payload, attempts: 0 })
      return id
    })
  }

  /** The job that is due longest, or undefined. It must be acknowledged within the lease. */
  claim(nowMs: number): Claim<T> | undefined {
    return this.store.transaction(() => {
      this.takeBackExpired(nowMs)
      const next = this.waiting.first({ lt: [nowMs + 1, 0] })
      if (next === undefined) return undefined
      const [[dueMs, id], job] = next
      const key: TimeAndId = [nowMs + this.options.leaseMs, id]
      const attempt = { ...job, attempts: job.attempts + 1 }
      this.waiting.delete([dueMs, id])
      this.claimed.put(key, attempt)
      return { ...attempt, key }
    })
  }

  /** The job is done. False when its lease had run out, and somebody else may be doing it again. */
  acknowledge({ key }: Claim<T>): boolean {
    return this.claimed.delete(key)
  }

  /** The job failed: try again later, or set it aside after too many attempts. */
  retry({ key }: Claim<T>, nowMs: number): void {
    this.store.transaction(() => {
      const job = this.claimed.get(key)
      if (job !== undefined) this.putBack(key, job, nowMs + this.options.retryDelayMs)
    })
  }

  counts(): { waiting: number; claimed: number; failed: number } {
    return { waiting: this.waiting.count(), claimed: this.claimed.count(), failed: this.failed.count() }
  }

  private takeBackExpired(nowMs: number): void {
    for (const [key, job] of this.claimed.range({ lt: [nowMs, 0] })) this.putBack(key, job, nowMs)
  }

  private putBack(key: TimeAndId, job: Job<T>, dueMs: number): void {
    this.claimed.delete(key)
    if (job.attempts < this.options.maxAttempts) this.waiting.put([dueMs, key[1]], job)
    else this.failed.put(key[1], job)
  }
}

using store = open(poolPath('job-queue'))
const queue = new JobQueue<string>(store, { maxAttempts: 2, leaseMs: 1000, retryDelayMs: 50 })

queue.add('send the invoice', 10)
queue.add('water the plants', 5)
queue.add('divide by zero', 20)
queue.add('next year', 999_999)

// The earliest due job comes first, whatever the order of adding.
const plants = queue.claim(100)
assert.equal(plants?.payload, 'water the plants')
assert.ok(queue.acknowledge(plants))

// A worker that dies never acknowledges: after the lease its job is given to another one.
const lost = queue.claim(100)
assert.equal(lost?.payload, 'send the invoice')
const poison = queue.claim(100)
assert.equal(poison?.payload, 'divide by zero')
queue.retry(poison, 100)
assert.equal(queue.claim(120), undefined) // not due again before 150
const again = queue.claim(1101)
assert.equal(again?.payload, 'divide by zero')
const second = queue.claim(1101)
assert.equal(second?.payload, 'send the invoice')
assert.equal(second.attempts, 2)
assert.ok(!queue.acknowledge(lost)) // too late: the first worker learns that it has lost the job
assert.ok(queue.acknowledge(second))

// Two attempts are enough: the job that always fails is set aside.
queue.retry(again, 1200)
assert.equal(queue.claim(2000), undefined)
assert.deepEqual(queue.counts(), { waiting: 1, claimed: 0, failed: 1 })
console.log('4 jobs: 2 done, 1 set aside after 2 attempts, 1 waiting for its time')

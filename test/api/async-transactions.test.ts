/** Asynchronous transactions: isolation, conflicts, reruns, and what an ended one refuses. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import { open, type Store, type StoreOptions } from '../../src/index.js'
import { memoryStore, poolPath } from './support.js'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const KINDS: readonly [name: string, make: (t: TestContext) => Store][] = [
  ['in memory', (t) => memoryStore(t)],
  ['in a file, in groups', (t) => fileStore(t, {})],
  ['in a file, relaxed', (t) => fileStore(t, { durability: 'relaxed' })],
]

function fileStore(t: TestContext, options: StoreOptions): Store {
  const store = open(poolPath(t), { forceGranularity: 'page', ...options })
  t.after(() => {
    store.close()
  })
  return store
}

for (const [name, make] of KINDS) {
  test(`writes appear together at the end, and are read by the transaction before (${name})`, async (t) => {
    const store = make(t)
    const users = store.keyspace<string, { n: number }>('users', { keyEncoding: 'utf8' })
    users.put('a', { n: 1 })
    const result = await store.transactionAsync(async (tx) => {
      const mine = tx.in(users)
      assert.deepEqual(mine.get('a'), { n: 1 })
      mine.put('a', { n: 2 })
      mine.put('b', { n: 3 })
      assert.equal(mine.delete('c'), false)
      tx.put('default', 'x')
      await turn()
      assert.deepEqual(users.get('a'), { n: 1 })
      assert.deepEqual(mine.getMany(['a', 'b', 'c']), [{ n: 2 }, { n: 3 }, undefined])
      assert.deepEqual(
        [...mine.range()],
        [
          ['a', { n: 2 }],
          ['b', { n: 3 }],
        ],
      )
      assert.equal(mine.delete('a'), true)
      assert.equal(mine.putIfAbsent('b', { n: 9 }), false)
      assert.deepEqual(
        mine.update('b', (user) => ({ n: (user?.n ?? 0) + 1 })),
        { n: 4 },
      )
      assert.deepEqual([...mine.keys()], ['b'])
      return 'done'
    })
    assert.equal(result, 'done')
    assert.deepEqual([...users.range()], [['b', { n: 4 }]])
    assert.equal(store.get('default'), 'x')
    assert.deepEqual(store.check().problems, [])
  })

  test(`a value read and changed by somebody else is a conflict, at the next read or at the end (${name})`, async (t) => {
    const store = make(t)
    store.put('a', 1)
    store.put('b', 1)
    const seen: unknown[] = []
    const sum = await store.transactionAsync(async (tx) => {
      const a = tx.get('a') as number
      if (tx.reruns === 0) store.transaction(() => (store.put('a', 2), store.put('b', 2)))
      await turn()
      // Never 1 and 2: the run is over before.
      const b = tx.get('b') as number
      seen.push([a, b])
      tx.put('sum', a + b)
      return a + b
    })
    assert.equal(sum, 4)
    assert.deepEqual(seen, [[2, 2]])
    await assert.rejects(
      store.transactionAsync(
        async (tx) => {
          tx.get('a')
          store.put('a', 3)
          await turn()
          tx.put('lost', 1)
        },
        { onConflict: 'error' },
      ),
      { code: 'CONFLICT' },
    )
    assert.equal(store.has('lost'), false)
    let runs = 0
    await assert.rejects(
      store.transactionAsync(
        (tx) => {
          runs++
          tx.get('a')
          store.put('a', 100 + runs)
          tx.put('lost', 1)
        },
        { maxReruns: 3 },
      ),
      { code: 'CONFLICT', message: /3 reruns/ },
    )
    assert.equal(runs, 4)
  })

  test(`writes to other keys, and to keys read but left equal, are no conflict (${name})`, async (t) => {
    const store = make(t)
    for (let i = 0; i < 50; i++) store.put(i, i)
    await store.transactionAsync(
      async (tx) => {
        tx.get(1)
        assert.deepEqual([...tx.keys({ gte: 10, lt: 20 })].length, 10)
        store.put(1, 1)
        store.put(30, 'other')
        store.delete(40)
        await store.putAsync(41, 'other')
        await turn()
        tx.put(2, 'mine')
      },
      { onConflict: 'error' },
    )
    assert.equal(store.get(2), 'mine')
  })

  test(`a key added in a range that was gone through is a conflict, beyond where it was left it is none (${name})`, async (t) => {
    const store = make(t)
    for (let i = 0; i < 100; i += 10) store.put(i, i)
    const read = (reverse: boolean, added: number): Promise<void> =>
      store.transactionAsync(
        async (tx) => {
          let rows = 0
          for (const key of tx.keys({ reverse })) {
            rows++
            if (key === 50) break
          }
          assert.equal(rows, reverse ? 5 : 6)
          await turn()
          store.put(added, 'new')
          tx.put('mine', added)
        },
        { onConflict: 'error' },
      )
    await assert.rejects(read(false, 25), { code: 'CONFLICT' })
    store.delete(25)
    await read(false, 75)
    store.delete(75)
    store.delete('mine')
    await assert.rejects(read(true, 75), { code: 'CONFLICT' })
  })

  test(`a callback that throws or rejects writes nothing, and an ended handle refuses everything (${name})`, async (t) => {
    const store = make(t)
    let kept: { put(key: string, value: unknown): void; get(key: string): unknown } | undefined
    await assert.rejects(
      store.transactionAsync(async (tx) => {
        kept = tx
        tx.put('a', 1)
        await turn()
        throw new RangeError('of the caller')
      }),
      RangeError,
    )
    assert.equal(store.has('a'), false)
    assert.throws(() => kept?.get('a'), { code: 'CLOSED' })
    assert.throws(() => kept?.put('a', 1), { code: 'CLOSED' })
    await assert.rejects(
      store.transactionAsync((tx) => {
        tx.put('x'.repeat(5000), 1)
      }),
      { code: 'KEY_TOO_LONG' },
    )
    await assert.rejects(
      store.transactionAsync((tx) => {
        tx.put('f', undefined)
      }),
      { code: 'INVALID_ARGUMENT' },
    )
    await assert.rejects(
      store.transactionAsync((tx) => {
        store.transaction(() => {
          tx.put('nested', { some: 'object' })
        })
      }),
      { code: 'BUSY' },
    )
    await assert.rejects(
      store.transactionAsync(() => 1, { onConflict: 'no' as never }),
      { code: 'INVALID_ARGUMENT' },
    )
    assert.equal(store.count(), 0)
  })

  test(`counters incremented by many transactions at once lose nothing (${name})`, async (t) => {
    const store = make(t)
    const increment = (key: string): Promise<void> =>
      store.transactionAsync(
        async (tx) => {
          const value = (tx.get(key) as number | undefined) ?? 0
          await turn()
          tx.put(key, value + 1)
        },
        { maxReruns: 1000 },
      )
    const all: Promise<void>[] = []
    for (let i = 0; i < 30; i++) all.push(increment(`counter ${i % 3}`))
    for (let i = 0; i < 10; i++) {
      await turn()
      store.update('counter 0', (value) => ((value as number | undefined) ?? 0) + 1)
    }
    await Promise.all(all)
    assert.deepEqual([store.get('counter 0'), store.get('counter 1'), store.get('counter 2')], [20, 10, 10])
  })
}

test('ranges of a transaction are those of a map with its writes applied, whatever their bounds', async (t) => {
  const store = memoryStore(t)
  const small = fc.integer({ min: 0, max: 20 })
  const bound = fc.option(small, { nil: undefined })
  await fc.assert(
    fc.asyncProperty(
      fc.array(small),
      fc.array(fc.tuple(small, fc.boolean())),
      bound,
      bound,
      fc.boolean(),
      fc.integer({ min: 0, max: 3 }),
      fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined }),
      async (before, writes, gte, lt, reverse, offset, limit) => {
        store.clear()
        for (const key of before) store.put(key, `old ${key}`)
        const model = new Map(before.map((key) => [key, `old ${key}`]))
        await store.transactionAsync((tx) => {
          for (const [key, put] of writes) {
            if (put) {
              tx.put(key, `new ${key}`)
              model.set(key, `new ${key}`)
            } else {
              assert.equal(tx.delete(key), model.delete(key))
            }
          }
          let rows = [...model].sort(([a], [b]) => (reverse ? b - a : a - b))
          rows = rows.filter(([key]) => (gte === undefined || key >= gte) && (lt === undefined || key < lt))
          rows = rows.slice(offset, limit === undefined ? undefined : offset + limit)
          assert.deepEqual([...tx.range({ gte, lt, reverse, offset, limit })], rows)
        })
        assert.deepEqual(
          new Map(store.range() as Iterable<[number, string]>),
          new Map([...model].sort(([a], [b]) => a - b)),
        )
      },
    ),
  )
})

test('what was read in the first moments of the process, before WebAssembly is there, is compared correctly later', () => {
  const script = `
    import { open } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
    const store = open(':memory:')
    for (let i = 0; i < 40; i++) store.put(i, 'value ' + i)
    await store.transactionAsync(async (tx) => {
      const rows = [...tx.range()].length + [...tx.range({ reverse: true })].length
      tx.get(1)
      await new Promise((resolve) => setTimeout(resolve, 500))
      store.put(1, 'value 1')
      tx.put('rows', rows)
    }, { onConflict: 'error' })
    console.log(store.get('rows'))
  `
  const child = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  assert.equal(child.stdout.trim(), '80', child.stderr)
})

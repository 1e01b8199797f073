import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Store } from 'daxkv'
import { crashTest, CrashTestError } from 'daxkv/crash-kit'
import type { CrashFailure, CrashTestOptions } from 'daxkv/crash-kit'

type Bank = Store<string, number>

const setup = (bank: Bank): void => {
  bank.put('alice', 100)
  bank.put('bob', 0)
}
const sumIs100 = (bank: Bank): boolean => (bank.get('alice') ?? 0) + (bank.get('bob') ?? 0) === 100

/** A transfer in two transactions: the invariant does not hold in between. */
function careless(bank: Bank): void {
  bank.put('alice', 60)
  bank.put('bob', 40)
}
const careful = (bank: Bank): void => {
  bank.transaction(() => {
    careless(bank)
  })
}
const quick = { exhaustiveLimit: 8, samples: 4 } as const

async function failureOf(options: CrashTestOptions<string, number>): Promise<CrashFailure> {
  const { failure, ok, complete } = await crashTest<string, number>({ ...options, throws: false })
  assert.ok(failure !== undefined, 'nothing was found')
  assert.deepEqual([ok, complete], [false, false])
  return failure
}

describe('crashTest', () => {
  it('passes transactions that keep the invariant, in every model and logging, and counts what it did', async () => {
    const result = await crashTest<string, number>({ setup, workload: careful, check: sumIs100 })
    assert.equal(result.ok, true)
    assert.equal(result.complete, true)
    assert.equal(result.failure, undefined)
    assert.equal(result.transactions, 1)
    assert.deepEqual(
      result.runs.map(({ logging, model }) => `${logging} ${model}`),
      ['undo', 'redo'].flatMap((logging) =>
        ['cache-line', 'byte', 'page', 'kill'].map((model) => `${logging} ${model}`),
      ),
    )
    for (const { points, images, distinct } of result.runs)
      assert.ok(points > 5 && images >= points && distinct <= images)
    for (const name of ['points', 'images', 'distinct'] as const) {
      assert.equal(
        result.runs.reduce((sum, run) => sum + run[name], 0),
        result[name],
        name,
      )
    }
    // Before and after, of each logging.
    assert.equal(result.contents, 4)
  })

  for (const model of ['cache-line', 'byte', 'page', 'kill'] as const) {
    for (const logging of ['undo', 'redo'] as const) {
      it(`finds a transfer made of two transactions under ${model} with ${logging}`, async () => {
        const failure = await failureOf({
          setup,
          workload: careless,
          check: sumIs100,
          models: [model],
          logging: [logging],
        })
        assert.deepEqual([failure.kind, failure.model, failure.logging, failure.found], ['check', model, logging, 1])
        assert.equal(failure.transactions.length, 2)
        const [first, second] = failure.transactions.map(({ call }) => call)
        assert.deepEqual([first.method, first.key, second.method, second.key], ['put', '"alice"', 'put', '"bob"'])
        for (const { sites } of [first, second]) {
          assert.ok(sites[0].file.endsWith('crash-kit.test.ts'), sites[0].file)
          assert.equal(sites[0].functionName, 'careless')
        }
        assert.equal(second.sites[0].line, first.sites[0].line + 1)
      })
    }
  }

  it('throws an error that says what was found, where to look and how to replay it', async () => {
    const error: unknown = await crashTest<string, number>({ setup, workload: careless, check: sumIs100 }).catch(
      (thrown: unknown) => thrown,
    )
    assert.ok(error instanceof CrashTestError)
    const { failure, message, result } = error
    assert.equal(result.failure, failure)
    assert.match(message, /^check\(\) returned false\n/)
    assert.match(message, /model cache-line, logging undo, seed 1: crash after event \d+/)
    assert.match(message, /holds 1 of 2 transactions/)
    assert.match(message, /1\. put "alice" at careless \(.*crash-kit\.test\.ts:\d+:\d+\): recovered/)
    assert.match(message, /2\. put "bob" at careless \(.*crash-kit\.test\.ts:\d+:\d+\): not there/)
    assert.match(message, /store\.transaction\(\)/)
    assert.ok(message.includes(`replay: '${String(failure.replay)}'`))
  })

  it('passes on what check threw, as cause', async () => {
    const thrown = new RangeError('no')
    const failure = await failureOf({
      setup,
      workload: careless,
      check: (bank) => {
        if (!sumIs100(bank)) throw thrown
      },
    })
    assert.equal(failure.cause, thrown)
    assert.match(failure.message, /^check\(\) threw RangeError: no\n/)
  })

  it('replays one crash by its token, with the same message', async () => {
    const test = { setup, workload: careless, check: sumIs100, models: ['page', 'kill'], seed: 7 } as const
    const failure = await failureOf(test)
    const { images, failure: again } = await crashTest<string, number>({
      ...test,
      replay: failure.replay ?? '',
      throws: false,
    })
    assert.equal(images, 1)
    assert.equal(again?.message, failure.message)
    const fixed = await crashTest<string, number>({
      ...test,
      workload: careless,
      check: () => true,
      replay: failure.replay ?? '',
    })
    assert.equal(fixed.ok, true)
  })

  it('refuses a token of a workload that does something else now, and what is no token', async () => {
    const { replay = '' } = await failureOf({ setup, workload: careless, check: sumIs100 })
    const other = crashTest<string, number>({ setup, workload: careful, check: sumIs100, replay })
    await assert.rejects(other, { code: 'INVALID_ARGUMENT', message: /caused \d+ events .* and \d+ now/ })
    const wrong = crashTest<string, number>({ workload: careful, check: sumIs100, replay: 'last' })
    await assert.rejects(wrong, { code: 'INVALID_ARGUMENT', message: /'last' is no replay token/ })
  })

  it('tells a check that fails without any crash from one that fails after a crash', async () => {
    const setupFails = await failureOf({ setup, workload: careful, check: (bank) => bank.get('alice') !== 100 })
    assert.equal(setupFails.kind, 'check-without-crash')
    assert.match(setupFails.message, /without any crash, of the store as setup has left it/)
    assert.equal(setupFails.replay, undefined)
    const workloadFails = await failureOf({ setup, workload: careful, check: (bank) => bank.get('alice') === 100 })
    assert.match(workloadFails.message, /without any crash, of the store as the workload has left it/)
  })

  it('recovers nested transactions, aborts, several keyspaces, large values, growth and a close', async () => {
    interface Note {
      text: string
      tags: string[]
    }
    const result = await crashTest<string>({
      exhaustiveLimit: 2,
      samples: 1,
      store: { initialSizeBytes: 88 * 1024, growthStepBytes: 16 * 1024, logSizeBytes: 16 * 1024 },
      setup: (store) => store.keyspace('notes').put('old', { text: 'x', tags: [] }),
      workload: (store) => {
        const notes = store.keyspace<string, Note>('notes')
        const index = store.keyspace<string, string[]>('index')
        store.transaction(() => {
          notes.put('new', { text: 'y'.repeat(5_000), tags: ['a'] })
          index.put('a', ['new'])
          assert.throws(() =>
            store.transaction(() => {
              index.put('b', ['nothing'])
              throw new Error('taken back')
            }),
          )
        })
        assert.throws(() => store.transaction(() => index.put('c', ['nothing']) ?? assert.fail('aborted')))
        for (let i = 0; i < 4; i++) {
          store.transaction(() => {
            notes.put(`large ${i}`, { text: 'z'.repeat(9_000), tags: [`t${i}`] })
            index.update(`t${i}`, (names = []) => [...names, `large ${i}`])
          })
        }
        notes.delete('old')
        assert.ok(store.stats().growths > 0, 'the pool grew')
      },
      check: (store) => {
        const notes = store.keyspace<string, Note>('notes')
        const index = store.keyspace<string, string[]>('index')
        for (const [name, { tags }] of notes) for (const tag of tags) assert.ok(index.get(tag)?.includes(name))
        for (const [tag, names] of index) for (const name of names) assert.ok(notes.get(name)?.tags.includes(tag))
      },
    })
    assert.equal(result.ok, true)
    // The keyspace `index` is one of its own.
    assert.equal(result.transactions, 7)
  })

  it('takes asynchronous callbacks', async () => {
    const failure = await failureOf({
      setup: async (bank) => {
        await Promise.resolve()
        setup(bank)
      },
      workload: async (bank) => {
        bank.put('alice', 60)
        await Promise.resolve()
        bank.put('bob', 40)
      },
      check: async (bank) => {
        await Promise.resolve()
        return sumIs100(bank)
      },
    })
    assert.equal(failure.kind, 'check')
    assert.equal(failure.transactions[1].call.key, '"bob"')
  })

  it('takes the encodings of the store', async () => {
    const { ok, transactions } = await crashTest<number, string>({
      ...quick,
      store: { keyEncoding: 'uint32', valueEncoding: 'string' },
      workload: (store) => store.batch([1, 2, 3].map((key) => ({ type: 'put', key, value: String(key) }))),
      check: (store) => [0, 3].includes(store.count()) && [...store].every(([key, value]) => value === String(key)),
    })
    assert.deepEqual([ok, transactions], [true, 1])
  })

  it('stops after maxImages and says that it is not complete', async () => {
    const { ok, complete, images } = await crashTest<string, number>({
      setup,
      workload: careful,
      check: sumIs100,
      maxImages: 10,
    })
    assert.deepEqual([ok, complete, images], [true, false, 10])
  })

  it('does the same in every run', async () => {
    const test = { setup, workload: careful, check: sumIs100, samples: 50, exhaustiveLimit: 4, seed: 3 } as const
    const [first, second] = [await crashTest<string, number>(test), await crashTest<string, number>(test)]
    assert.deepEqual(second, first)
  })

  it('refuses writes that join a group, which it cannot explore yet', async () => {
    const test = crashTest<string, number>({
      setup,
      workload: (bank) => bank.putAsync('alice', 60),
      check: () => true,
    })
    await assert.rejects(test, { code: 'INVALID_ARGUMENT', message: /putAsync is not explored yet; write put/ })
  })

  it('refuses relaxed commits, of one write and of the whole store, whose loss is no defect', async () => {
    const test = { setup, check: () => true } as const
    const write = crashTest<string, number>({
      ...test,
      workload: (bank) => bank.put('alice', 60, { durability: 'relaxed' }),
    })
    await assert.rejects(write, { code: 'INVALID_ARGUMENT', message: /relaxed transactions are not explored/ })
    const whole = crashTest<string, number>({ ...test, workload: careful, store: { durability: 'relaxed' } })
    await assert.rejects(whole, { code: 'INVALID_ARGUMENT', message: /relaxed stores are not explored/ })
  })

  it('refuses wrong options by name', async () => {
    const wrong = (options: object): Promise<unknown> =>
      crashTest({ workload: careful, check: sumIs100, ...options } as never)
    await assert.rejects(wrong({ workload: undefined }), { message: /option 'workload' is missing/ })
    await assert.rejects(wrong({ check: 5 }), { message: /option 'check' must be a function/ })
    await assert.rejects(wrong({ models: ['cache line'] }), {
      message: /option 'models' must be a list of cache-line, byte/,
    })
    await assert.rejects(wrong({ model: 'kill' }), { code: 'UNKNOWN_OPTION', message: /did you mean 'models'/ })
    await assert.rejects(wrong({ store: { logSizeBytes: 1 } }), { code: 'INVALID_ARGUMENT' })
  })
})

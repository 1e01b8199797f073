/**
 * The types of the public interface, checked by the compiler (`npm run typecheck`); running the file only proves that
 * it loads. Every `@ts-expect-error` is a call that must not compile.
 */
import test from 'node:test'
import { crashTest } from '../../src/crash-kit/index.js'
import type { CrashFailure, CrashTestResult } from '../../src/crash-kit/index.js'
import { open } from '../../src/index.js'
import type { DaxkvErrorCode, Key, Keyspace, RangeOptions, ScanRow, Store } from '../../src/index.js'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

function holds<T extends true>(): T | undefined {
  return undefined
}

interface User {
  name: string
  born?: number
}

/** Never called: only its types matter. */
export function typesOfTheInterface(): void {
  const plain = open('a.pool')
  holds<Same<typeof plain, Store<Key, unknown>>>()

  const texts = open('a.pool', { keyEncoding: 'utf8', valueEncoding: 'string' })
  holds<Same<typeof texts, Store<string, string>>>()

  const declared = open<string, User>('a.pool', { growthStepBytes: 1 })
  holds<Same<typeof declared, Store<string, User>>>()

  const bytes = plain.keyspace('bytes', { keyEncoding: 'binary', valueEncoding: 'binary' })
  holds<Same<typeof bytes, Keyspace<Buffer, Buffer>>>()
  const numbers = plain.keyspace('numbers', { keyEncoding: 'uint32' })
  holds<Same<typeof numbers, Keyspace<number, unknown>>>()

  const users = plain.keyspace<string, User>('users')
  holds<Same<typeof users, Keyspace<string, User>>>()

  const got = users.get('ada')
  holds<Same<typeof got, User | undefined>>()
  const length = users.withView('ada', (view) => view.length)
  holds<Same<typeof length, number | undefined>>()
  for (const row of users.range({ gte: 'a', limit: 3 })) holds<Same<typeof row, [key: string, value: User]>>()
  for (const key of users.keys({ prefix: 'a' })) holds<Same<typeof key, string>>()
  const options: RangeOptions<string> = { gt: undefined, reverse: true }
  users.scan(options, (row) => holds<Same<typeof row, ScanRow>>())
  const sum = plain.transaction(() => 1 + 1)
  holds<Same<typeof sum, number>>()
  users.update('ada', (user) => ({ ...user, name: 'Ada' }))
  users.update('ada', () => undefined)
  users.compareAndSet('ada', undefined, { name: 'Ada' })
  users.batch([
    { type: 'put', key: 'a', value: { name: 'A' } },
    { type: 'del', key: 'b' },
  ])
  holds<Same<Promise<void>, ReturnType<typeof users.putAsync>>>()
  holds<Same<Promise<boolean>, ReturnType<typeof users.deleteAsync>>>()
  users.put('ada', { name: 'Ada' }, { durability: 'relaxed' })
  const ended = plain.transactionAsync(
    async (tx) => {
      const inside = tx.in(users).get('ada')
      holds<Same<typeof inside, User | undefined>>()
      for (const key of tx.in(numbers).keys()) holds<Same<typeof key, number>>()
      // @ts-expect-error a value of another type
      tx.in(users).put('ada', 1)
      await plain.flush()
      return 1
    },
    { onConflict: 'error', maxReruns: 3, durability: 'sync' },
  )
  holds<Same<typeof ended, Promise<number>>>()
  const code: DaxkvErrorCode = 'CLOSED'
  void code

  // @ts-expect-error a key of another type
  users.get(1)
  // @ts-expect-error a value of another type
  users.put('ada', { nam: 'Ada' })
  // @ts-expect-error a misspelt option
  open('a.pool', { growthStep: 1 })
  // @ts-expect-error a misspelt option beside encodings
  open('a.pool', { keyEncoding: 'utf8', readonly: true })
  // @ts-expect-error an unknown encoding
  plain.keyspace('x', { keyEncoding: 'utf16' })
  // @ts-expect-error a misspelt bound
  users.range({ get: 'a' })
  // @ts-expect-error a bound of another type
  users.range({ gte: 1 })
  // @ts-expect-error reports are not to be changed
  plain.persistence.granularity = 'byte'
  // @ts-expect-error symbols are not keys
  open<symbol, string>('a.pool')
}

/** Never called. */
export async function typesOfTheCrashKit(): Promise<void> {
  const result = await crashTest<string, User>({
    setup: (store) => holds<Same<typeof store, Store<string, User>>>(),
    workload: (store) => {
      store.put('ada', { name: 'Ada' })
    },
    check: (store) => store.get('ada')?.name !== 'Bob',
    models: ['cache-line', 'kill'],
    logging: ['redo'],
    store: { keyEncoding: 'utf8' },
  })
  holds<Same<typeof result, CrashTestResult>>()
  const failure: CrashFailure | undefined = result.failure
  void failure

  // @ts-expect-error check is not optional
  await crashTest({ workload: () => 0 })
  // @ts-expect-error an unknown model
  await crashTest({ workload: () => 0, check: () => true, models: ['flood'] })
  // @ts-expect-error the kit says which executor runs the store
  await crashTest({ workload: () => 0, check: () => true, store: { executor: 'native' } })
  // @ts-expect-error reports are not to be changed
  result.ok = true
}

test('the types of the public interface compile', () => {
  void typesOfTheInterface
})

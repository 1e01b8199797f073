import assert from 'node:assert/strict'
import test from 'node:test'
import type { Keyspace, RangeOptions } from '../../src/index.js'
import { memoryStore, throwsCode, open } from './support.js'

const LETTERS = 'abcdefghij'.split('')

function letters(keyspace: Keyspace<string, number>): void {
  LETTERS.forEach((letter, index) => {
    keyspace.put(letter, index)
  })
}

const CASES: { options: RangeOptions<string>; keys: string }[] = [
  { options: {}, keys: 'abcdefghij' },
  { options: { gt: 'c' }, keys: 'defghij' },
  { options: { gte: 'c' }, keys: 'cdefghij' },
  { options: { lt: 'c' }, keys: 'ab' },
  { options: { lte: 'c' }, keys: 'abc' },
  { options: { gt: 'b', lt: 'e' }, keys: 'cd' },
  { options: { gte: 'b', lte: 'e', reverse: true }, keys: 'edcb' },
  { options: { gt: 'b5', lt: 'e5' }, keys: 'cde' },
  { options: { gt: 'e', lt: 'b' }, keys: '' },
  { options: { gt: 'e', lte: 'e' }, keys: '' },
  { options: { gte: 'e', lte: 'e' }, keys: 'e' },
  { options: { limit: 3 }, keys: 'abc' },
  { options: { limit: 0 }, keys: '' },
  { options: { limit: Infinity, offset: 8 }, keys: 'ij' },
  { options: { offset: 2, limit: 3, reverse: true }, keys: 'hgf' },
  { options: { offset: 99 }, keys: '' },
  { options: { gt: undefined, limit: undefined, reverse: undefined, prefix: undefined }, keys: 'abcdefghij' },
  { options: { prefix: 'd' }, keys: 'd' },
  { options: { prefix: '' }, keys: 'abcdefghij' },
  { options: { prefix: 'd', gt: 'd' }, keys: '' },
  { options: { prefix: 'd', lte: 'z', gte: 'a' }, keys: 'd' },
  { options: { prefix: 'd', lt: 'd' }, keys: '' },
]

test('all ways of iterating give the rows within the bounds', (t) => {
  const store = memoryStore<string, number>(t, {})
  letters(store)
  for (const { options, keys } of CASES) {
    const expected = keys.split('').map((key) => [key, LETTERS.indexOf(key)])
    const what = JSON.stringify(options)
    assert.deepEqual([...store.range(options)], expected, what)
    assert.deepEqual([...store.keys(options)], keys.split(''), what)
    assert.deepEqual(
      [...store.values(options)],
      expected.map((row) => row[1]),
      what,
    )
    assert.equal(store.count(options), expected.length, what)
    const visited: unknown[] = []
    assert.equal(
      store.forEach(options, (key, value) => visited.push([key, value])),
      expected.length,
    )
    assert.deepEqual(visited, expected, what)
    const scanned: string[] = []
    assert.equal(
      store.scan(options, ({ keyBuffer, keyStart, keyEnd }) =>
        scanned.push(keyBuffer.toString('utf8', keyStart, keyEnd)),
      ),
      expected.length,
    )
    assert.deepEqual(scanned.join(''), keys, what)
  }
})

test('deleteRange deletes what range gives', (t) => {
  for (const { options, keys } of CASES) {
    const { limit, offset, reverse, ...bounds } = options
    if (limit !== undefined || offset !== undefined) continue
    const given = Object.fromEntries(Object.entries(bounds).filter(([, value]) => value !== undefined))
    if (Object.keys(given).length === 0) continue
    const store = memoryStore<string, number>(t, {})
    letters(store)
    assert.equal(store.deleteRange(given), keys.length, JSON.stringify({ given, reverse }))
    assert.deepEqual(
      [...store.keys()],
      LETTERS.filter((letter) => !keys.includes(letter)),
    )
  }
})

test('deleteRange wants bounds, and none that is undefined', (t) => {
  const store = memoryStore<string, number>(t, {})
  letters(store)
  throwsCode(() => store.deleteRange({}), 'INVALID_ARGUMENT', /clear\(\)/)
  throwsCode(() => store.deleteRange(undefined as never), 'INVALID_ARGUMENT', /clear\(\)/)
  throwsCode(() => store.deleteRange({ gte: undefined, lt: 'c' }), 'INVALID_ARGUMENT', /gte/)
  throwsCode(() => store.deleteRange({ limit: 1 } as never), 'UNKNOWN_OPTION', /limit/)
  assert.equal(store.count(), LETTERS.length)
})

test('ordered keys keep types in order, and prefixes work on strings and arrays', (t) => {
  const store = memoryStore(t)
  const keys = [
    null,
    false,
    true,
    -Infinity,
    -1.5,
    0,
    1,
    1e9,
    '',
    'a',
    ['a', 1],
    ['a', 2],
    ['a', 2, 'x'],
    'ab',
    ['ab', 0],
    'b',
  ]
  for (const key of [...keys].reverse()) store.put(key, 1)
  assert.deepEqual([...store.keys()], keys)
  assert.deepEqual(
    [...store.keys({ prefix: ['a'] })],
    [
      ['a', 1],
      ['a', 2],
      ['a', 2, 'x'],
    ],
  )
  assert.deepEqual([...store.keys({ prefix: ['a', 2] })], [['a', 2, 'x']])
  assert.deepEqual([...store.keys({ prefix: 'ab' })], ['ab', ['ab', 0]])
  assert.deepEqual([...store.keys({ prefix: '' })], keys.slice(keys.indexOf('')))
  assert.deepEqual([...store.keys({ gte: null, lt: 0 })], [null, false, true, -Infinity, -1.5])
  throwsCode(() => store.keys({ prefix: 5 }), 'INVALID_ARGUMENT', /prefix/)
  throwsCode(() => store.keys({ prefix: [] }), 'INVALID_ARGUMENT', /prefix/)
})

test('prefixes of binary keys work up to the highest byte', (t) => {
  const store = open(':memory:', { keyEncoding: 'binary' })
  t.after(() => {
    store.close()
  })
  const keys = ['00', '61', '61ff', '61ff00', '61ffff', '62', 'ff', 'ff00', 'ffff', 'ffff01'].map((hex) =>
    Buffer.from(hex, 'hex'),
  )
  for (const key of keys) store.put(key, key.toString('hex'))
  const under = (hex: string): unknown[] => [...store.values({ prefix: Buffer.from(hex, 'hex') })]
  assert.deepEqual(under('61'), ['61', '61ff', '61ff00', '61ffff'])
  assert.deepEqual(under('61ff'), ['61ff', '61ff00', '61ffff'])
  assert.deepEqual(under('ff'), ['ff', 'ff00', 'ffff', 'ffff01'])
  assert.deepEqual(under('ffff'), ['ffff', 'ffff01'])
  assert.deepEqual(under(''), [...store.values()])
  const numbers = store.keyspace('numbers', { keyEncoding: 'uint32' })
  throwsCode(() => numbers.keys({ prefix: 1 }), 'INVALID_ARGUMENT', /prefix/)
})

test('first and last give the ends, within bounds too', (t) => {
  const store = memoryStore<string, number>(t, {})
  letters(store)
  assert.deepEqual(store.first(), ['a', 0])
  assert.deepEqual(store.last(), ['j', 9])
  assert.deepEqual(store.first({ gt: 'c' }), ['d', 3])
  assert.deepEqual(store.last({ lt: 'c' }), ['b', 1])
  assert.equal(store.last({ lt: 'a' }), undefined)
  throwsCode(() => store.first({ limit: 1 } as never), 'UNKNOWN_OPTION')
})

test('options of a range are checked when it is asked for', (t) => {
  const store = memoryStore(t)
  throwsCode(() => store.range({ gt: 'a', gte: 'a' }), 'INVALID_ARGUMENT', /'gt' and 'gte'/)
  throwsCode(() => store.range({ lt: 'a', lte: 'a' }), 'INVALID_ARGUMENT', /'lt' and 'lte'/)
  throwsCode(() => store.range({ limit: -1 }), 'INVALID_ARGUMENT', /limit/)
  throwsCode(() => store.range({ offset: 1.5 }), 'INVALID_ARGUMENT', /offset/)
  throwsCode(() => store.range({ reverse: 1 as never }), 'INVALID_ARGUMENT', /reverse/)
  throwsCode(() => store.range({ revers: true } as never), 'UNKNOWN_OPTION', /did you mean 'reverse'/)
  throwsCode(() => store.range('a' as never), 'INVALID_ARGUMENT')
  throwsCode(() => store.range({ gte: Symbol('x') as never }), 'INVALID_ARGUMENT')
  throwsCode(() => store.forEach({}, undefined as never), 'INVALID_ARGUMENT', /function/)
  throwsCode(() => store.scan({}, undefined as never), 'INVALID_ARGUMENT', /function/)
  assert.deepEqual([...store.range(undefined)], [])
})

test('iterators can be broken off, and go on giving nothing', (t) => {
  const store = memoryStore<string, number>(t, {})
  letters(store)
  for (const [key] of store.range()) if (key === 'c') break
  const rows = store.range({ limit: 2 })
  assert.deepEqual(rows.next(), { done: false, value: ['a', 0] })
  assert.deepEqual(rows.next(), { done: false, value: ['b', 1] })
  assert.deepEqual(rows.next(), { done: true, value: undefined })
  assert.deepEqual(rows.next(), { done: true, value: undefined })
  const keys = store.keys()
  keys.next()
  assert.deepEqual(keys.return?.(), { done: true, value: undefined })
  assert.deepEqual(keys.next(), { done: true, value: undefined })
  assert.equal(
    store.forEach({}, (key) => key !== 'c'),
    3,
  )
  assert.equal(
    store.scan({}, (row) => row.keyBuffer[row.keyStart] !== 'c'.charCodeAt(0)),
    3,
  )
})

test('several iterators run side by side', (t) => {
  const store = memoryStore<string, number>(t, {})
  letters(store)
  let pairs = 0
  for (const [a] of store.range()) {
    for (const [b] of store.range({ gt: a })) {
      assert.ok(b > a)
      pairs++
    }
  }
  assert.equal(pairs, 45)
})

test('a loop may delete what it has been given, and sees what is put ahead of it', (t) => {
  const store = open(':memory:', { keyEncoding: 'uint32', valueEncoding: 'string' })
  t.after(() => {
    store.close()
  })
  store.transaction(() => {
    for (let i = 0; i < 5000; i += 2) store.put(i, 'x'.repeat(i % 100))
  })
  const seen: number[] = []
  for (const key of store.keys()) {
    seen.push(key)
    store.delete(key)
    if (key === 100) store.put(101, 'ahead')
    if (key === 200) store.put(1, 'behind')
  }
  assert.ok(seen.includes(101))
  assert.ok(!seen.includes(1))
  assert.equal(seen.length, 2501)
  assert.ok(seen.every((key, index) => index === 0 || key > seen[index - 1]))
  assert.deepEqual([...store.keys()], [1])
})

test('an iterator outlives the transaction it was made in, and its abort', (t) => {
  const store = memoryStore<string, number>(t, {})
  letters(store)
  let rows = store.range()
  assert.throws(() =>
    store.transaction(() => {
      store.put('aa', 99)
      rows = store.range()
      assert.deepEqual(rows.next().value, ['a', 0])
      assert.deepEqual(rows.next().value, ['aa', 99])
      store.clear()
      throw new Error('abort')
    }),
  )
  assert.deepEqual(
    [...rows],
    LETTERS.slice(1).map((key) => [key, LETTERS.indexOf(key)]),
  )
  store.transaction(() => {
    store.put('bb', 5)
    rows = store.range({ gt: 'b' })
    assert.deepEqual(rows.next().value, ['bb', 5])
  })
  store.put('bc', 6)
  assert.deepEqual(rows.next().value, ['bc', 6])
})

test('an iterator reads no page of a transaction that is over', (t) => {
  const store = memoryStore<string, number>(t, {})
  const other = store.keyspace<string, number>('other')
  letters(store)
  let rows = store.keys()
  assert.throws(() =>
    store.transaction(() => {
      store.put('aa', 1)
      store.put('ab', 2)
      rows = store.keys()
      assert.equal(rows.next().value, 'a')
      throw new Error('abort')
    }),
  )
  assert.equal(rows.next().value, 'b')
  store.transaction(() => {
    store.put('ba', 1)
    rows = store.keys({ gt: 'a' })
    assert.equal(rows.next().value, 'b')
  })
  // Takes the memory the pages above were staged in.
  other.put('x', 1)
  store.transaction(() => {
    other.clear()
    assert.equal(rows.next().value, 'ba')
  })
})

test('reverse iteration under changes stays strictly descending', (t) => {
  const store = memoryStore<string, number>(t, {})
  letters(store)
  const seen: string[] = []
  for (const key of store.keys({ reverse: true })) {
    seen.push(key)
    store.put(`${key}+`, 0)
    store.delete(key)
  }
  assert.deepEqual(seen, [...LETTERS].reverse())
})

test('forEach lets its callback write, scan does not', (t) => {
  const store = memoryStore<string, number>(t, {})
  letters(store)
  store.forEach({}, (key, value) => {
    store.put(key, value + 1)
  })
  assert.equal(store.get('a'), 1)
  store.scan({ limit: 1 }, () => {
    throwsCode(() => store.put('a', 0), 'BUSY')
    assert.equal(store.get('b'), 2)
  })
  assert.throws(() => store.scan({}, () => assert.fail('mine')), /mine/)
  store.put('a', 7)
  assert.equal(store.get('a'), 7)
})

/** What the golden pools hold: enough of everything the format has, the same in every version. */
import type { Store } from '../../src/index.js'

/** Fills a store; every later version must find exactly this. */
export function fill(store: Store): void {
  for (const [name, options] of KEYSPACES) {
    const keyspace = store.keyspace(name, options)
    for (const [key, value] of entriesOf(name)) keyspace.put(key as never, value)
  }
  store.keyspace('dropped').put('gone', 1)
  store.dropKeyspace('dropped')
}

export const KEYSPACES = [
  ['people', { keyEncoding: 'ordered', valueEncoding: 'msgpack' }],
  ['texts', { keyEncoding: 'utf8', valueEncoding: 'string' }],
  ['numbers', { keyEncoding: 'uint32', valueEncoding: 'json' }],
  ['bytes', { keyEncoding: 'binary', valueEncoding: 'binary' }],
] as const

export function* entriesOf(name: (typeof KEYSPACES)[number][0]): Generator<[key: unknown, value: unknown]> {
  if (name === 'people') {
    for (let i = 0; i < 200; i++)
      yield [`person ${i}`, { id: i, name: `Name ${i}`, tags: ['a', i], born: new Date(i * 1e9) }]
    yield [null, 'null']
    yield [true, { nested: { deep: [1, 2, { x: null }] } }]
    yield [-12.5, 'number']
    yield [['tuple', 7], Buffer.from('in an array key')]
  } else if (name === 'texts') {
    yield ['', 'the empty key']
    yield ['ünïcode ☃', '☃'.repeat(100)]
    yield ['long value', 'x'.repeat(30_000)] // an extent
    yield ['k'.repeat(1978), 'the longest key']
  } else if (name === 'numbers') {
    for (let i = 0; i < 500; i++) yield [(i * 8_589_934) >>> 0, { i }]
  } else {
    yield [Buffer.alloc(0), Buffer.alloc(0)]
    yield [Buffer.from([0]), Buffer.from([0, 1, 2])]
    yield [Buffer.from([0, 0]), Buffer.alloc(5000, 9)]
  }
}

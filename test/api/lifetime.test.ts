import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { WINDOW_SHIFT } from '../../src/pmem/native-binding.js'
import { countDescriptors } from '../support/descriptors.js'
import { EXECUTOR, open, poolPath } from './support.js'

const countMappings = (path: string): number =>
  fs
    .readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .filter((line) => line.includes(path)).length

/** There the garbage collector unmaps, once the event loop turns: see test/pmem/portable-memory.test.ts. */
const unmapping = { skip: EXECUTOR === 'portable' && 'the portable executor does not unmap at close' }

test('ten thousand open/close cycles leave no mapping, no descriptor and no lock, and lose nothing', unmapping, (t) => {
  const path = poolPath(t)
  const cycle = (value: number): void => {
    const store = open<string, number>(path, { initialSizeBytes: 1024 * 1024 })
    assert.equal(store.get('cycle'), value === 0 ? undefined : value - 1)
    store.put('cycle', value)
    store.close()
  }
  cycle(0)
  for (let i = 1; i <= 10_000; i++) cycle(i)
  assert.equal(countDescriptors(path), 0)
  assert.equal(countMappings(path), 0)
})

test('a value longer than a mapped window is stored and read whole, by copy and by view', (t) => {
  const path = poolPath(t)
  const value = Buffer.alloc(4096 * 2 ** WINDOW_SHIFT + 12_345)
  for (let i = 0; i < value.length; i += 4096) value.writeUInt32LE(i + 1, i)
  let store = open(path, { valueEncoding: 'binary', keyEncoding: 'utf8' })
  store.put('small', Buffer.from('s'))
  store.put('large', value)
  for (let pass = 0; pass < 2; pass++) {
    assert.ok(store.getBinary('large')?.equals(value))
    assert.equal(
      store.withView('large', (view) => view.equals(value)),
      true,
    )
    assert.equal(store.getBinary('small')?.toString(), 's')
    assert.deepEqual(store.check().problems, [])
    store.close()
    store = open(path, { valueEncoding: 'binary', keyEncoding: 'utf8' })
  }
  store.delete('large')
  assert.equal(store.check().pages.extent, 0)
  store.close()
})

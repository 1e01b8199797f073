/**
 * The tree alone, without codecs, transactions' commit cost or a medium: nanoseconds per operation over plain memory.
 * Commits between batches are not counted; staging (a copy of each page a transaction touches) is.
 *
 *     node --import tsx bench/tree-micro.ts [entries] [operations per transaction]
 */
import { Cursor } from '../src/tree/cursor.js'
import { Tree } from '../src/tree/tree.js'
import { TreePool } from '../test/support/tree-pool.js'

const entries = Number(process.argv[2] ?? 1_000_000)
const perTransaction = Number(process.argv[3] ?? 1000)
const only = process.argv.at(4)
const KEY_BYTES = 16

const value = Buffer.alloc(100, 0x61)
const key = Buffer.alloc(2048)

/** All keys one after another: 16 digits, in order and in a random order. */
const ordered = Buffer.alloc(entries * KEY_BYTES)
for (let i = 0; i < entries; i++) ordered.write(String(i).padStart(KEY_BYTES, '0'), i * KEY_BYTES, 'latin1')
const order = Uint32Array.from({ length: entries }, (_, i) => i)
for (let i = entries - 1; i > 0; i--) {
  const j = Math.floor(Math.random() * (i + 1))
  const swapped = order[i]
  order[i] = order[j]
  order[j] = swapped
}
const shuffled = Buffer.alloc(entries * KEY_BYTES)
for (let i = 0; i < entries; i++) {
  ordered.copy(shuffled, i * KEY_BYTES, order[i] * KEY_BYTES, (order[i] + 1) * KEY_BYTES)
}

/** Copies key number `index` of a table to the scratch buffer. */
function setKey(table: Buffer, index: number): void {
  const from = index * KEY_BYTES
  for (let i = 0; i < KEY_BYTES; i++) key[i] = table[from + i]
}

/** CPU time rather than wall time: other processes disturb it less. */
function cpuNanoseconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) * 1000
}

/** Runs an operation for every index, in transactions; prints the median of the transactions' times. */
function measure(
  name: string,
  pool: TreePool,
  count: number,
  operation: (index: number) => void,
  batch = perTransaction,
): void {
  if (only !== undefined && !name.includes(only) && !name.includes('insert')) {
    return
  }
  const times: number[] = []
  for (let start = 0; start < count; start += batch) {
    const end = Math.min(start + batch, count)
    const before = cpuNanoseconds()
    for (let i = start; i < end; i++) operation(i)
    times.push((cpuNanoseconds() - before) / (end - start))
    pool.commit(false)
  }
  times.sort((a, b) => a - b)
  const median = times[times.length >>> 1]
  const best = times[Math.floor(times.length * 0.1)]
  console.log(`${name.padEnd(40)} ${median.toFixed(0).padStart(7)}   (10 %: ${best.toFixed(0)})`)
}

function newTree(): { pool: TreePool; tree: Tree } {
  const pool = new TreePool(Math.ceil((entries * 230) / 4096) + 4096)
  const tree = new Tree(pool, Tree.create(pool, 1), 1)
  pool.commit()
  return { pool, tree }
}

console.log(
  `${entries} entries, keys of ${KEY_BYTES} and values of ${value.length} bytes; CPU ns per operation, median`,
)

const setOnly = newTree()
measure('(making a key)', setOnly.pool, entries, (i) => setKey(shuffled, i))

const sequential = newTree()
measure('insert sequential', sequential.pool, entries, (i) => {
  setKey(ordered, i)
  sequential.tree.put(key, KEY_BYTES, value)
})
const random = newTree()
measure('insert random', random.pool, entries, (i) => {
  setKey(shuffled, i)
  random.tree.put(key, KEY_BYTES, value)
})

for (const [name, { pool, tree }] of [
  ['sequential', sequential],
  ['random', random],
] as const) {
  console.log(`  built ${name}`)
  const lookups = Math.min(entries, 300_000)
  measure('find random', pool, lookups, (i) => {
    setKey(shuffled, i)
    if (!tree.find(key, KEY_BYTES)) throw new Error('lost')
  })
  measure('find hot (1,000 keys)', pool, lookups, (i) => {
    setKey(shuffled, i % 1000)
    if (!tree.find(key, KEY_BYTES)) throw new Error('lost')
  })
  measure('find missing', pool, lookups, (i) => {
    setKey(shuffled, i)
    key[15] = 33
    if (tree.find(key, KEY_BYTES)) throw new Error('found')
  })
  const cursor = new Cursor(tree)
  let sum = 0
  const rows = (each: () => number): void => {
    const before = cpuNanoseconds()
    const seen = each()
    console.log(`    ${((cpuNanoseconds() - before) / seen).toFixed(1)} ns a row`)
  }
  for (let i = 0; i < 3; i++) {
    console.log('full scan, next()')
    rows(() => {
      let seen = 0
      cursor.seek({})
      while (cursor.next()) {
        sum += cursor.valueView.u8[cursor.valueStart]
        seen++
      }
      return seen
    })
    console.log('full scan, scan()')
    rows(() => {
      cursor.seek({})
      return cursor.scan((row) => {
        sum += row.valueView.u8[row.valueStart]
        return true
      })
    })
    console.log('full scan, reverse next()')
    rows(() => {
      let seen = 0
      cursor.seek({ reverse: true })
      while (cursor.next()) seen++
      return seen
    })
    console.log('count everything in a range')
    rows(() => tree.count({ gte: Buffer.from('0'), lt: Buffer.from('1') }))
  }
  const from = Buffer.alloc(KEY_BYTES)
  measure('range of 100 rows', pool, Math.min(lookups, 30_000), (i) => {
    setKey(shuffled, i)
    key.copy(from, 0, 0, KEY_BYTES)
    cursor.seek({ gte: from })
    for (let row = 0; row < 100 && cursor.next(); row++) sum += cursor.valueLength
  })
  measure('overwrite random', pool, lookups, (i) => {
    setKey(shuffled, i)
    tree.put(key, KEY_BYTES, value)
  })
  measure('overwrite hot', pool, lookups, (i) => {
    setKey(shuffled, i % 1000)
    tree.put(key, KEY_BYTES, value)
  })
  measure('overwrite hot, 1 per tx, with its commit', pool, Math.min(lookups, 100_000), (i) => {
    setKey(shuffled, i % 1000)
    tree.put(key, KEY_BYTES, value)
    pool.commit(false)
  })
  measure('delete random', pool, lookups, (i) => {
    setKey(shuffled, i)
    if (!tree.delete(key, KEY_BYTES)) throw new Error('lost')
  })
  if (sum < 0) console.log(sum)
}

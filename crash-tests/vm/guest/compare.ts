/** The same durable puts by the store and by its peers, on the same file system. Ratios only: this is emulation. */
import { join } from 'node:path'
import { open } from '../../../src/index.js'
import { result } from './channel.js'
import { message } from './verifier.js'

type Put = (key: string, value: Buffer) => void

const BATCHES = 15

/** Measures the engines in turn, batch by batch, so that what slows the machine slows all of them. */
export async function compare(directory: string, puts: number): Promise<void> {
  const engines: { name: string; put: Put; close: () => unknown; batches: number[] }[] = []
  const store = open(join(directory, 'compare.pool'), { keyEncoding: 'utf8', valueEncoding: 'binary' })
  engines.push({ name: 'daxkv', put: (key, value) => store.put(key, value), close: () => store.close(), batches: [] })
  try {
    const lmdb = await import('lmdb')
    const db = lmdb.open<Buffer, string>({ path: join(directory, 'compare.lmdb'), encoding: 'binary' })
    // Durable means transactionSync: putSync alone returns earlier
    const put: Put = (key, value) => db.transactionSync(() => db.putSync(key, value))
    engines.push({ name: 'lmdb', put, close: () => db.close(), batches: [] })
    const { default: Database } = await import('better-sqlite3')
    const sqlite = new Database(join(directory, 'compare.sqlite'))
    sqlite.pragma('journal_mode = WAL')
    sqlite.pragma('synchronous = FULL')
    sqlite.exec('CREATE TABLE kv (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID')
    const insert = sqlite.prepare('INSERT OR REPLACE INTO kv (k, v) VALUES (?, ?)')
    engines.push({ name: 'better-sqlite3', put: (key, value) => void insert.run(key, value), close: () => sqlite.close(), batches: [] }) // prettier-ignore
  } catch (error) {
    result('peers', false, message(error))
    return
  }
  const value = Buffer.alloc(100, 7)
  for (let batch = 0; batch < BATCHES; batch++) {
    for (const engine of engines) {
      const begin = performance.now()
      for (let at = 0; at < puts; at++) engine.put(`key ${(at * 7919 + batch * 31) % 5000}`, value)
      engine.batches.push(performance.now() - begin)
    }
  }
  for (const { close } of engines) await close()
  const [own, ...peers] = engines.map(({ name, batches }) => ({ name, time: median(batches) }))
  for (const { name, time } of peers) {
    const ratio = (time / own.time).toFixed(2)
    // A comparison, not a test: nothing to pass or fail
    result(
      `durable puts, ${name} over daxkv`,
      true,
      `${ratio} times as long (software emulation, medians of ${BATCHES})`,
    )
  }
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >>> 1]
}

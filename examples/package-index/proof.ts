/** The proof: what was acknowledged is there, and what is there is there as a whole. */
import type { Store } from 'daxkv'
import { INDEX_NAMES, openIndex } from './schema.js'

export class ProofFailed extends Error {}

export interface Proof {
  /** Transactions found in the pool. */
  readonly transactions: number
  /** Of these, the ones whose acknowledgement the kill cut off. */
  readonly unacknowledged: number
  /** Rows of the indexes, each of which agrees with the manifests. */
  readonly rows: number
}

/**
 * Holds the pool against the acknowledgements, and every index row against the manifests: a row must name exactly
 * the transactions whose manifests name it, in both directions and across all keyspaces.
 */
export function prove(store: Store, acknowledged: ReadonlySet<number>): Proof {
  const index = openIndex(store)
  const expected = new Map<string, number[]>()
  let transactions = 0
  let unacknowledged = 0
  for (const [tx, { wrote }] of index.manifests) {
    transactions++
    if (tx !== transactions) throw new ProofFailed(`transaction ${transactions} is missing, ${tx} is there`)
    if (!acknowledged.has(tx)) unacknowledged++
    for (const [keyspace, key] of wrote) {
      const row = JSON.stringify([keyspace, key])
      expected.set(row, [...(expected.get(row) ?? []), tx])
    }
  }
  for (const tx of acknowledged) {
    if (!index.manifests.has(tx)) throw new ProofFailed(`transaction ${tx} was acknowledged and is not there`)
  }
  const rows = expected.size
  for (const keyspace of INDEX_NAMES) {
    for (const [key, { tx }] of index[keyspace]) {
      const row = JSON.stringify([keyspace, key])
      const manifests = expected.get(row)?.join() ?? 'none'
      if (tx.join() !== manifests) {
        throw new ProofFailed(`${row} was written by transactions ${tx.join()}, manifests that name it: ${manifests}`)
      }
      expected.delete(row)
    }
  }
  for (const [row, txs] of expected) throw new ProofFailed(`transaction ${txs.join()} wrote ${row}, which is not there`)

  const report = store.check()
  if (!report.ok) throw new ProofFailed(`check() found damage: ${report.problems.map((p) => p.message).join('; ')}`)
  return { transactions, unacknowledged, rows }
}

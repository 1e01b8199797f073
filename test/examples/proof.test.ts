/** The proof of the package index must fail where it should. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { open, type Store } from 'daxkv'
import { prove, ProofFailed } from '../../examples/package-index/proof.js'
import { openIndex, type PackageIndex } from '../../examples/package-index/schema.js'

function indexed(): { store: Store; index: PackageIndex } {
  const store = open(':memory:')
  const index = openIndex(store)
  for (let tx = 1; tx <= 3; tx++) {
    store.transaction(() => {
      index.licenses.put(['MIT', `p${tx}`, '1.0.0'], { tx: [tx] })
      index.dependents.put(['debug', `p${tx}`, '1.0.0'], { range: '*', tx: [tx] })
      index.manifests.put(tx, {
        file: `p${tx}/package.json`,
        wrote: [
          ['licenses', ['MIT', `p${tx}`, '1.0.0']],
          ['dependents', ['debug', `p${tx}`, '1.0.0']],
        ],
      })
    })
  }
  return { store, index }
}

const ALL = new Set([1, 2, 3])

describe('the proof of the package index', () => {
  it('accepts a whole index, and transactions whose acknowledgement was cut off', () => {
    assert.deepEqual(prove(indexed().store, ALL), { transactions: 3, unacknowledged: 0, rows: 6 })
    assert.equal(prove(indexed().store, new Set([1, 2])).unacknowledged, 1)
  })

  it('notices a transaction that was acknowledged and is lost', () => {
    assert.throws(() => prove(indexed().store, new Set([1, 2, 3, 4])), ProofFailed)
  })

  it('notices a transaction that is half done', () => {
    for (const spoil of [
      (index: PackageIndex) => index.licenses.delete(['MIT', 'p2', '1.0.0']),
      (index: PackageIndex) => index.manifests.delete(2),
      (index: PackageIndex) => index.manifests.delete(3),
      (index: PackageIndex) => index.dependents.put(['debug', 'p4', '1.0.0'], { range: '*', tx: [4] }),
      (index: PackageIndex) => index.dependents.put(['debug', 'p3', '1.0.0'], { range: '*', tx: [2] }),
    ]) {
      const { store, index } = indexed()
      spoil(index)
      assert.throws(() => prove(store, new Set([1])), ProofFailed)
    }
  })
})

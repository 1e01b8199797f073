/**
 * An event-sourced ledger: every transfer is an event that is only ever appended, and the balances are kept beside
 * the events in the same transaction. Invariants, checked at the end and after reopening: money is neither made nor
 * lost, no account is overdrawn, and each balance is the sum of its events.
 */
import assert from 'node:assert/strict'
import { type Keyspace, open, type Store } from 'daxkv'
import { poolPath } from './support/pool-path.js'

interface Transfer {
  from: string
  to: string
  cents: number
  note: string
}

/** Where money comes from and goes to; the one account that may be negative. */
const WORLD = 'world'

class Overdraft extends Error {}

class Ledger {
  private readonly events: Keyspace<number, Transfer>
  private readonly balances: Keyspace<string, number>

  constructor(private readonly store: Store) {
    this.events = store.keyspace<number, Transfer>('events', { keyEncoding: 'uint32' })
    this.balances = store.keyspace<string, number>('balances', { keyEncoding: 'utf8' })
  }

  /** Durable when it returns; changes nothing when it throws. Within another transaction it is a savepoint. */
  transfer(transfer: Transfer): void {
    this.store.transaction(() => {
      const last = this.events.last()
      this.events.put(last === undefined ? 0 : last[0] + 1, transfer)
      this.balances.update(transfer.to, (cents = 0) => cents + transfer.cents)
      const left = this.balances.update(transfer.from, (cents = 0) => cents - transfer.cents) as number
      // Everything above is taken back.
      if (left < 0 && transfer.from !== WORLD) throw new Overdraft(`${transfer.from} lacks ${-left} cents`)
    })
  }

  /** Pays as many as the money allows, all of them in one transaction; returns who had to go without. */
  payAll(transfers: readonly Transfer[]): string[] {
    return this.store.transaction(() => {
      const unpaid: string[] = []
      for (const transfer of transfers) {
        try {
          this.transfer(transfer)
        } catch (error) {
          if (!(error instanceof Overdraft)) throw error
          unpaid.push(transfer.to) // only this payment is undone
        }
      }
      return unpaid
    })
  }

  balance(account: string): number {
    return this.balances.get(account) ?? 0
  }

  verify(): void {
    const sums = new Map<string, number>()
    const add = (account: string, cents: number): void => {
      sums.set(account, (sums.get(account) ?? 0) + cents)
    }
    let next = 0
    for (const [sequence, { from, to, cents }] of this.events) {
      assert.equal(sequence, next++, 'events are numbered without gaps')
      add(from, -cents)
      add(to, cents)
    }
    let total = 0
    for (const [account, cents] of this.balances) {
      assert.equal(cents, sums.get(account), `the balance of ${account} is the sum of its events`)
      assert.ok(cents >= 0 || account === WORLD, `${account} is not overdrawn`)
      total += cents
    }
    assert.equal(total, 0, 'money is neither made nor lost')
    assert.equal(this.balances.count(), sums.size)
  }

  get eventCount(): number {
    return this.events.count()
  }
}

const path = poolPath('ledger')

{
  using store = open(path)
  const ledger = new Ledger(store)
  ledger.transfer({ from: WORLD, to: 'bakery', cents: 100_00, note: 'opening balance' })

  assert.throws(() => {
    ledger.transfer({ from: 'bakery', to: 'mill', cents: 100_01, note: 'too much flour' })
  }, Overdraft)
  assert.equal(ledger.balance('mill'), 0)

  const wages = ['ann', 'bob', 'cem'].map((to) => ({ from: 'bakery', to, cents: 40_00, note: 'wages' }))
  assert.deepEqual(ledger.payAll(wages), ['cem'])
  ledger.verify()
}

{
  using store = open(path)
  const ledger = new Ledger(store)
  ledger.verify()
  assert.deepEqual(
    ['bakery', 'ann', 'bob', 'cem'].map((account) => ledger.balance(account)),
    [20_00, 40_00, 40_00, 0],
  )
  assert.equal(ledger.eventCount, 3)
  console.log('3 events, 2 overdrafts taken back, all invariants hold after reopening')
}

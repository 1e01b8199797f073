/**
 * Crash tests of one's own transactions: a transfer between two accounts that was written as two transactions by mistake.
 * The kit finds the crash that shows it, says where to look, and finds nothing any more once it is one transaction.
 */
import assert from 'node:assert/strict'
import type { Store } from 'daxkv'
import { crashTest, CrashTestError, type CrashTestOptions } from 'daxkv/crash-kit'

interface Transfer {
  readonly from: string
  readonly to: string
  readonly cents: number
}

type Bank = Store<string, number>

const OPENING_CENTS = 100_00

/** The bug: the second put is a transaction of its own, and a crash may come before it. */
function carelessTransfer(bank: Bank, { from, to, cents }: Transfer): void {
  bank.put(from, (bank.get(from) ?? 0) - cents)
  bank.put(to, (bank.get(to) ?? 0) + cents)
}

/** The fix: both or none. */
function carefulTransfer(bank: Bank, transfer: Transfer): void {
  bank.transaction(() => {
    carelessTransfer(bank, transfer)
  })
}

const transfers: readonly Transfer[] = [
  { from: 'alice', to: 'bob', cents: 12_50 },
  { from: 'bob', to: 'carol', cents: 5_00 },
  { from: 'alice', to: 'carol', cents: 40_00 },
]

function bankTest(transfer: (bank: Bank, transfer: Transfer) => void): CrashTestOptions<string, number> {
  return {
    setup: (bank) => {
      for (const name of ['alice', 'bob', 'carol']) bank.put(name, OPENING_CENTS)
    },
    workload: (bank) => {
      for (const one of transfers) transfer(bank, one)
    },
    check: (bank) => {
      let sum = 0
      for (const cents of bank.values()) sum += cents
      assert.equal(sum, 3 * OPENING_CENTS, 'money is neither made nor lost')
    },
  }
}

const found = await crashTest(bankTest(carelessTransfer)).then(
  () => undefined,
  (error: unknown) => error,
)
assert.ok(found instanceof CrashTestError)
console.log('--- two transactions that should have been one:\n')
console.log(found.message)
assert.equal(found.failure.kind, 'check')
assert.equal(found.failure.transactions[0].call.sites[0].functionName, 'carelessTransfer')

// The same crash and no other: for the debugger.
const again = await crashTest({ ...bankTest(carelessTransfer), replay: found.failure.replay ?? '', throws: false })
assert.equal(again.images, 1)
assert.equal(again.failure?.message, found.message)

const { transactions, points, images, distinct, contents } = await crashTest(bankTest(carefulTransfer))
assert.equal(transactions, transfers.length)
console.log(
  `\n--- as one transaction each: ${transactions} transactions, ${points} crash points, ${images} images, ` +
    `${distinct} of them different, ${contents} contents checked, no violation`,
)

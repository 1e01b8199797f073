import { LINES_PER_PAGE } from '../pmem/program.js'
import { differingLines, newestImage } from '../../crash-tests/src/image-diff.js'
import { formatSite } from './call-site.js'
import { formatOperation } from './operations.js'
import type { KitRecording } from './record.js'
import type {
  CrashFailure,
  CrashFailureKind,
  CrashModel,
  CrashOperation,
  CrashTransaction,
  StaleLine,
} from './types.js'

/** What is known where a crash was refused. */
export interface FailureFacts {
  readonly recording: KitRecording
  readonly kind: CrashFailureKind
  /** What is wrong, in a sentence. */
  readonly problem: string
  readonly cause: unknown
  readonly seed: number
  /** Events that had happened. */
  readonly point: number
  /** State that was recovered. */
  readonly found: number | undefined
  readonly image: Uint8Array
  readonly model?: CrashModel
  /** The crash in the words of the laboratory. */
  readonly crash?: string
  readonly replay?: string
}

/** Transactions shown around the one that matters, and stale lines. */
const SHOWN_BEFORE = 3
const SHOWN_AFTER = 2
const SHOWN_LINES = 8

/** Everything about a failure, for programs and in words. */
export function describeFailure(facts: FailureFacts): CrashFailure {
  const { recording, kind, seed, point, found, model, replay, cause } = facts
  const acknowledged = recording.acknowledged[point]
  const transactions = recording.transactions.map(({ call, operations, begin }, index): CrashTransaction => {
    const state = index < acknowledged ? 'acknowledged' : begin < point ? 'committing' : 'not begun'
    return { number: index + 1, call, operations, state }
  })
  const failure: Omit<CrashFailure, 'message'> = {
    kind,
    logging: recording.logging,
    model,
    seed,
    found,
    acknowledged,
    transactions,
    staleLines: model === undefined ? [] : staleLines(recording, facts.image, point),
    replay,
    cause,
  }
  return { ...failure, message: inWords(facts, failure) }
}

function staleLines(recording: KitRecording, image: Uint8Array, point: number): StaleLine[] {
  return differingLines(image, newestImage(recording.trace, point)).map(({ pageId, line }) => {
    const changes = recording.changes.get(pageId * LINES_PER_PAGE + line) ?? []
    return { pageId, line, operation: changes.findLast(({ event }) => event <= point)?.operation }
  })
}

function inWords(facts: FailureFacts, failure: Omit<CrashFailure, 'message'>): string {
  const { kind } = facts
  // Assertions explain themselves in several lines.
  const problem = facts.problem.trim().replace(/\n\s*/g, '\n    ')
  const { transactions } = failure
  if (kind === 'check-without-crash') {
    const when = failure.found === 0 && transactions.length > 0 ? 'as setup has left it' : 'as the workload has left it'
    return `${problem}\n  without any crash, of the store ${when} (logging ${failure.logging})`
  }
  const lines = [problem, ...crashLines(facts, failure), ...transactionLines(failure)]
  if (kind === 'check') {
    lines.push(
      '  a crash may come between any two transactions: what belongs together must stand in one store.transaction()',
    )
  } else {
    lines.push('  this is a defect of daxkv, not of the code under test: please report it')
  }
  lines.push(...staleLineLines(failure.staleLines))
  lines.push(`  to try this crash only: crashTest({ ..., replay: '${failure.replay ?? ''}' })`)
  return lines.join('\n')
}

function crashLines({ crash = '' }: FailureFacts, { model, logging, seed }: Omit<CrashFailure, 'message'>): string[] {
  // Without the way in which this image was chosen, and the lines, which are listed below.
  const first = crash.split(';')[0].replace(/: [^:]* \(point.*$/, '')
  return [`  model ${model ?? ''}, logging ${logging}, seed ${seed}: ${first}`]
}

function transactionLines({ found, transactions }: Omit<CrashFailure, 'message'>): string[] {
  if (transactions.length === 0) return ['  the workload had changed nothing']
  const begun = transactions.filter(({ state }) => state !== 'not begun').length
  const around = found ?? begun
  const [from, to] = [Math.max(0, Math.min(around, begun) - SHOWN_BEFORE), Math.max(around, begun) + SHOWN_AFTER]
  const lines = [
    found === undefined
      ? `  of ${transactions.length} transactions:`
      : `  the recovered store holds ${found} of ${transactions.length} transactions:`,
  ]
  if (from > 0) lines.push(`    ... ${from} before, all acknowledged`)
  for (const transaction of transactions.slice(from, to)) {
    const held = found === undefined ? '' : transaction.number <= found ? 'recovered, ' : 'not there, '
    lines.push(`    ${transaction.number}. ${called(transaction.call)}: ${held}${transaction.state}`)
    const shown = transaction.operations.slice(0, SHOWN_LINES)
    for (const operation of shown) lines.push(`         ${called(operation)}`)
    const more = transaction.operations.length - shown.length
    if (more > 0) lines.push(`         ... and ${more} more`)
  }
  const rest = transactions.length - Math.min(to, transactions.length)
  if (rest > 0) lines.push(`    ... ${rest} more`)
  return lines
}

function staleLineLines(stale: readonly StaleLine[]): string[] {
  if (stale.length === 0) return ['  nothing of what had been stored by then was lost']
  const lines = [`  ${stale.length} lines of 64 bytes had not reached the medium:`]
  for (const { pageId, line, operation } of stale.slice(0, SHOWN_LINES)) {
    lines.push(
      `    page ${pageId} line ${line}${operation === undefined ? '' : `, last changed by ${called(operation)}`}`,
    )
  }
  if (stale.length > SHOWN_LINES) lines.push(`    ... and ${stale.length - SHOWN_LINES} more`)
  return lines
}

/** `put accounts "alice" at transfer (ledger.ts:31:14)`. */
function called(operation: CrashOperation): string {
  const what = formatOperation(operation)
  return operation.sites.length === 0 ? what : `${what} at ${formatSite(operation.sites[0])}`
}

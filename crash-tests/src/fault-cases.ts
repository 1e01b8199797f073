import type { FaultCall, FaultRule } from './faults.js'
import { FOR_EVER } from './faults.js'
import type { Amount } from './amounts.js'
import type { Random } from './random.js'

/**
 * What each call may report, as far as Linux documents it for such a file, and what the store makes of it when it does
 * not carry on: `ENOSPC` and its kin are NO_SPACE, other errnos IO_ERROR; the exceptions are in `expectedCodes`.
 */
const ERRNOS: Readonly<Record<FaultCall, readonly string[]>> = {
  map: ['ENOMEM', 'EAGAIN'],
  unmap: ['ENOMEM'],
  advise: ['ENOMEM', 'EAGAIN', 'EIO'],
  msync: ['EIO', 'ENOMEM', 'ENOSPC', 'EINTR'],
  fdatasync: ['EIO', 'ENOSPC', 'EINTR'],
  fsync: ['EIO', 'ENOSPC', 'EINTR'],
  'write-back': ['EIO', 'ENOSPC', 'ENOSYS'],
  ftruncate: ['EIO', 'EINTR'],
  fstat: ['EIO', 'ENOMEM'],
  pwrite: ['EIO', 'ENOSPC', 'EAGAIN', 'EINTR', 'EDQUOT'],
  lock: ['ENOLCK', 'EAGAIN', 'EINTR'],
  duplicate: ['EMFILE'],
  close: ['EIO', 'EINTR'],
  'list-extents': ['EIO', 'ENOMEM', 'EINTR', 'EOPNOTSUPP'],
  seek: ['EIO', 'EINTR'],
  reopen: ['EMFILE', 'ENOENT'],
  operation: ['EIO'],
  openSync: ['EIO', 'EMFILE', 'ENOMEM', 'ENOSPC', 'EINTR', 'EACCES'],
  fstatSync: ['EIO', 'ENOMEM'],
  readSync: ['EIO', 'EAGAIN', 'EINTR'],
  writeSync: ['EIO', 'ENOSPC', 'EAGAIN', 'EINTR'],
  fsyncSync: ['EIO', 'ENOSPC', 'EINTR'],
  linkSync: ['EIO', 'ENOSPC', 'ENOMEM', 'EEXIST'],
  unlinkSync: ['EIO'],
  closeSync: ['EIO'],
}

/** Calls that may do less than asked and say so. */
const SHORT: readonly FaultCall[] = ['pwrite', 'readSync', 'writeSync']

/** The kernel never interrupts for ever; the store may try again until it is through. */
const INTERRUPTIONS = 6

/** Codes with which an operation may end when a call reports `errno`. */
export function expectedCodes({ call, errno }: FaultRule): readonly string[] {
  if (call === 'lock' && errno === 'EAGAIN') return ['POOL_LOCKED']
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return ['NO_SPACE', 'PERSIST_FAILED']
  if (errno === 'EACCES') return ['PERMISSION_DENIED']
  return ['IO_ERROR', 'PERSIST_FAILED']
}

/** Numbers of the calls to fail: all of them, or the first, the last and some between. */
function numbers(made: number, most: number, random: Random): number[] {
  if (made <= most) return Array.from({ length: made }, (_, index) => index + 1)
  const chosen = new Set([1, made])
  while (chosen.size < most) chosen.add(1 + random.below(made))
  return [...chosen].sort((left, right) => left - right)
}

const MOST_OF_A_KIND = { quick: 2, full: 5, long: Infinity }

/** All ways in which the calls that a scenario has made may fail. */
export function faultCases(made: ReadonlyMap<FaultCall, number>, amount: Amount, random: Random): FaultRule[] {
  const rules: FaultRule[] = []
  for (const [call, count] of made) {
    for (const first of numbers(count, MOST_OF_A_KIND[amount], random)) {
      const errnos = amount === 'quick' ? pickOne(ERRNOS[call], random) : ERRNOS[call]
      for (const errno of errnos) {
        if (errno === 'EEXIST') continue // somebody else was faster; not for ever
        const ever = errno === 'EINTR' && call === 'pwrite' ? first + INTERRUPTIONS : FOR_EVER
        rules.push({ call, first, last: first, action: 'fail', errno })
        rules.push({ call, first, last: ever, action: 'fail', errno })
      }
      if (!SHORT.includes(call)) continue
      rules.push({ call, first, last: first, action: 'short' })
      rules.push({ call, first, last: FOR_EVER, action: 'short' })
    }
  }
  return rules
}

function pickOne(errnos: readonly string[], random: Random): readonly string[] {
  return [errnos[random.below(errnos.length)]]
}

export function describeRule({ call, first, last, action, errno }: FaultRule): string {
  const times = last === first ? 'once' : last === FOR_EVER ? 'for ever' : `${last - first + 1} times`
  return `${call} ${first} ${errno ?? action} ${times}`
}

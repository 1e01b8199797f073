/**
 * The rules that a store on persistent memory must obey (docs/vm-laboratory.md lists them), one test each, on a real DAX
 * file system. What other processes may do to the file is done here by this one.
 */
import { constants, copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DaxkvError, open, probePath } from '../../../src/index.js'
import type { Store } from '../../../src/index.js'
import type { Disk } from '../protocol.js'
import { result } from './channel.js'
import { blockDevice, directoryOf } from './disks.js'
import { run } from './shell.js'
import { message } from './verifier.js'

const PAGE = 4096
const SMALL = { initialSizeBytes: 1024 * 1024, logSizeBytes: 64 * 1024, growthStepBytes: 256 * 1024 }
/** Bytes that are found again in the file. */
const MARK = Buffer.alloc(40 * PAGE, 'a mark to be found in the pool ')

type Values = Store<string, Buffer>

/** The rules of one disk; those that poison it come last. */
export function rules(disk: Disk): void {
  const directory = directoryOf(disk)
  const all: Record<string, (path: string) => string> = {
    'a sparse copy (holes)': sparseCopy,
    'unwritten extents': unwrittenCopy,
    'truncated by somebody else while open': truncated,
    'hole punched by somebody else while open': punched,
    'file system full': full,
    ...(disk.fileSystem === 'xfs' ? { 'a reflinked copy': reflinkedCopy } : {}),
    // Marks memory as bad: not on a real device
    ...(disk.device === undefined
      ? {
          'known bad blocks': (path: string) => badBlocks(path, blockDevice(disk.index)),
          'memory poisoned while open': poisoned,
        }
      : {}),
  }
  Object.entries(all).forEach(([name, rule], index) => {
    try {
      result(`${disk.fileSystem}: ${name}`, true, rule(join(directory, `rule-${index}.pool`)))
    } catch (error) {
      result(
        `${disk.fileSystem}: ${name}`,
        false,
        error instanceof Error ? (error.stack ?? error.message) : String(error),
      )
    }
  })
}

function openValues(path: string): Values {
  return open<string, Buffer>(path, { ...SMALL, keyEncoding: 'utf8', valueEncoding: 'binary' })
}

/** A closed pool with some keys and one long value. */
function makePool(path: string): void {
  const store = openValues(path)
  for (let index = 0; index < 200; index++) store.put(`key ${index}`, Buffer.from(`value ${index}`))
  store.put('long', MARK)
  store.close()
}

function assert(good: boolean, text: string): asserts good {
  if (!good) throw new Error(text)
}

/** Opened for writing, the copy must be whole, written and its own, and hold what the original held. */
function assertRepaired(path: string, kind: string): string {
  const before = probePath(path).unsafeRanges.filter((range) => range.kind === kind)
  assert(before.length > 0, `the copy has no ${kind} range to begin with`)
  const store = openValues(path)
  try {
    assert(store.persistence.granularity === 'cache-line', `granularity ${store.persistence.granularity}`)
    assertWhole(store)
    store.put('after', Buffer.from('repair'))
  } finally {
    store.close()
  }
  const left = probePath(path).unsafeRanges
  assert(left.length === 0, `still unsafe: ${JSON.stringify(left)}`)
  const bytes = before.reduce((sum, range) => sum + range.length, 0)
  return `${before.length} ${kind} ranges of ${bytes} bytes rewritten at open, content intact`
}

function assertWhole(store: Values): void {
  assert(store.get('long')?.equals(MARK) === true, 'the long value is not what it was')
  for (let index = 0; index < 200; index++) {
    assert(store.get(`key ${index}`)?.toString() === `value ${index}`, `key ${index} is not what it was`)
  }
  const report = store.check()
  assert(report.ok, `check: ${report.problems.map((problem) => problem.message).join('; ')}`)
}

/** Writes the pages that are not all zeros to a new file of the same length. */
function copyWithout(from: string, to: string, prepare: (to: string, size: number) => void): void {
  const bytes = readFileSync(from)
  prepare(to, bytes.length)
  const fd = openSync(to, 'r+')
  for (let at = 0; at < bytes.length; at += PAGE) {
    const page = bytes.subarray(at, at + PAGE)
    if (page.some((byte) => byte !== 0)) writeSync(fd, page, 0, page.length, at)
  }
  closeSync(fd)
}

function sparseCopy(path: string): string {
  makePool(path)
  copyWithout(path, `${path}.copy`, (to, size) => {
    const fd = openSync(to, 'w')
    ftruncateSync(fd, size)
    closeSync(fd)
  })
  return assertRepaired(`${path}.copy`, 'hole')
}

function unwrittenCopy(path: string): string {
  makePool(path)
  copyWithout(path, `${path}.copy`, (to, size) => run('fallocate', '-l', `${size}`, to))
  return assertRepaired(`${path}.copy`, 'unwritten')
}

function reflinkedCopy(path: string): string {
  makePool(path)
  copyFileSync(path, `${path}.copy`, constants.COPYFILE_FICLONE_FORCE)
  const text = assertRepaired(`${path}.copy`, 'shared')
  // The copy has storage of its own now, so the original shares nothing either
  const store = openValues(path)
  assertWhole(store)
  assert(store.get('after') === undefined, 'a write to the copy is in the original')
  store.close()
  return text
}

/** The error is the operation's; the process lives on. */
function expectError(action: () => unknown, codes: readonly string[]): DaxkvError {
  try {
    action()
  } catch (error) {
    assert(error instanceof DaxkvError && codes.includes(error.code), `not ${codes.join(' or ')}: ${message(error)}`)
    return error
  }
  throw new Error(`no ${codes.join(' or ')} was thrown`)
}

function truncated(path: string): string {
  makePool(path)
  const offset = readFileSync(path).indexOf(MARK.subarray(0, PAGE))
  const store = openValues(path)
  truncateSync(path, offset)
  const error = expectError(() => store.get('long'), ['MEDIA_ERROR'])
  assert(error.offset !== undefined && error.offset >= offset, `offset ${error.offset}`)
  closeAnyhow(store)
  const reopened = expectError(() => openValues(path).close(), ['TRUNCATED'])
  return `${error.code} at offset ${error.offset}, length ${error.length}; reopened: ${reopened.code}`
}

function punched(path: string): string {
  makePool(path)
  const offset = readFileSync(path).indexOf(MARK.subarray(0, PAGE))
  const store = openValues(path)
  run('fallocate', '-p', '-o', `${offset}`, '-l', `${MARK.length}`, path)
  const report = store.check()
  assert(!report.ok, 'check found nothing')
  // The other keys are there, and writes are durable: the faults of MAP_SYNC allocate anew
  assert(store.get('key 7')?.toString() === 'value 7', 'another key is gone')
  store.put('long', MARK)
  assertWhole(store)
  store.close()
  return `check: ${report.problems[0].message}; the value written again, all is well`
}

function full(path: string): string {
  const store = openValues(path)
  const filler = join(path, '..', 'filler')
  const fd = openSync(filler, 'w')
  const chunk = Buffer.alloc(1024 * 1024, 1)
  try {
    for (;;) writeSync(fd, chunk)
  } catch {
    // full now
  }
  closeSync(fd)
  let puts = 0
  const error = expectError(() => {
    for (; puts < 100_000; puts++) store.put(`key ${puts}`, Buffer.alloc(3000, puts))
  }, ['NO_SPACE'])
  const { problems } = store.check()
  assert(problems.length === 0, `check: ${problems.map((problem) => problem.message).join('; ')}`)
  run('rm', filler)
  store.put('after', Buffer.from('room'))
  assert(store.get(`key ${puts - 1}`)?.length === 3000, 'the last key before the error is gone')
  store.close()
  return `${error.code} after ${puts} puts; with room again the store goes on`
}

/** First byte of a file's page on its device, by the file system's own map. */
function physicalOffset(path: string, offset: number): number {
  for (const line of run('filefrag', '-v', '-b4096', path).split('\n')) {
    const found = /^\s*\d+:\s*(\d+)\.\.\s*(\d+):\s*(\d+)\.\./.exec(line)
    if (found === null) continue
    const [first, last, physical] = found.slice(1).map(Number)
    const block = Math.floor(offset / PAGE)
    if (block >= first && block <= last) return (physical + block - first) * PAGE
  }
  throw new Error(`${path} has no extent at ${offset}`)
}

/** Page in the middle of the long value; only that value is hit. */
function middleOfMark(path: string): number {
  return readFileSync(path).indexOf(MARK.subarray(0, PAGE)) + 8 * PAGE
}

function badBlocks(path: string, device: string): string {
  makePool(path)
  const offset = middleOfMark(path)
  const sector = physicalOffset(path, offset) / 512
  writeFileSync(`/sys/block/${device.replace('/dev/', '')}/badblocks`, `${sector} 8`)
  const store = openValues(path)
  for (let time = 0; time < 2; time++) assertMediaError(store, offset)
  assert(store.get('key 7')?.toString() === 'value 7', 'another key cannot be read')
  const report = store.check()
  assert(!report.ok, 'check found nothing')
  // Written again, the value is somewhere else
  store.put('long', MARK)
  assertWhole(store)
  store.close()
  return `MEDIA_ERROR at offset ${offset}, length ${PAGE}; check: ${report.problems[0].message}; written again, all is well`
}

function poisoned(path: string): string {
  makePool(path)
  const offset = middleOfMark(path)
  const store = openValues(path)
  assert(store.get('long')?.equals(MARK) === true, 'the long value cannot be read')
  // Else the kernel tells only who touches the page, which this emulated memory would let pass
  writeFileSync('/proc/sys/vm/memory_failure_early_kill', '1')
  run('/lab/poison', path, `${offset}`)
  assertMediaError(store, offset)
  assert(store.get('key 7')?.toString() === 'value 7', 'another key cannot be read')
  store.put('elsewhere', Buffer.from('works'))
  closeAnyhow(store)
  return `MEDIA_ERROR at offset ${offset}, length ${PAGE}; the process lives and goes on`
}

/** The value on the page gives an error that names the page. */
function assertMediaError(store: Values, offset: number): void {
  const error = expectError(() => store.get('long'), ['MEDIA_ERROR'])
  assert(
    error.offset !== undefined && error.offset <= offset && error.offset + (error.length ?? 0) > offset,
    `MEDIA_ERROR at offset ${error.offset}, length ${error.length}, not at ${offset}`,
  )
}

function closeAnyhow(store: Values): void {
  try {
    store.close()
  } catch (error) {
    if (!(error instanceof DaxkvError)) throw error
  }
}

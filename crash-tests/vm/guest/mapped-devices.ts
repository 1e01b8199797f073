/** Device-mapper below a store of granularity page: a recorder of all writes, and a disk that fails or lies. */
import { closeSync, fdatasyncSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { DaxkvError, open } from '../../../src/index.js'
import type { Key, Store } from '../../../src/index.js'
import { acknowledge, report, result } from './channel.js'
import { Content } from './content.js'
import { makeFileSystem, mountAt, unmount } from './disks.js'
import { commitStep, modeOf, spacesOf, stepOf } from './modes.js'
import { run } from './shell.js'
import { message } from './verifier.js'
import { openFor } from './writer.js'

const DIRECTORY = '/mnt/mapped'
const MODE = 'checkpoint'

function dmsetup(...words: string[]): void {
  run('dmsetup', ...words, '--noudevsync')
}

function sectors(device: string): string {
  return run('blockdev', '--getsz', device).trim()
}

/** Works on a file system whose every write and flush is recorded on a second disk, with a mark after each few steps. */
export function logWrites(seed: number, steps: number, stepsEachMark: number): void {
  dmsetup('create', 'log', '--table', `0 ${sectors('/dev/vda')} log-writes /dev/vda /dev/vdb`)
  makeFileSystem('/dev/mapper/log', 'ext4')
  mountAt('/dev/mapper/log', DIRECTORY, 'ext4', 'rw')
  const mode = modeOf(MODE)
  const store = openFor(mode, DIRECTORY, {})
  const spaces = spacesOf(store)
  for (let index = 1; index <= steps; index++) {
    commitStep(store, spaces, stepOf(mode, seed, index))
    if (index % stepsEachMark !== 0) continue
    run('dmsetup', 'message', 'log', '0', 'mark', `step-${index}`)
    acknowledge(0, index)
  }
  store.close()
  unmount(DIRECTORY)
  // Removing the device completes its record
  dmsetup('remove', 'log')
}

/** A disk whose writes fail, then one that forgets them. */
export function flakey(seed: number): void {
  const size = sectors('/dev/vda')
  const linear = `0 ${size} linear /dev/vda 0`
  dmsetup('create', 'flakey', '--table', linear)
  eachOpenFileIsTold(size, linear)
  for (const [feature, judge] of [
    ['error_writes', afterErrors],
    ['drop_writes', afterDrops],
  ] as const) {
    makeFileSystem('/dev/mapper/flakey', 'ext4')
    mountAt('/dev/mapper/flakey', DIRECTORY, 'ext4', 'rw')
    try {
      const broken = `0 ${size} flakey /dev/vda 0 0 3600 1 ${feature}`
      const acknowledged = workOn(seed, () => replaceTable(broken))
      unmount(DIRECTORY)
      replaceTable(linear)
      mountAt('/dev/mapper/flakey', DIRECTORY, 'ext4', 'rw')
      judge(seed, acknowledged)
    } catch (error) {
      result(`dm-flakey ${feature}`, false, message(error))
    }
    unmount(DIRECTORY)
  }
  dmsetup('remove', 'flakey')
}

/**
 * What checkpoints beside commits rely on: a failed write-back is told to every open file of the file, whoever of them has synced
 * first; and to one that is synced only after another one has been told.
 */
function eachOpenFileIsTold(size: string, linear: string): void {
  const name = 'dm-flakey error_writes, two open files'
  makeFileSystem('/dev/mapper/flakey', 'ext4')
  mountAt('/dev/mapper/flakey', DIRECTORY, 'ext4', 'rw')
  try {
    const file = `${DIRECTORY}/file`
    const first = openSync(file, 'w+')
    const page = Buffer.alloc(4096, 1)
    writeSync(first, page, 0, page.length, 0)
    fdatasyncSync(first)
    const second = openSync(`/proc/self/fd/${first}`, 'r+')
    replaceTable(`0 ${size} flakey /dev/vda 0 0 3600 1 error_writes`)
    writeSync(first, page.fill(2), 0, page.length, 0)
    // The second sync finds the page clean, and is told all the same.
    const told = [second, first, second].map(syncError)
    closeSync(second)
    closeSync(first)
    const ok = told[0] === 'EIO' && told[1] === 'EIO'
    result(name, ok, `the data sync: ${told[0]}, the commit after it: ${told[1]}, again: ${told[2]}`)
  } catch (error) {
    result(name, false, message(error))
  }
  unmount(DIRECTORY)
  replaceTable(linear)
}

function syncError(fd: number): string {
  try {
    fdatasyncSync(fd)
    return 'no error'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? message(error)
  }
}

/** Without freezing: what has not been written yet is to meet the new table. */
function replaceTable(table: string): void {
  run('dmsetup', 'suspend', '--nolockfs', '--noudevsync', 'flakey')
  writeFileSync('/tmp/table', `${table}\n`)
  run('dmsetup', 'load', 'flakey', '/tmp/table')
  run('dmsetup', 'resume', '--noudevsync', 'flakey')
}

interface Work {
  /** Acknowledged before the disk broke, and in all. */
  readonly before: number
  readonly acknowledged: number
  readonly errors: readonly string[]
}

/** Some steps on a sound disk, some on the broken one. */
function workOn(seed: number, breakDisk: () => void): Work {
  const mode = modeOf(MODE)
  const store = openFor(mode, DIRECTORY, {})
  const spaces = spacesOf(store)
  let index = 0
  while (index < 100) commitStep(store, spaces, stepOf(mode, seed, ++index))
  const before = index
  breakDisk()
  const errors: string[] = []
  for (let tries = 0; tries < 60; tries++) {
    try {
      commitStep(store, spaces, stepOf(mode, seed, index + 1))
      index++
    } catch (error) {
      errors.push(error instanceof DaxkvError ? `${error.code} ${error.errno ?? ''}`.trim() : message(error))
    }
  }
  try {
    spaces[0].get('key 1')
  } catch (error) {
    errors.push(error instanceof DaxkvError ? `read: ${error.code}` : message(error))
  }
  try {
    store.close()
  } catch (error) {
    errors.push(error instanceof DaxkvError ? `close: ${error.code}` : message(error))
  }
  return { before, acknowledged: index, errors }
}

/** What the pool holds now: the newest step up to `most` with that content, or the error. */
function held(seed: number, most: number): { step: number | undefined; problem: string } {
  const mode = modeOf(MODE)
  let store: Store | undefined
  try {
    store = open<Key, unknown>(`${DIRECTORY}/${mode.name}.pool`, { ...mode.options, create: false })
    const { ok, problems } = store.check()
    const digest = Content.of(spacesOf(store))
    const model = new Content()
    let step: number | undefined = model.digest === digest ? 0 : undefined
    for (let index = 1; index <= most; index++) {
      model.apply(stepOf(mode, seed, index))
      if (model.digest === digest) step = index
    }
    return { step, problem: ok ? '' : problems[0].message }
  } catch (error) {
    return { step: undefined, problem: message(error) }
  } finally {
    store?.close()
  }
}

/** The first failed msync poisons the store; nothing is acknowledged after it, nothing acknowledged is lost. */
function afterErrors(seed: number, { before, acknowledged, errors }: Work): void {
  const { step, problem } = held(seed, acknowledged + 1)
  const poisoned = errors[0] === 'PERSIST_FAILED EIO' && errors.slice(1, -1).every((text) => text.endsWith('POISONED'))
  const ok = poisoned && acknowledged === before && problem === '' && step !== undefined && step >= acknowledged
  const rest = [...new Set(errors.slice(1))].join(', ')
  const detail = `first ${errors[0]}, then ${rest}; ${acknowledged} acknowledged, ${String(step)} there after reopening ${problem}`
  result('dm-flakey error_writes', ok, detail)
}

/** A disk that confirms and forgets: nobody can help that, but the laboratory must see it. */
function afterDrops(seed: number, { before, acknowledged, errors }: Work): void {
  const { step, problem } = held(seed, acknowledged)
  const noticed = problem !== '' || step === undefined || step < acknowledged
  const what =
    problem !== '' ? problem : `${acknowledged - (step ?? 0)} of ${acknowledged - before} steps on the lying disk`
  result(
    'dm-flakey drop_writes',
    noticed && errors.length === 0,
    `${noticed ? 'lost, as it must be' : 'not noticed'}: ${what}`,
  )
  report({ kind: 'text', text: errors.join(', ') })
}

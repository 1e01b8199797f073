/**
 * The persistence matrix: a store is opened on each kind of file that the kernel grants or refuses MAP_SYNC to, and what
 * `store.persistence` and `probe` say is compared with what is known about it.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DaxkvError, open, probePath } from '../../../src/index.js'
import type { Granularity, Persistence } from '../../../src/index.js'
import type { FileSystem, Task } from '../protocol.js'
import { result } from './channel.js'
import { blockDevice, makeFileSystem, makeNamespace, mountAt, specialBlockDevice, unmount } from './disks.js'
import { eventually, run } from './shell.js'
import { message } from './verifier.js'

interface Expected {
  readonly granularity: Granularity
  readonly domain: string
  /** What statx says of DAX, where that is worth a check; it is no proof of anything. */
  readonly statxDax?: boolean
}

const FLUSH: Readonly<Record<Granularity, string>> = { byte: 'none', 'cache-line': 'clwb', page: 'msync' }
const DIRECTORY = '/mnt/matrix'

type Set = Extract<Task, { task: 'matrix' }>['set']

export function matrix(set: Set): void {
  if (set === 'eadr') eadr()
  else if (set === 'unreported') unreported()
  else {
    const domain = 'memory_controller'
    makeNamespace(0, 'fsdax')
    const device = blockDevice(0)
    ext4(device, domain, set)
    if (set === 'full') {
      xfs(device, domain)
      layers(device, domain)
      deviceDax()
    }
    row('tmpfs', '/dev/shm', { granularity: 'page', domain })
  }
}

/** Platforms whose caches survive a power cut. */
function eadr(): void {
  makeNamespace(0, 'fsdax')
  makeFileSystem(blockDevice(0), 'ext4')
  const domain = 'cpu_cache'
  on('ext4, dax', 'ext4', blockDevice(0), 'dax', { granularity: 'byte', domain })
  on('ext4, dax=never', 'ext4', blockDevice(0), 'dax=never', { granularity: 'page', domain })
  mountAt(blockDevice(0), DIRECTORY, 'ext4', 'dax')
  cli('eADR', DIRECTORY, 0, /eADR/)
  accepted('requireGranularity byte on eADR', DIRECTORY, 'byte')
  unmount(DIRECTORY)
}

/** The firmware says nothing of the domain; memory by a kernel parameter; virtio-pmem, which is the host's page cache. */
function unreported(): void {
  const domain = 'unknown'
  makeNamespace(0, 'fsdax')
  makeFileSystem(blockDevice(0), 'ext4')
  on('ext4, dax, domain not reported', 'ext4', blockDevice(0), 'dax', { granularity: 'cache-line', domain })
  const legacy = specialBlockDevice('e820_pmem')
  makeFileSystem(legacy, 'ext4')
  on('legacy pmem (memmap=), ext4, dax', 'ext4', legacy, 'dax', { granularity: 'cache-line', domain })
  const virtual = specialBlockDevice('virtio')
  const expected: Expected = { granularity: 'page', domain, statxDax: true }
  makeFileSystem(virtual, 'ext4')
  on('virtio-pmem, ext4, dax', 'ext4', virtual, 'dax', expected)
  makeFileSystem(virtual, 'xfs')
  on('virtio-pmem, XFS, dax=always', 'xfs', virtual, 'dax=always', expected)
}

function ext4(device: string, domain: string, set: Set): void {
  const dax: Expected = { granularity: 'cache-line', domain, statxDax: true }
  const page: Expected = { granularity: 'page', domain, statxDax: false }
  makeFileSystem(device, 'ext4')
  on('ext4, dax', 'ext4', device, 'dax', dax)
  on('ext4, dax=never', 'ext4', device, 'dax=never', page)
  mountAt(device, DIRECTORY, 'ext4', 'dax')
  cli('ext4, dax', DIRECTORY, 0, /^yes: flushes are enough here\n.*cache-line flushes and fences/)
  accepted('requireGranularity cache-line on ext4, dax', DIRECTORY, 'cache-line')
  refused('requireGranularity byte on ADR', DIRECTORY, 'byte')
  forced(DIRECTORY)
  unmount(DIRECTORY)
  mountAt(device, DIRECTORY, 'ext4', 'dax=never')
  refused('requireGranularity cache-line on ext4, dax=never', DIRECTORY, 'cache-line')
  cli('ext4, dax=never', DIRECTORY, 1, /^no: flushes alone are not enough here\n/)
  unmount(DIRECTORY)
  if (set === 'smoke') return
  on('ext4, no option', 'ext4', device, 'rw', page)
  mountAt(device, DIRECTORY, 'ext4', 'dax=inode')
  for (const name of ['plain', 'dax']) mkdirSync(join(DIRECTORY, name))
  run('chattr', '+x', join(DIRECTORY, 'dax'))
  row('ext4, dax=inode, directory with chattr +x', join(DIRECTORY, 'dax'), dax)
  row('ext4, dax=inode, directory without', join(DIRECTORY, 'plain'), page)
  unmount(DIRECTORY)
}

function xfs(device: string, domain: string): void {
  for (const reflink of ['0', '1']) {
    makeFileSystem(device, 'xfs', '-m', `reflink=${reflink}`)
    const name = `XFS, reflink=${reflink}`
    on(`${name}, dax=always`, 'xfs', device, 'dax=always', { granularity: 'cache-line', domain, statxDax: true })
    on(`${name}, no option`, 'xfs', device, 'rw', { granularity: 'page', domain, statxDax: false })
  }
  makeNamespace(2, 'raw')
  makeFileSystem(blockDevice(2), 'xfs')
  // The mount succeeds all the same
  on('XFS, dax=always, device without DAX', 'xfs', blockDevice(2), 'dax=always', { granularity: 'page', domain })
}

function layers(device: string, domain: string): void {
  makeFileSystem(device, 'ext4')
  mountAt(device, DIRECTORY, 'ext4', 'dax')
  for (const name of ['lower', 'upper', 'work']) mkdirSync(join(DIRECTORY, name))
  const options = ['lower', 'upper', 'work'].map((name) => `${name}dir=${DIRECTORY}/${name}`).join(',')
  mountAt('overlay', '/mnt/overlay', 'overlay', options)
  row('overlayfs over ext4, dax', '/mnt/overlay', { granularity: 'page', domain, statxDax: true })
  unmount('/mnt/overlay')
  unmount(DIRECTORY)
  const sectors = run('blockdev', '--getsz', device).trim()
  run('dmsetup', 'create', '--noudevsync', 'linear', '--table', `0 ${sectors} linear ${device} 0`)
  on('dm-linear, ext4, dax', 'ext4', '/dev/mapper/linear', 'dax', { granularity: 'cache-line', domain })
  run('dmsetup', 'remove', '--noudevsync', 'linear')
}

/** No file system, no growth, no msync: refused, and by its name. */
function deviceDax(): void {
  makeNamespace(1, 'devdax')
  const name = eventually('device-dax', () => readdirSync('/dev').find((file) => /^dax\d+\.\d+$/.test(file)))
  refusal('open of device-dax', () => void open(`/dev/${name}`), 'UNSUPPORTED_TARGET', /device-dax/)
  refusal('probe of device-dax', () => void probePath(`/dev/${name}`), 'UNSUPPORTED_TARGET', /device-dax/)
}

/** Mounts, tries, unmounts. */
function on(name: string, fileSystem: FileSystem, device: string, options: string, expected: Expected): void {
  try {
    mountAt(device, DIRECTORY, fileSystem, options)
  } catch (error) {
    result(name, false, message(error))
    return
  }
  row(name, DIRECTORY, expected)
  unmount(DIRECTORY)
}

/** A pool made, written to, closed, reopened; and the report of both opens and of the probe compared. */
function row(name: string, directory: string, expected: Expected): void {
  const path = join(directory, `matrix-${Date.now()}.pool`)
  const differences: string[] = []
  let persistence: Persistence | undefined
  try {
    for (const life of ['created', 'reopened']) {
      const store = open<string, string>(path, { initialSizeBytes: 1024 * 1024, logSizeBytes: 64 * 1024 })
      try {
        persistence = store.persistence
        differences.push(...compare(persistence, expected).map((text) => `${life}: ${text}`))
        if (life === 'created') store.put('key', name)
        else if (store.get('key') !== name) differences.push('reopened: the value is gone')
        if (store.stats().logging !== (expected.granularity === 'page' ? 'redo' : 'undo')) {
          differences.push(`${life}: logging ${store.stats().logging}`)
        }
      } finally {
        store.close()
      }
    }
    const probe = probePath(directory)
    if (probe.granularity !== expected.granularity) differences.push(`probe: ${probe.granularity}`)
    if (expected.statxDax !== undefined && probe.statxDax !== expected.statxDax) {
      differences.push(`statx: ${String(probe.statxDax)}`)
    }
  } catch (error) {
    differences.push(message(error))
  }
  const found = persistence === undefined ? '' : `${persistence.granularity}: ${persistence.reason}`
  result(name, differences.length === 0, differences.length === 0 ? found : `${differences.join('; ')}; ${found}`)
}

function compare(persistence: Persistence, expected: Expected): string[] {
  const wanted: Partial<Persistence> = {
    granularity: expected.granularity,
    detectedGranularity: expected.granularity,
    mapSync: expected.granularity !== 'page',
    persistenceDomain: expected.domain,
    flushInstruction: FLUSH[expected.granularity],
    forced: false,
    executor: 'native',
  }
  return Object.entries(wanted)
    .filter(([name, value]) => persistence[name as keyof Persistence] !== value)
    .map(([name, value]) => `${name} ${String(persistence[name as keyof Persistence])}, not ${String(value)}`)
}

function accepted(name: string, directory: string, requireGranularity: Granularity): void {
  try {
    open(join(directory, 'required.pool'), { requireGranularity }).close()
    result(name, true, 'accepted')
  } catch (error) {
    result(name, false, message(error))
  }
}

function refused(name: string, directory: string, requireGranularity: Granularity): void {
  const path = join(directory, `refused-${requireGranularity}.pool`)
  refusal(name, () => void open(path, { requireGranularity }), 'GRANULARITY_UNAVAILABLE', /required/)
}

/** The override works both ways and is always visible. */
function forced(directory: string): void {
  const store = open(join(directory, 'forced.pool'), { forceGranularity: 'page' })
  const { granularity, detectedGranularity, forced: visible, flushInstruction } = store.persistence
  store.put('key', 1)
  store.close()
  const ok = granularity === 'page' && detectedGranularity === 'cache-line' && visible && flushInstruction === 'msync'
  result('forceGranularity page on ext4, dax', ok, `${granularity} by ${flushInstruction}, forced ${visible}`)
}

export function refusal(name: string, action: () => void, code: string, says: RegExp): void {
  try {
    action()
    result(name, false, 'not refused')
  } catch (error) {
    const ok = error instanceof DaxkvError && error.code === code && says.test(error.message)
    result(name, ok, error instanceof DaxkvError ? `${error.code}: ${error.message}` : message(error))
  }
}

/** The command that users would ask. */
function cli(name: string, path: string, status: number, says: RegExp): void {
  const program = '/lab/node_modules/daxkv/dist/cli/main.js'
  const child = spawnSync(process.execPath, [program, 'probe', path], { encoding: 'utf8' })
  const ok = child.status === status && says.test(child.stdout)
  result(`daxkv probe: ${name}`, ok, `exit ${String(child.status)}: ${child.stdout}${child.stderr}`)
}

/** Who may open a pool when native and portable owners meet: the lock files, and the kernel's list of locks. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { open } from '../../src/index.js'
import { isLockedNatively } from '../../src/pmem/kernel-locks.js'
import { currentOwner, ownerState, parseOwner } from '../../src/pmem/lock-owner.js'
import type { LockOwner } from '../../src/pmem/lock-owner.js'
import { isNativeAvailable } from '../../src/pmem/native-binding.js'
import { lockDirectory, lockPortably, refusePortableOwners } from '../../src/pmem/portable-lock.js'
import { throwsCode } from '../api/support.js'
import { kill, poolFile, startOwner } from './portable-support.js'

const native = { skip: isNativeAvailable() ? false : 'the addon is not built' }

/** Writes the lock file of an owner that never was. */
function leaveLock(path: string, changes: Partial<LockOwner>, name = 'writer'): void {
  fs.mkdirSync(lockDirectory(path), { recursive: true })
  const owner = { ...currentOwner(), ...changes }
  fs.writeFileSync(join(lockDirectory(path), name), JSON.stringify(owner))
}

/** A pid that no process has: of a child that has ended and was waited for. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  return child.pid as number
}

const HOLDERS = [
  { executor: 'native', readOnly: false },
  { executor: 'native', readOnly: true },
  { executor: 'portable', readOnly: false },
  { executor: 'portable', readOnly: true },
] as const

for (const holder of HOLDERS) {
  const name = `${holder.executor} ${holder.readOnly ? 'reader' : 'writer'}`
  test(`a pool that a ${name} of another process has open keeps out who must be kept out`, native, async (t) => {
    const path = poolFile(t)
    open(path).close()
    const child = await startOwner(t, path, holder)
    for (const { executor, readOnly } of HOLDERS) {
      const attempt = (): void => open(path, { executor, readOnly }).close()
      if (holder.readOnly && readOnly) attempt()
      else throwsCode(attempt, 'POOL_LOCKED')
    }
    await kill(child)
    for (const options of HOLDERS) open(path, options).close()
    assert.equal(fs.existsSync(lockDirectory(path)), false)
  })
}

test('in one process native and portable stores exclude each other as well', native, (t) => {
  const path = poolFile(t)
  const portable = open(path, { executor: 'portable' })
  throwsCode(() => open(path, { executor: 'portable' }), 'POOL_ALREADY_OPEN')
  throwsCode(() => open(path, { executor: 'native' }), 'POOL_ALREADY_OPEN')
  throwsCode(() => open(path, { executor: 'native', readOnly: true }), 'POOL_ALREADY_OPEN')
  portable.close()
  const byAddon = open(path, { executor: 'native' })
  throwsCode(() => open(path, { executor: 'portable' }), 'POOL_LOCKED', /native executor/)
  assert.equal(fs.existsSync(lockDirectory(path)), false)
  byAddon.close()
  open(path, { executor: 'portable' }).close()
})

test('the lock file names its owner and is for its user alone', (t) => {
  const path = poolFile(t)
  const store = open(path, { executor: 'portable' })
  const file = join(lockDirectory(path), 'writer')
  const owner = parseOwner(fs.readFileSync(file, 'utf8'))
  assert.equal(owner?.pid, process.pid)
  assert.equal(ownerState(owner), 'this process')
  assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  assert.equal(fs.statSync(lockDirectory(path)).mode & 0o777, 0o700)
  store.close()
  assert.deepEqual(fs.readdirSync(join(path, '..')), ['pool'])
})

const DEAD: readonly [string, () => Promise<Partial<LockOwner>>][] = [
  ['whose process has ended', async () => ({ pid: await deadPid() })],
  ['whose pid was given to another process since', async () => ({ startTime: '1' })],
  ['of an earlier boot', async () => ({ bootId: 'another' })],
]

for (const [what, changes] of DEAD) {
  test(`the lock of an owner ${what} is removed, by both executors`, { skip: notLinux() }, async (t) => {
    const path = poolFile(t)
    for (const executor of ['portable', ...(isNativeAvailable() ? (['native'] as const) : [])] as const) {
      open(path).close()
      leaveLock(path, await changes())
      leaveLock(path, await changes(), 'reader-0123456789abcdef')
      open(path, { executor }).close()
      assert.equal(fs.existsSync(lockDirectory(path)), false, executor)
    }
  })
}

const DOUBTFUL: readonly [string, Partial<LockOwner>][] = [
  ['of another machine', { host: 'elsewhere' }],
  ['of another container', { pidNamespace: 'pid:[1]' }],
  ['whose boot is not known', { bootId: '' }],
]

for (const [what, changes] of DOUBTFUL) {
  test(
    `the lock of an owner ${what} is never removed, and the message says which file to look at`,
    { skip: notLinux() },
    (t) => {
      const path = poolFile(t)
      open(path).close()
      leaveLock(path, { ...changes, pid: 2 ** 22 + 1 })
      const file = join(lockDirectory(path), 'writer')
      for (let round = 0; round < 2; round++) {
        const error = throwsCode(() => open(path, { executor: 'portable' }), 'POOL_LOCKED', /if it is gone, remove/)
        assert.ok(error.message.includes(file))
      }
      fs.rmSync(file)
      open(path, { executor: 'portable' }).close()
    },
  )
}

test('a damaged lock file is refused by name instead of guessed about', (t) => {
  const path = poolFile(t)
  open(path).close()
  for (const content of ['', '{}', '{"pid":1', 'null', JSON.stringify({ ...currentOwner(), token: '../../x' })]) {
    fs.mkdirSync(lockDirectory(path))
    fs.writeFileSync(join(lockDirectory(path), 'writer'), content)
    throwsCode(() => open(path, { executor: 'portable' }), 'POOL_LOCKED', /damaged/)
    fs.rmSync(lockDirectory(path), { recursive: true })
  }
})

test('a breaker that died while it removed a dead lock does not stop the next one', { skip: notLinux() }, async (t) => {
  const path = poolFile(t)
  open(path).close()
  const pid = await deadPid()
  const [first, second] = ['1111111111111111', '2222222222222222']
  leaveLock(path, { pid, token: first })
  leaveLock(path, { pid, token: second }, `breaking-${first}`)
  leaveLock(path, { pid }, `breaking-${second}`)
  open(path, { executor: 'portable' }).close()
  assert.equal(fs.existsSync(lockDirectory(path)), false)
})

test(
  'of many processes that find a dead lock at the same time, one at a time gets the pool',
  { skip: notLinux() },
  async (t) => {
    const path = poolFile(t)
    fs.writeFileSync(path, '')
    const log = `${path}.log`
    fs.writeFileSync(log, '')
    const module = new URL('../../src/pmem/portable-lock.ts', import.meta.url).href
    // Each owner notes that it came and that it goes; it dies with its lock half of the time.
    const code = `
    import fs from 'node:fs'
    import { lockPortably } from ${JSON.stringify(module)}
    const fd = fs.openSync(${JSON.stringify(path)}, 'r+')
    const log = (word) => fs.appendFileSync(${JSON.stringify(log)}, word + ' ' + process.pid + '\\n')
    for (let owned = 0; owned < 15; ) {
      let release
      try { release = lockPortably(fd, ${JSON.stringify(path)}, false) } catch (error) {
        if (error.code !== 'POOL_LOCKED') { log('error ' + error.stack.replaceAll('\\n', ' ')); process.exit(1) }
        continue
      }
      owned++
      log('in')
      for (let i = 0; i < 20_000; i++);
      log('out')
      if (owned === 15 && process.argv[1] === 'dies') process.kill(process.pid, 'SIGKILL')
      release()
    }`
    const children = Array.from({ length: 6 }, (_, index) =>
      spawn(
        process.execPath,
        ['--import', 'tsx', '--input-type=module', '-e', code, index % 2 === 0 ? 'dies' : 'stays'],
        {
          stdio: 'inherit',
        },
      ),
    )
    t.after(() => children.forEach((child) => child.kill('SIGKILL')))
    await Promise.all(children.map((child) => once(child, 'exit')))
    const lines = fs.readFileSync(log, 'utf8').trim().split('\n')
    assert.equal(
      lines.length,
      2 * 15 * children.length,
      lines.find((line) => line.startsWith('error')),
    )
    for (let i = 0; i < lines.length; i += 2) {
      assert.equal(lines[i].replace('in', 'out'), lines[i + 1], `two owners at once, line ${i}`)
    }
  },
)

test('a reader on a file system that is read-only needs no lock file', (t) => {
  const path = poolFile(t)
  open(path).close()
  t.mock.method(fs, 'mkdirSync', () => {
    throw Object.assign(new Error('EROFS'), { code: 'EROFS' })
  })
  const store = open(path, { executor: 'portable', readOnly: true })
  store.close()
  throwsCode(() => open(path, { executor: 'portable' }), 'PERMISSION_DENIED', /EROFS/)
})

test('a native owner that finds a lock file after locking refuses, whoever was first', (t) => {
  const path = poolFile(t)
  fs.writeFileSync(path, '')
  const fd = fs.openSync(path, 'r+')
  t.after(() => {
    fs.closeSync(fd)
  })
  const release = lockPortably(fd, path, true)
  refusePortableOwners(path, true)
  throwsCode(() => refusePortableOwners(path, false), 'POOL_ALREADY_OPEN')
  release()
  refusePortableOwners(path, false)
})

test(
  "the kernel's list is read by device and inode, and by inode alone where stat tells no real device",
  { skip: notLinux() },
  (t) => {
    const path = poolFile(t)
    fs.writeFileSync(path, '')
    const fd = fs.openSync(path, 'r')
    t.after(() => {
      fs.closeSync(fd)
    })
    const { dev, ino } = fs.fstatSync(fd)
    const [major, minor] = [(dev >>> 8) & 0xfff, (dev & 0xff) | ((dev >>> 12) & 0xfff00)]
    const hex = (number: number): string => number.toString(16).padStart(2, '0')
    const sources = { locks: `${path}.locks`, mountinfo: `${path}.mountinfo` }
    const ask = (lines: string[], mounts: string, readOnly = false): boolean => {
      fs.writeFileSync(sources.locks, `${lines.join('\n')}\n`)
      fs.writeFileSync(sources.mountinfo, mounts)
      return isLockedNatively(fd, path, readOnly, sources)
    }
    const place = `${hex(major)}:${hex(minor)}:${ino}`
    const elsewhere = `fe:07:${ino}`
    const range = '4611686018427387904 4611686018427387904'
    const mounted = `27 1 ${major}:${minor} / / rw - tmpfs tmpfs rw\n`
    assert.equal(ask([], mounted), false)
    assert.equal(ask([`1: OFDLCK ADVISORY  WRITE -1 ${place} ${range}`], mounted), true)
    assert.equal(ask([`1: OFDLCK ADVISORY  READ  -1 ${place} ${range}`], mounted), true)
    assert.equal(ask([`1: OFDLCK ADVISORY  READ  -1 ${place} ${range}`], mounted, true), false)
    assert.equal(ask([`1: OFDLCK ADVISORY  WRITE -1 ${place} 0 EOF`], mounted), false)
    assert.equal(ask([`1: POSIX  ADVISORY  WRITE 77 ${place} ${range}`], mounted), false)
    assert.equal(ask([`1: OFDLCK ADVISORY  WRITE -1 ${elsewhere} ${range}`], mounted), false)
    assert.equal(ask([`1: OFDLCK ADVISORY  WRITE -1 ${elsewhere} ${range}`], '27 1 254:7 / / rw - btrfs x rw\n'), true)
    fs.rmSync(sources.locks)
    throwsCode(() => isLockedNatively(fd, path, false, sources), 'UNSUPPORTED_TARGET', /mount \/proc/)
  },
)

function notLinux(): string | false {
  return process.platform === 'linux' ? false : 'only Linux tells boot, start time and pid namespace'
}

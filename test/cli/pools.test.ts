/** info, check, probe, and pools that cannot be opened. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { open } from 'daxkv'
import { PAGE_LOG_START } from '../../src/pool/format.js'
import { daxkv, jsonLines, temporaryDirectory } from './support.js'

const directory = temporaryDirectory()
const pool = join(directory, 'orders.pool')
let endOfLog: number
{
  using store = open<string, string>(pool, { valueEncoding: 'string' })
  for (let i = 0; i < 1000; i++) store.put(`key-${i}`, `value-${i}`)
  store.keyspace('users', { keyEncoding: 'utf8' }).put('ada', { born: 1815 })
  endOfLog = (PAGE_LOG_START + store.stats().logPages) * 4096
}

/** Dies with the pool open. */
function leaveUnclean(path: string): void {
  const script = `import { open } from 'daxkv'; open(${JSON.stringify(path)}).put('late', 'x'); process.kill(process.pid, 'SIGKILL')`
  const { signal, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  assert.equal(signal, 'SIGKILL', stderr)
}

describe('daxkv info', () => {
  it('shows persistence, sizes and keyspaces', () => {
    const { status, stdout, stderr } = daxkv('info', pool)
    assert.equal(status, 0)
    assert.equal(stderr, '')
    assert.match(stdout, /^pool +.*orders\.pool$/m)
    assert.match(stdout, /^persistence +(byte|cache-line|page)$/m)
    assert.match(stdout, /^last close +clean$/m)
    assert.match(stdout, /^\(unnamed\) +ordered +string +1,000$/m)
    assert.match(stdout, /^users +utf8 +msgpack +1$/m)
  })

  it('prints the same as JSON', () => {
    const [info] = jsonLines(daxkv('info', pool, '--json').stdout) as [Record<string, unknown>]
    assert.deepEqual(Object.keys(info), ['path', 'persistence', 'stats', 'keyspaces'])
    assert.deepEqual(info['keyspaces'], [
      { name: '', keyEncoding: 'ordered', valueEncoding: 'string', entries: 1000 },
      { name: 'users', keyEncoding: 'utf8', valueEncoding: 'msgpack', entries: 1 },
    ])
  })
})

describe('daxkv check', () => {
  it('finds nothing in a sound pool', () => {
    const { status, stdout, stderr } = daxkv('check', pool)
    assert.equal(status, 0)
    assert.equal(stderr, '')
    assert.match(stdout, /^no damage$/m)
  })

  it('reports damage and ends with status 3', () => {
    const damaged = join(directory, 'damaged.pool')
    const bytes = readFileSync(pool)
    // Not in the log, where copies of it may stand that nobody reads any more.
    const at = bytes.indexOf('value-500', endOfLog)
    bytes[at] ^= 1
    writeFileSync(damaged, bytes)
    const { status, stdout, stderr } = daxkv('check', damaged, '--json')
    assert.equal(status, 3)
    assert.match(stderr, /^daxkv: DAMAGED: .*damaged\.pool: 1 problem; restore the pool from a backup\n$/)
    const [report] = jsonLines(stdout) as [{ ok: boolean; problems: { pageId: number }[] }]
    assert.equal(report.ok, false)
    assert.equal(report.problems[0].pageId, Math.floor(at / 4096))
  })
})

describe('a pool that was not closed cleanly', () => {
  it('is not read without --recover, which recovers it', () => {
    const unclean = join(directory, 'unclean.pool')
    leaveUnclean(unclean)
    const { status, stdout, stderr } = daxkv('get', unclean, 'late')
    assert.equal(status, 4)
    assert.equal(stdout, '')
    assert.match(stderr, /^daxkv: NEEDS_RECOVERY: .*not closed cleanly.*--recover.*\n$/)

    const info = daxkv('info', unclean, '--recover')
    assert.equal(info.status, 0)
    assert.match(info.stdout, /^last close +not clean; /m)
    assert.match(info.stderr, /^daxkv: .* was not closed cleanly; .*\n$/)
    assert.equal(daxkv('get', unclean, 'late').stdout, 'x\n')
  })

  it('is recovered by commands that write, which say so', () => {
    const unclean = join(directory, 'unclean-2.pool')
    leaveUnclean(unclean)
    const { status, stderr } = daxkv('delete', unclean, 'late')
    assert.equal(status, 0)
    assert.match(stderr, /^daxkv: .* was not closed cleanly; .*\n$/)
  })
})

describe('a pool that cannot be opened', () => {
  it('is reported in one line with status 4', () => {
    const text = join(directory, 'text')
    writeFileSync(text, 'not a pool, but longer than a page'.repeat(1000))
    for (const [path, code] of [
      [join(directory, 'missing.pool'), 'POOL_NOT_FOUND'],
      [text, 'NOT_A_POOL'],
      [directory, 'UNSUPPORTED_TARGET'],
    ]) {
      const { status, stdout, stderr } = daxkv('info', path)
      assert.equal(status, 4)
      assert.equal(stdout, '')
      assert.match(stderr, new RegExp(`^daxkv: ${code}: .*\n$`))
    }
  })

  it('is reported when another process has it', () => {
    const locked = join(directory, 'locked.pool')
    using store = open(locked)
    store.put('a', 1)
    for (const args of [
      ['get', locked, 'a'],
      ['put', locked, 'a', '2'],
    ]) {
      const { status, stderr } = daxkv(...args)
      assert.equal(status, 4)
      assert.match(stderr, /^daxkv: POOL_LOCKED: .*\n$/)
    }
  })

  it('is reported with a stack trace only on demand', () => {
    assert.match(
      daxkv('info', join(directory, 'missing.pool'), '--verbose').stderr,
      /^daxkv: POOL_NOT_FOUND: .*\n.*\n +at /,
    )
  })

  it('is reported when its end is missing', () => {
    const truncated = join(directory, 'truncated.pool')
    copyFileSync(pool, truncated)
    writeFileSync(truncated, readFileSync(pool).subarray(0, 4 * 1024 * 1024))
    const { status, stderr } = daxkv('info', truncated)
    assert.equal(status, 3)
    assert.match(stderr, /^daxkv: TRUNCATED: .*\n$/)
  })
})

describe('daxkv probe', () => {
  it('answers for a directory and leaves nothing behind', () => {
    const { status, stdout, stderr } = daxkv('probe', directory)
    assert.equal(stderr, '')
    assert.match(stdout, status === 0 ? /^yes: / : /^no: /)
    assert.match(stdout, /^why +\S/m)
  })

  it('answers for a pool as JSON', () => {
    const { status, stdout } = daxkv('probe', pool, '--json')
    const [report] = jsonLines(stdout) as [{ good: boolean; granularity: string; target: string }]
    assert.equal(status, report.good ? 0 : 1)
    assert.equal(report.good, report.granularity !== 'page')
    assert.equal(report.target, 'file')
  })

  it('refuses a path that is not there', () => {
    assert.equal(daxkv('probe', join(directory, 'missing')).status, 4)
  })
})

describe('daxkv itself', () => {
  it('shows help for every command, with examples', () => {
    const help = daxkv('--help')
    assert.equal(help.status, 0)
    assert.match(help.stdout, /Exit status:/)
    for (const command of ['info', 'check', 'get', 'put', 'delete', 'range', 'load', 'dump', 'probe']) {
      assert.match(help.stdout, new RegExp(`^ +${command} `, 'm'))
      const { status, stdout } = daxkv(command, '--help')
      assert.equal(status, 0)
      assert.match(stdout, new RegExp(`^Examples:\n +\\$ daxkv ${command} `, 'm'))
    }
  })

  it('prints its version', () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string
    }
    assert.deepEqual(daxkv('--version'), { status: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('explains wrong usage in one line with status 2', () => {
    for (const [args, message] of [
      [['gte'], /^daxkv: USAGE: unknown command 'gte' \(Did you mean get\?\); see daxkv --help\n$/],
      [['get', pool], /^daxkv: USAGE: missing required argument 'key'; see daxkv get --help\n$/],
    ] as const) {
      const { status, stdout, stderr } = daxkv(...args)
      assert.equal(status, 2)
      assert.equal(stdout, '')
      assert.match(stderr, message)
    }
    assert.equal(daxkv().status, 2)
  })
})

/** put, get, delete and range. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { open } from 'daxkv'
import { daxkv, daxkvWithInput, jsonLines, newPoolSize, temporaryDirectory } from './support.js'

const directory = temporaryDirectory()
const pool = join(directory, 'rows.pool')
const SILENT = { status: 0, stdout: '', stderr: '' }

describe('daxkv put, get, delete', () => {
  it('creates the pool and says so on standard error', () => {
    const { status, stdout, stderr } = daxkv('put', pool, 'ada', '{"born": 1815}', '--keyspace', 'users')
    assert.equal(status, 0)
    assert.equal(stdout, '')
    assert.equal(
      stderr,
      `daxkv: created ${pool} (${newPoolSize(directory)})\n` +
        'daxkv: created keyspace users (keys ordered, values msgpack)\n',
    )
  })

  it('prints values as indented JSON, and strings as they are', () => {
    assert.deepEqual(daxkv('get', pool, 'ada', '-k', 'users'), { ...SILENT, stdout: '{\n  "born": 1815\n}\n' })
    assert.deepEqual(daxkv('put', pool, 'greeting', 'good morning'), SILENT)
    assert.deepEqual(daxkv('get', pool, 'greeting'), { ...SILENT, stdout: 'good morning\n' })
  })

  it('answers with --json, also that there is no such key', () => {
    assert.deepEqual(jsonLines(daxkv('get', pool, 'ada', '-k', 'users', '--json').stdout), [
      { key: 'ada', found: true, value: { born: 1815 } },
    ])
    const absent = daxkv('get', pool, 'alan', '-k', 'users', '--json')
    assert.equal(absent.status, 1)
    assert.deepEqual(jsonLines(absent.stdout), [{ key: 'alan', found: false }])
    assert.equal(absent.stderr, 'daxkv: KEY_NOT_FOUND: no key alan in keyspace users\n')
  })

  it('ends with status 1 when there is no such keyspace, and names those there are', () => {
    const { status, stderr } = daxkv('get', pool, 'ada', '-k', 'user')
    assert.equal(status, 1)
    assert.equal(stderr, `daxkv: KEYSPACE_NOT_FOUND: ${pool} has no keyspace "user"; it has users\n`)
  })

  it('takes keys as JSON, or as strings', () => {
    for (const [key, value] of [
      ['42', 'number'],
      ['"42"', 'string'],
      ['["2026-11-20", 17]', 'array'],
      ['-5', '-1.5'],
    ]) {
      assert.equal(daxkv('put', pool, key, value, '-k', 'typed').status, 0)
    }
    using store = open(pool, { readOnly: true })
    const typed = store.keyspace('typed')
    assert.equal(typed.get(42), 'number')
    assert.equal(typed.get('42'), 'string')
    assert.equal(typed.get(['2026-11-20', 17]), 'array')
    assert.equal(typed.get(-5), -1.5)
  })

  it('refuses what begins like JSON and is not', () => {
    const { status, stderr } = daxkv('put', pool, 'x', '{"born": 1815')
    assert.equal(status, 2)
    assert.match(
      stderr,
      /^daxkv: USAGE: the value .* begins like JSON and is not \(.*\); quote it to make it a string\n$/,
    )
  })

  it('stores bytes from a file and gives them back', () => {
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i * 7)
    const file = join(directory, 'bytes')
    writeFileSync(file, bytes)
    const encodings = ['--key-encoding', 'utf8', '--value-encoding', 'binary']
    assert.equal(daxkv('put', pool, 'cat.png', '--file', file, '-k', 'photos', ...encodings).status, 0)
    using store = open(pool, { readOnly: true })
    assert.deepEqual(store.keyspace('photos').getBinary('cat.png'), readFileSync(file))
  })

  it('reads a value from standard input', () => {
    assert.equal(daxkvWithInput('[1, 2]\n', 'put', pool, 'list', '-').status, 0)
    assert.deepEqual(JSON.parse(daxkv('get', pool, 'list').stdout), [1, 2])
    const { status, stderr } = daxkvWithInput(Uint8Array.of(0xff), 'put', pool, 'list', '-')
    assert.equal(status, 2)
    assert.match(stderr, /^daxkv: BAD_INPUT: the value is not UTF-8/)
  })

  it('leaves an existing key alone with --if-absent', () => {
    const { status, stdout, stderr } = daxkv('put', pool, 'greeting', 'hello', '--if-absent', '--json')
    assert.equal(status, 1)
    assert.deepEqual(jsonLines(stdout), [{ key: 'greeting', stored: false }])
    assert.equal(stderr, 'daxkv: KEY_EXISTS: key greeting exists already\n')
    assert.equal(daxkv('get', pool, 'greeting').stdout, 'good morning\n')
  })

  it('deletes several keys, and says which were not there', () => {
    daxkv('put', pool, 'a', '1')
    const { status, stdout, stderr } = daxkv('delete', pool, 'a', 'b', '--json')
    assert.equal(status, 1)
    assert.deepEqual(jsonLines(stdout), [
      { key: 'a', deleted: true },
      { key: 'b', deleted: false },
    ])
    assert.equal(stderr, 'daxkv: KEY_NOT_FOUND: no key b in the unnamed keyspace\n')
    assert.equal(daxkv('get', pool, 'a').status, 1)
  })

  it('does not create anything with --no-create', () => {
    assert.equal(daxkv('put', join(directory, 'none.pool'), 'a', '1', '--no-create').status, 4)
    assert.equal(daxkv('put', pool, 'a', '1', '-k', 'none', '--no-create').status, 1)
    assert.equal(daxkv('delete', join(directory, 'none.pool'), 'a').status, 4)
  })

  it('refuses encodings other than the recorded ones', () => {
    for (const keyspace of ['', 'users']) {
      const { status, stderr } = daxkv('put', pool, 'a', '1', '-k', keyspace, '--key-encoding', 'uint32')
      assert.equal(status, 2)
      assert.match(stderr, /^daxkv: ENCODING_MISMATCH: .*\n$/)
    }
  })
})

describe('daxkv range', () => {
  const numbers = join(directory, 'numbers.pool')
  {
    using store = open<number, string>(numbers, { keyEncoding: 'uint32', valueEncoding: 'string' })
    for (let i = 0; i < 10; i++) store.put(i, `n${i}`)
    const names = store.keyspace<string, number>('names', { keyEncoding: 'utf8' })
    for (const name of ['ann', 'anton', 'bob', 'two\nlines']) names.put(name, name.length)
  }

  it('prints a row a line, in the order of the keys', () => {
    assert.equal(daxkv('range', numbers, '--gte', '3', '--lt', '6').stdout, '3\tn3\n4\tn4\n5\tn5\n')
    assert.equal(daxkv('range', numbers, '--gt', '3', '--lte', '6', '--keys').stdout, '4\n5\n6\n')
  })

  it('turns around, passes over and stops', () => {
    assert.equal(daxkv('range', numbers, '-r', '-n', '2', '--offset', '1').stdout, '8\tn8\n7\tn7\n')
  })

  it('selects by prefix, and shows no raw control characters', () => {
    assert.equal(daxkv('range', numbers, '-k', 'names', '--prefix', 'an').stdout, 'ann\t3\nanton\t5\n')
    assert.equal(daxkv('range', numbers, '-k', 'names', '--gt', 'bob').stdout, '"two\\nlines"\t9\n')
  })

  it('counts', () => {
    assert.equal(daxkv('range', numbers, '--count').stdout, '10\n')
    assert.deepEqual(jsonLines(daxkv('range', numbers, '--count', '--gt', '8', '--json').stdout), [{ count: 1 }])
  })

  it('prints JSON lines', () => {
    assert.deepEqual(jsonLines(daxkv('range', numbers, '--gt', '7', '--json').stdout), [
      { key: 8, value: 'n8' },
      { key: 9, value: 'n9' },
    ])
    assert.deepEqual(jsonLines(daxkv('range', numbers, '--gt', '8', '--keys', '--json').stdout), [{ key: 9 }])
  })

  it('explains wrong arguments in one line', () => {
    for (const [args, message] of [
      [['--limit', '-1'], /^daxkv: USAGE: .*whole number.*; see daxkv range --help\n$/],
      [['--gt', 'x'], /^daxkv: USAGE: keys of this keyspace are integers from 0 to 4294967295, not "x"\n$/],
      [['--gt', '1', '--gte', '1'], /^daxkv: INVALID_ARGUMENT: .*\n$/],
      [
        ['--prefx', '1'],
        /^daxkv: USAGE: unknown option '--prefx' \(Did you mean --prefix\?\); see daxkv range --help\n$/,
      ],
    ] as const) {
      const { status, stdout, stderr } = daxkv('range', numbers, ...args)
      assert.equal(status, 2)
      assert.equal(stdout, '')
      assert.match(stderr, message)
    }
  })
})

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { open } from 'daxkv'
import { cliArguments, daxkv, daxkvWithInput, jsonLines, newPoolSize, temporaryDirectory } from './support.js'

const directory = temporaryDirectory()
let poolCount = 0
const newPool = (): string => join(directory, `load-${poolCount++}.pool`)

describe('daxkv load', () => {
  it('stores JSON lines in transactions and prints figures', () => {
    const pool = newPool()
    const lines = Array.from({ length: 25 }, (_, i) => JSON.stringify({ key: i, value: { square: i * i } }))
    const { status, stdout } = daxkvWithInput(lines.join('\n'), 'load', pool, '-', '-k', 'squares', '--batch', '10')
    assert.equal(status, 0)
    const size = newPoolSize(directory)
    assert.match(stdout, new RegExp(`^25 rows of .* stored in 3 transactions\n.* rows/s; pool size ${size}\n$`))
    using store = open(pool, { readOnly: true })
    const squares = store.keyspace<number, { square: number }>('squares')
    assert.equal(squares.count(), 25)
    assert.deepEqual(squares.get(24), { square: 576 })
  })

  it('stores the JSON files of a directory under their relative paths', () => {
    const pool = newPool()
    const source = join(directory, 'config')
    mkdirSync(join(source, 'deep/er'), { recursive: true })
    writeFileSync(join(source, 'a.json'), '{"a": 1}')
    writeFileSync(join(source, 'deep/er/b.json'), '\ufeff{"$daxkv": "taken literally"}')
    writeFileSync(join(source, 'c.txt'), 'not JSON')
    const { status, stdout } = daxkv('load', pool, `${source}/`, '--json', '--key-encoding', 'utf8')
    assert.equal(status, 0)
    const [figures] = jsonLines(stdout) as [{ rows: number; transactions: number }]
    assert.equal(figures.rows, 2)
    assert.equal(figures.transactions, 1)
    using store = open(pool, { readOnly: true })
    assert.equal(store.keyEncoding, 'utf8')
    assert.deepEqual(
      [...store],
      [
        ['a.json', { a: 1 }],
        ['deep/er/b.json', { $daxkv: 'taken literally' }],
      ],
    )
  })

  it('stores all of it in one transaction with --batch 0, also when that is longer than the log of the pool', () => {
    const pool = newPool()
    const rows = (letter: string): string =>
      Array.from({ length: 300 }, (_, key) => JSON.stringify({ key, value: letter.repeat(1500) })).join('\n')
    {
      using store = open(pool, { logSizeBytes: 64 * 1024, valueEncoding: 'string' })
      for (let key = 0; key < 300; key++) store.put(key, 'a'.repeat(1500))
    }
    const { status, stdout } = daxkvWithInput(rows('b'), 'load', pool, '-', '--batch', '0', '--json')
    assert.equal(status, 0)
    const [figures] = jsonLines(stdout) as [{ rows: number; transactions: number }]
    assert.deepEqual([figures.rows, figures.transactions], [300, 1])
    using store = open(pool, { readOnly: true })
    assert.deepEqual([...new Set(store.values())], ['b'.repeat(1500)])
    assert.equal(store.count(), 300)
  })

  it('names the line that is wrong, keeps the transactions before it and nothing of its own', () => {
    for (const [bad, message] of [
      [
        '{"key": 3, "value": ',
        /BAD_INPUT: standard input, line 4: not JSON: .*; 2 rows of earlier transactions stored/,
      ],
      ['{"key": 3}', /BAD_INPUT: standard input, line 4: a line must be .*; 2 rows of/],
      ['{"key": {}, "value": 1}', /INVALID_ARGUMENT: standard input, line 4: .*; 2 rows of/],
      [`{"key": "${'x'.repeat(3000)}", "value": 1}`, /KEY_TOO_LONG: standard input, line 4: .*; 2 rows of/],
    ] as const) {
      const pool = newPool()
      const input = `{"key":0,"value":0}\n{"key":1,"value":1}\n{"key":2,"value":2}\n${bad}\n`
      const { status, stdout, stderr } = daxkvWithInput(input, 'load', pool, '-', '--batch', '2')
      assert.equal(status, 2)
      assert.equal(stdout, '')
      assert.match(stderr.split('\n').at(-2) ?? '', message)
      using store = open(pool, { readOnly: true })
      assert.deepEqual([...store.keys()], [0, 1])
    }
  })

  it('is all or nothing with --batch 0', () => {
    const pool = newPool()
    const { status } = daxkvWithInput('{"key":0,"value":0}\n{"key":[],"value":1}\n', 'load', pool, '-', '--batch', '0')
    assert.equal(status, 2)
    using store = open(pool, { readOnly: true })
    assert.equal(store.count(), 0)
  })

  it('reads strings with line separators, and lines without an end', () => {
    const pool = newPool()
    assert.equal(
      daxkvWithInput('\n{"key":"a","value":"x\u2028y"}\r\n\n{"key":"b","value":""}', 'load', pool, '-').status,
      0,
    )
    using store = open(pool, { readOnly: true })
    assert.deepEqual(
      [...store],
      [
        ['a', 'x\u2028y'],
        ['b', ''],
      ],
    )
  })

  it('refuses input it cannot read, and creates no pool then', () => {
    const pool = newPool()
    const { status, stderr } = daxkv('load', pool, join(directory, 'missing.jsonl'))
    assert.equal(status, 2)
    assert.match(stderr, /^daxkv: BAD_INPUT: cannot read .*missing\.jsonl: ENOENT.*\n$/)
    assert.equal(daxkv('info', pool).status, 4)
  })

  it('stops after the transaction at hand when it is interrupted', async () => {
    const pool = newPool()
    const child = spawn(process.execPath, cliArguments(['load', pool, '-', '--batch', '1', '--json']), {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.stdin.on('error', () => undefined)
    child.stdin.write('{"key":1,"value":1}\n')
    while (!stderr.includes('created')) await once(child.stderr, 'data')
    child.kill('SIGINT')
    // Taken note of; acted upon with the next row.
    await new Promise((resolve) => setTimeout(resolve, 200))
    child.stdin.end('{"key":2,"value":2}\n{"key":3,"value":3}\n')
    const [code] = (await once(child, 'close')) as [number | null]
    assert.equal(code, 130)
    const [figures] = jsonLines(stdout) as [{ rows: number }]
    assert.match(stderr, new RegExp(`daxkv: INTERRUPTED: stopped; ${figures.rows} rows? stored\n$`))
    using store = open(pool, { readOnly: true }) // was closed cleanly
    assert.equal(store.count(), figures.rows)
  })
})

describe('daxkv dump', () => {
  const pool = newPool()
  {
    using store = open(pool, { keyEncoding: 'binary', valueEncoding: 'string' })
    store.put(Buffer.from([0, 255]), 'bytes for a key')
    store.keyspace('empty', { keyEncoding: 'uint32', valueEncoding: 'json' })
    const mixed = store.keyspace('mixed')
    mixed.put(['a', 1, null, true], { map: new Map([[1n, new Date(0)]]), bytes: Buffer.from('x') })
    mixed.put(1.5, { $daxkv: 'mine' })
  }

  it('gives what load needs to make an equal pool', () => {
    const copy = newPool()
    const first = daxkv('dump', pool)
    assert.equal(first.status, 0)
    assert.equal(jsonLines(first.stdout).length, 6)
    assert.equal(daxkvWithInput(first.stdout, 'load', copy, '-').status, 0)
    assert.equal(daxkv('dump', copy).stdout, first.stdout)
    using store = open(copy, { readOnly: true })
    assert.deepEqual(
      store.keyspaces().map(({ name, keyEncoding, valueEncoding }) => [name, keyEncoding, valueEncoding]),
      [
        ['', 'binary', 'string'],
        ['empty', 'uint32', 'json'],
        ['mixed', 'ordered', 'msgpack'],
      ],
    )
    assert.deepEqual(store.keyspace('mixed').get(['a', 1, null, true]), {
      map: new Map([[1n, new Date(0)]]),
      bytes: Buffer.from('x'),
    })
  })

  it('gives the rows of one keyspace alone', () => {
    assert.deepEqual(jsonLines(daxkv('dump', pool, '-k', '').stdout), [
      { key: { $daxkv: 'binary', data: 'AP8=' }, value: 'bytes for a key' },
    ])
    assert.equal(daxkv('dump', pool, '-k', 'empty').stdout, '')
    assert.equal(daxkv('dump', pool, '-k', 'none').status, 1)
  })

  it('stops quietly when its reader goes away', () => {
    const large = newPool()
    {
      using store = open<number, string>(large)
      store.transaction(() => {
        for (let i = 0; i < 5000; i++) store.put(i, 'x'.repeat(100))
      })
    }
    const command = cliArguments(['dump', large]).map((argument) => `'${argument}'`)
    const script = `"${process.execPath}" ${command.join(' ')} | head -n 1; echo "status \${PIPESTATUS[0]}"`
    const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' })
    assert.equal(stderr, '')
    assert.equal(stdout, '{"keyspace":"","keyEncoding":"ordered","valueEncoding":"msgpack"}\nstatus 0\n')
  })
})

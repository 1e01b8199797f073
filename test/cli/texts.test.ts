import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatBytes, formatFact, formatTable } from '../../src/cli/layout.js'
import { parseKey, parseValue, showKey, showValue } from '../../src/cli/texts.js'

describe('keys and values on the command line', () => {
  it('reads ordered keys as JSON or as strings', () => {
    for (const [text, key] of [
      ['ada', 'ada'],
      ['@types/node', '@types/node'],
      ['1.0.0', '1.0.0'],
      ['007', '007'],
      ['', ''],
      ['42', 42],
      ['-1e3', -1000],
      ['true', true],
      ['null', null],
      ['"42"', '42'],
      ['["a", 1]', ['a', 1]],
    ] as const) {
      assert.deepEqual(parseKey(text, 'ordered'), key)
    }
    assert.throws(() => parseKey('["a"', 'ordered'), { code: 'USAGE' })
  })

  it('reads other keys by their encoding', () => {
    assert.equal(parseKey('42', 'utf8'), '42')
    assert.equal(parseKey('4294967295', 'uint32'), 4294967295)
    for (const text of ['4294967296', '-1', '1.5', '', 'x']) {
      assert.throws(() => parseKey(text, 'uint32'), { code: 'USAGE' })
    }
    assert.deepEqual(parseKey('é', 'binary'), Buffer.from('é'))
    assert.deepEqual(parseKey('0x00fF', 'binary'), Buffer.from([0, 255]))
    assert.throws(() => parseKey('0x0', 'binary'), { code: 'USAGE' })
  })

  it('reads values by their encoding', () => {
    assert.deepEqual(parseValue('{"a": [1]}', 'json'), { a: [1] })
    assert.equal(parseValue('good morning', 'msgpack'), 'good morning')
    assert.equal(parseValue('{"a"', 'string'), '{"a"')
    assert.deepEqual(parseValue('0x01', 'binary'), Buffer.from([1]))
  })

  it('shows keys so that they can be given again', () => {
    for (const key of ['ada', '', '42', '-1', 'true', '["a"', ' [', 'two\nlines', '\u2028', 42, null, ['a', 1]]) {
      assert.deepEqual(parseKey(showKey(key, 'ordered'), 'ordered'), key)
    }
    assert.equal(showKey('42', 'utf8'), '42')
    assert.equal(showKey(Buffer.from([0, 255]), 'binary'), '0x00ff')
  })

  it('shows values on one line', () => {
    assert.equal(showValue('a', 'msgpack'), '"a"')
    assert.equal(showValue('a', 'string'), 'a')
    assert.equal(showValue('a\nb', 'string'), '"a\\nb"')
    assert.equal(showValue({ a: [1, 2] }, 'json'), '{"a":[1,2]}')
  })
})

describe('layout', () => {
  it('writes sizes with their units', () => {
    assert.deepEqual([0, 1023, 1024, 1536, 8388608, 1.5 * 1024 ** 4].map(formatBytes), [
      '0 B',
      '1023 B',
      '1 KiB',
      '1.5 KiB',
      '8 MiB',
      '1.5 TiB',
    ])
  })

  it('aligns columns, figures to the right', () => {
    assert.deepEqual(
      formatTable([
        ['NAME', 'ROWS'],
        ['a', '1,000'],
        ['long', '2'],
      ]),
      ['NAME   ROWS', 'a     1,000', 'long      2'],
    )
  })

  it('breaks long facts between words', () => {
    assert.deepEqual(formatFact('why', 'one two three', 4, 12), ['why  one two', '     three'])
  })
})

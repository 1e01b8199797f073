import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { fromTagged, stringifyTagged } from '../../src/cli/tagged-json.js'

const roundTrip = (value: unknown): unknown => fromTagged(JSON.parse(stringifyTagged(value)))

describe('tagged JSON', () => {
  it('leaves plain JSON as it is', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const plain = JSON.parse(JSON.stringify(value)) as unknown
        assert.deepEqual(fromTagged(plain), plain)
        assert.deepEqual(roundTrip(plain), plain)
      }),
    )
  })

  it('carries what JSON has no word for', () => {
    for (const value of [
      undefined,
      [undefined, null],
      { gone: undefined },
      Number.NaN,
      -Infinity,
      12345678901234567890n,
      new Date('2026-11-20T11:00:00.123Z'),
      Buffer.from([0, 255, 1]),
      new Map<unknown, unknown>([[{ a: 1n }, new Set([1, Buffer.from('x')])]]),
      /a\/b/giu,
      new TypeError('not so'),
      new Float64Array([1.5, Number.NaN]),
      new BigUint64Array([2n ** 64n - 1n]),
      new Uint8Array([1, 2]),
      new Uint8Array([1, 2, 3]).buffer,
    ]) {
      const back = roundTrip({ value }) as { value: unknown }
      if (value instanceof Error) {
        assert.ok(back.value instanceof TypeError && back.value.message === value.message)
      } else {
        assert.deepEqual(back.value, value)
        assert.equal(Object.prototype.toString.call(back.value), Object.prototype.toString.call(value))
      }
    }
  })

  it('carries invalid dates', () => {
    const back = roundTrip(new Date(Number.NaN))
    assert.ok(back instanceof Date && Number.isNaN(back.getTime()))
  })

  it('carries arbitrary nested values, those that look tagged included', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      key: fc.oneof(fc.string(), fc.constantFrom('$daxkv', 'data', '__proto__')),
    })
    fc.assert(
      fc.property(anything, (value) => {
        const text = stringifyTagged(value)
        assert.equal(stringifyTagged(fromTagged(JSON.parse(text))), text)
      }),
    )
    assert.deepEqual(roundTrip({ $daxkv: 'binary', data: 'AA==' }), { $daxkv: 'binary', data: 'AA==' })
    assert.deepEqual(Object.keys(roundTrip(JSON.parse('{"__proto__": 1}')) as object), ['__proto__'])
  })

  it('refuses tags it does not know or that hold the wrong data', () => {
    for (const text of [
      '{"$daxkv":"frog","data":1}',
      '{"$daxkv":"bigint","data":"1.5"}',
      '{"$daxkv":"number","data":"42"}',
      '{"$daxkv":"map","data":[[1]]}',
      '{"$daxkv":"regexp","data":"(","flags":""}',
      '{"$daxkv":"typed-array","of":"Float64Array","data":"AAAA"}',
      '{"$daxkv":"typed-array","of":"constructor","data":"AAAA"}',
      '{"$daxkv":1}',
    ]) {
      assert.throws(() => fromTagged(JSON.parse(text)), { name: 'CliError', code: 'BAD_INPUT' }, text)
    }
  })

  it('refuses what it cannot carry', () => {
    for (const value of [() => 1, Symbol('x'), new DataView(new ArrayBuffer(1))]) {
      assert.throws(() => stringifyTagged({ value }), { name: 'CliError', code: 'UNSUPPORTED_VALUE' })
    }
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkOptions, nearestName } from '../src/options.js'

const known = ['requireGranularity', 'initialSizeBytes', 'growthStepBytes', 'maxSizeBytes', 'readOnly']

test('an unknown option is an error that suggests the nearest known one', () => {
  const suggestions: [string, string][] = [
    ['readonly', 'readOnly'],
    ['maxSizeByte', 'maxSizeBytes'],
    ['initalSizeBytes', 'initialSizeBytes'],
    ['requireGranulartiy', 'requireGranularity'],
    ['granularity', 'requireGranularity'],
    ['growthStep', 'growthStepBytes'],
  ]
  for (const [wrong, right] of suggestions) {
    assert.throws(() => checkOptions({ [wrong]: 1 }, known, 'open'), {
      code: 'UNKNOWN_OPTION',
      message: `open: unknown option '${wrong}'; did you mean '${right}'?`,
    })
  }
  assert.throws(() => checkOptions({ compression: true }, known, 'open'), {
    code: 'UNKNOWN_OPTION',
    message: /known options: requireGranularity, .*readOnly/,
  })
  assert.throws(() => checkOptions({ any: true }, [], 'close'), {
    message: "close: unknown option 'any'; it takes no options",
  })
})

test('unknown options are refused even when their value is undefined', () => {
  assert.throws(() => checkOptions({ readonly: undefined }, known, 'open'), { code: 'UNKNOWN_OPTION' })
})

test('options must be an object or absent', () => {
  for (const given of [null, 1, 'text', [], () => 1, true]) {
    assert.throws(() => checkOptions(given, known, 'open'), { code: 'INVALID_ARGUMENT' })
  }
  assert.equal(checkOptions(undefined, known, 'open').boolean('readOnly', false), false)
})

test('values are read with their type, a missing or undefined one gives the fallback', () => {
  const options = checkOptions(
    { readOnly: true, initialSizeBytes: 8192, requireGranularity: 'page', maxSizeBytes: undefined },
    known,
    'open',
  )
  assert.equal(options.boolean('readOnly', false), true)
  assert.equal(options.byteSize('initialSizeBytes', 4096, { multipleOf: 4096 }), 8192)
  assert.equal(options.byteSize('maxSizeBytes', undefined), undefined)
  const granularity: 'byte' | 'page' | undefined = options.oneOf('requireGranularity', ['byte', 'page'], undefined)
  assert.equal(granularity, 'page')
})

test('a wrong value is an error that names option, expectation and value', () => {
  const read = (value: unknown) => checkOptions({ initialSizeBytes: value }, known, 'open')
  for (const value of [0, -1, 1.5, NaN, Infinity, '64', 5n, 4097, 2 ** 60]) {
    assert.throws(() => read(value).byteSize('initialSizeBytes', 4096, { min: 4096, max: 2 ** 44, multipleOf: 4096 }), {
      code: 'INVALID_ARGUMENT',
      message:
        /^open: option 'initialSizeBytes' must be a number of bytes from 4096 to 17592186044416 and a multiple of 4096, not /,
    })
  }
  assert.throws(() => checkOptions({ readOnly: 'yes' }, known, 'open').boolean('readOnly', false), {
    message: "open: option 'readOnly' must be true or false, not 'yes'",
  })
  assert.throws(
    () =>
      checkOptions({ requireGranularity: 'line' }, known, 'open').oneOf('requireGranularity', ['byte', 'page'], 'page'),
    {
      message: "open: option 'requireGranularity' must be 'byte' or 'page', not 'line'",
    },
  )
})

test('no suggestion is better than a misleading one', () => {
  assert.equal(nearestName('x', known), undefined)
  assert.equal(nearestName('somethingElse', known), undefined)
})

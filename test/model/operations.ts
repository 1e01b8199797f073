/** What a test case is: a list of operations, transactions among them, on a few keyspaces. */
import fc from 'fast-check'
import { KEY_COUNT, VALUE_COUNT } from './pools.js'

/** Keys and values by their number in the pools. */
export interface Bounds {
  readonly lower?: number | undefined
  readonly lowerOpen: boolean
  readonly upper?: number | undefined
  readonly upperOpen: boolean
  readonly prefix?: readonly [key: number, length: number] | undefined
}

export interface Span extends Bounds {
  readonly reverse: boolean
  readonly limit?: number | undefined
  readonly offset?: number | undefined
}

export type Write =
  { readonly op: 'put'; readonly key: number; readonly value: number } | { readonly op: 'delete'; readonly key: number }

export type Operation = { readonly space: number } & (
  | Write
  | { readonly op: 'get'; readonly key: number }
  | { readonly op: 'view'; readonly key: number }
  | { readonly op: 'getMany'; readonly keys: readonly number[] }
  | {
      readonly op: 'fill'
      readonly from: number
      readonly count: number
      readonly step: number
      readonly value: number
    }
  | { readonly op: 'putIfAbsent'; readonly key: number; readonly value: number }
  | {
      readonly op: 'compareAndSet'
      readonly key: number
      readonly expected: number | 'current' | 'none'
      readonly next: number | 'none'
    }
  | { readonly op: 'update'; readonly key: number; readonly value: number | 'none' | 'throw' }
  | { readonly op: 'deleteRange'; readonly bounds: Bounds }
  | { readonly op: 'clear' }
  | { readonly op: 'batch'; readonly writes: readonly Write[]; readonly fails: boolean }
  | { readonly op: 'range'; readonly span: Span }
  | { readonly op: 'ends'; readonly bounds: Bounds }
  | { readonly op: 'walk'; readonly span: Span; readonly changes: readonly (readonly [step: number, write: Write])[] }
  | { readonly op: 'open'; readonly span: Span }
  | { readonly op: 'step'; readonly which: number; readonly times: number }
  | { readonly op: 'bad'; readonly key: number; readonly way: number }
  | { readonly op: 'drop' }
  | { readonly op: 'reopen'; readonly cleanly: boolean }
  | { readonly op: 'check' }
  | { readonly op: 'transaction'; readonly operations: readonly Operation[]; readonly abort: boolean }
)

const key = fc.nat(KEY_COUNT - 1)
const value = fc.nat(VALUE_COUNT - 1)
const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined })

const bounds: fc.Arbitrary<Bounds> = fc.record({
  lower: optional(key),
  lowerOpen: fc.boolean(),
  upper: optional(key),
  upperOpen: fc.boolean(),
  prefix: fc.option(fc.tuple(key, fc.nat(10)), { nil: undefined, freq: 3 }),
})

const span: fc.Arbitrary<Span> = fc
  .tuple(bounds, fc.boolean(), optional(fc.nat(30)), optional(fc.nat(20)))
  .map(([within, reverse, limit, offset]) => ({ ...within, reverse, limit, offset }))

const write: fc.Arbitrary<Write> = fc.oneof(
  fc.record({ op: fc.constant('put' as const), key, value }),
  fc.record({ op: fc.constant('delete' as const), key }),
)

type Simple = Operation extends infer T ? (T extends { space: number } ? Omit<T, 'space'> : never) : never

const simple = (weights: { atTop: boolean }): fc.WeightedArbitrary<Simple>[] => [
  { weight: 25, arbitrary: write },
  { weight: 8, arbitrary: fc.record({ op: fc.constant('get' as const), key }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('view' as const), key }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('getMany' as const), keys: fc.array(key, { maxLength: 5 }) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('fill' as const),
      from: key,
      count: fc.integer({ min: 1, max: 60 }),
      step: fc.constantFrom(1, 7, KEY_COUNT - 1),
      value,
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('putIfAbsent' as const), key, value }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('compareAndSet' as const),
      key,
      expected: fc.oneof(fc.constantFrom('current' as const, 'none' as const), value),
      next: fc.oneof({ weight: 1, arbitrary: fc.constant('none' as const) }, { weight: 3, arbitrary: value }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('update' as const),
      key,
      value: fc.oneof(
        { weight: 1, arbitrary: fc.constantFrom('none' as const, 'throw' as const) },
        { weight: 2, arbitrary: value },
      ),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('deleteRange' as const), bounds }) },
  { weight: 1, arbitrary: fc.constant({ op: 'clear' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('batch' as const),
      writes: fc.array(write, { maxLength: 8 }),
      fails: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: fc.record({ op: fc.constant('range' as const), span }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('ends' as const), bounds }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('walk' as const),
      span,
      changes: fc.array(fc.tuple(fc.nat(20), write), { maxLength: 10 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('open' as const), span }) },
  {
    weight: 12,
    arbitrary: fc.record({ op: fc.constant('step' as const), which: fc.nat(3), times: fc.integer({ min: 1, max: 8 }) }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('bad' as const), key, way: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.constant({ op: 'drop' as const }) },
  ...(weights.atTop
    ? [
        { weight: 2, arbitrary: fc.record({ op: fc.constant('reopen' as const), cleanly: fc.boolean() }) },
        { weight: 1, arbitrary: fc.constant({ op: 'check' as const }) },
      ]
    : []),
]

/** Keyspace 0 is the default one; the others are made when first used. */
const space = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 2 }) },
)

function placed(arbitrary: fc.Arbitrary<Simple>): fc.Arbitrary<Operation> {
  return fc.tuple(arbitrary, space).map(([operation, of]) => ({ ...operation, space: of }))
}

function transaction(depth: number): fc.Arbitrary<Simple> {
  const inner: fc.WeightedArbitrary<Operation>[] = [
    { weight: 12, arbitrary: placed(fc.oneof(...simple({ atTop: false }))) },
  ]
  if (depth > 1) inner.push({ weight: 1, arbitrary: placed(transaction(depth - 1)) })
  return fc.record({
    op: fc.constant('transaction' as const),
    operations: fc.array(fc.oneof(...inner), { maxLength: 15, size: 'max' }),
    abort: fc.boolean(),
  })
}

/** A whole test case. */
export const operations: fc.Arbitrary<Operation[]> = fc.array(
  placed(fc.oneof(...simple({ atTop: true }), { weight: 8, arbitrary: transaction(3) })),
  { minLength: 1, maxLength: 150, size: 'max' },
)

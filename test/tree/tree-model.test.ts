import fc from 'fast-check'
import { describe, it } from 'node:test'
import { operations, TreeModel, type Operation } from '../support/tree-model.js'

function runAll(list: readonly Operation[]): TreeModel {
  const model = new TreeModel()
  for (const operation of list) model.run(operation)
  model.check()
  model.commit()
  model.check()
  model.walk({})
  return model
}

describe('a tree does what a sorted map does', () => {
  it('through short sequences of every operation', () => {
    fc.assert(
      fc.property(fc.array(operations(), { maxLength: 120, size: 'max' }), (list) => {
        runAll(list)
      }),
      { numRuns: 150 },
    )
  })

  it('through long sequences', () => {
    fc.assert(
      fc.property(fc.array(operations(), { minLength: 2000, maxLength: 4000, size: 'max' }), (list) => {
        runAll(list)
      }),
      { numRuns: 3, endOnFailure: true },
    )
  })

  it('and gives every page back when its keys are deleted one by one', () => {
    fc.assert(
      fc.property(
        fc.array(operations(true), { minLength: 200, maxLength: 600, size: 'max' }),
        fc.infiniteStream(fc.nat()),
        (list, picks) => {
          const model = runAll(list)
          const left = model.keysIn({})
          while (left.length > 0) {
            const [key] = left.splice((picks.next().value ?? 0) % left.length, 1)
            model.delete(key)
            if (left.length % 40 === 0) model.check()
          }
          model.commit()
          model.check()
        },
      ),
      { numRuns: 15 },
    )
  })
})

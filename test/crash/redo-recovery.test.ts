/** Crashes while a crash is being recovered from, and after it: power failure twice, and a kill before a power failure. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crashImages } from '../../crash-tests/src/crash-states.js'
import { recordWorkload } from '../../crash-tests/src/recording.js'
import type { Recording } from '../../crash-tests/src/recording.js'
import { ready } from '../../src/pmem/xxh64.js'
import { engineOptions, explorerOfBoth } from '../../crash-tests/src/redo-support.js'
import { afterFailedSync, afterKill, afterPowerFailure, pointsBeforeFences } from '../../crash-tests/src/second-life.js'
import type { SecondLifeOptions } from '../../crash-tests/src/second-life.js'

await ready

const LOG_PAGES = 10

function record(seed: number, steps: number): Recording[] {
  return recordWorkload({
    seed,
    steps,
    initialPages: 48,
    granularity: 'page',
    stepsPerTrace: 8,
    maxBytes: 20_000,
    engineOptions: () => engineOptions('redo', LOG_PAGES),
  })
}

function options(seed: number): SecondLifeOptions {
  return { engineOptions: () => engineOptions(seed % 2 === 0 ? 'redo' : 'undo', LOG_PAGES), logPages: LOG_PAGES, seed }
}

test('a power failure during and after the recovery from a power failure', () => {
  const explorer = explorerOfBoth('page', LOG_PAGES)
  let lives = 0
  for (const recording of record(21, 80)) {
    const images = crashImages(recording.trace, { model: 'page', points: 'frontier', exhaustiveLimit: 3, samples: 3 })
    let index = 0
    for (const { image, point } of images) {
      if (index++ % 5 !== 0) continue
      const life = afterPowerFailure(recording, point, image, options(++lives))
      explorer.explore(life, { model: 'page', points: 'frontier', exhaustiveLimit: 12, samples: 12, seed: lives })
    }
  }
  assert.ok(lives > 30 && explorer.counts.replayed > 500, `${lives} ${JSON.stringify(explorer.counts)}`)
})

test('a power failure during and after the recovery from a kill, whose stores are in the cache only', () => {
  const explorer = explorerOfBoth('page', LOG_PAGES)
  let lives = 0
  for (const recording of record(22, 80)) {
    const { count } = recording.trace.events
    const spread = Array.from({ length: 9 }, (_, index) => 5 + Math.floor(((count - 5) * index) / 9))
    for (const point of [...spread, ...pointsBeforeFences(recording, 1)]) {
      const life = afterKill(recording, point, options(++lives))
      explorer.explore(life, {
        model: 'page',
        points: 'frontier',
        fromPoint: point,
        exhaustiveLimit: 16,
        samples: 16,
        seed: lives,
      })
    }
  }
  assert.ok(lives > 30 && explorer.counts.replayed > 500, `${lives} ${JSON.stringify(explorer.counts)}`)
})

test('a power failure after an msync has failed and the store was opened again', () => {
  const explorer = explorerOfBoth('page', LOG_PAGES)
  let lives = 0
  for (const recording of record(23, 60)) {
    for (const point of pointsBeforeFences(recording, 1)) {
      const life = afterFailedSync(recording, point, options(++lives))
      explorer.explore(life, {
        model: 'page',
        points: 'frontier',
        fromPoint: point,
        exhaustiveLimit: 16,
        samples: 16,
        seed: lives,
      })
    }
  }
  assert.ok(lives > 30 && explorer.counts.replayed > 500, `${lives} ${JSON.stringify(explorer.counts)}`)
})

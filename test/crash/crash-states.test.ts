import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { crashImages } from '../../crash-tests/src/crash-states.js'
import type { CrashOptions } from '../../crash-tests/src/crash-states.js'
import {
  EVENT_FENCE,
  EVENT_FLUSH,
  EVENT_GROW,
  EVENT_STORE,
  EVENT_STORE_NON_TEMPORAL,
  EVENT_SYNC_ALL,
  EventLog,
  joinTraces,
} from '../../src/pmem/event-log.js'
import type { Trace } from '../../src/pmem/event-log.js'
import { LINE_BYTES, PAGE_BYTES } from '../../src/pmem/program.js'

/**
 * A trace in words: `store 0 a` puts the letter a on all of line 0 of page 0, `nt` does so past the cache. Other
 * words: flush LINE, fence, sync, mark NAME, grow PAGES. Lines of page 1 are written as 64 and up.
 */
function trace(...steps: string[]): Trace {
  const events = new EventLog()
  for (const step of steps) {
    const [word, place = '0', letters = ''] = step.split(' ')
    const [pageId, line] = [Math.floor(Number(place) / 64), Number(place) % 64]
    const bytes = Buffer.alloc(LINE_BYTES, letters)
    if (word === 'store') events.appendStore(EVENT_STORE, pageId, line, bytes, 0, 1, 0)
    else if (word === 'nt') events.appendStore(EVENT_STORE_NON_TEMPORAL, pageId, line, bytes, 0, 1, 0)
    else if (word === 'flush') events.append(EVENT_FLUSH, pageId, line, 1, 0)
    else if (word === 'fence') events.append(EVENT_FENCE, 0, 0, 1, 0)
    else if (word === 'sync') events.append(EVENT_SYNC_ALL, 0, 0, 1, 0)
    else if (word === 'grow') events.append(EVENT_GROW, 2, 0, 0, 0, Number(place))
    else if (word === 'mark') events.appendMark(place, undefined, 0)
    else throw new Error(step)
  }
  return { image: Buffer.alloc(2 * PAGE_BYTES, '-'), events }
}

/** The first letters of some lines, for every image, sorted and distinct. */
function letters(images: Iterable<{ image: Uint8Array }>, lines: number[]): string[] {
  const found = new Set<string>()
  for (const { image } of images) {
    found.add(lines.map((line) => String.fromCharCode(image[line * LINE_BYTES])).join(''))
  }
  return [...found].sort()
}

function statesAt(steps: Trace, point: number, lines: number[], options: CrashOptions = {}): string[] {
  const images = crashImages(steps, { torn: false, points: 'every', fromPoint: point, toPoint: point, ...options })
  return letters(images, lines)
}

/** States at every point of the trace, as one list. */
function statesOver(steps: Trace, lines: number[], options: CrashOptions = {}): string[] {
  return letters(crashImages(steps, { torn: false, ...options }), lines)
}

test('a store without a fence may or may not have reached the medium', () => {
  const steps = trace('store 0 a', 'flush 0', 'fence')
  assert.deepEqual(statesAt(steps, 0, [0]), ['-'])
  assert.deepEqual(statesAt(steps, 1, [0]), ['-', 'a'])
  assert.deepEqual(statesAt(steps, 2, [0]), ['-', 'a'])
  assert.deepEqual(statesAt(steps, 3, [0]), ['a'])
})

test('a fence without the flush makes nothing durable', () => {
  assert.deepEqual(statesAt(trace('store 0 a', 'fence', 'fence'), 3, [0]), ['-', 'a'])
})

test('a flush covers the stores before it only', () => {
  assert.deepEqual(statesAt(trace('store 0 a', 'flush 0', 'store 0 b', 'fence'), 4, [0]), ['a', 'b'])
  assert.deepEqual(statesAt(trace('flush 0', 'store 0 a', 'fence'), 3, [0]), ['-', 'a'])
})

test('a flush before an earlier fence does not serve a later store', () => {
  const steps = trace('store 0 a', 'flush 0', 'fence', 'store 0 b', 'fence')
  assert.deepEqual(statesAt(steps, 5, [0]), ['a', 'b'])
})

test('a non-temporal store needs the fence but no flush', () => {
  const steps = trace('nt 0 a', 'fence')
  assert.deepEqual(statesAt(steps, 1, [0]), ['-', 'a'])
  assert.deepEqual(statesAt(steps, 2, [0]), ['a'])
})

test('every later version of a line may be found, but no line goes back behind its last fence', () => {
  const steps = trace('store 0 a', 'flush 0', 'fence', 'store 0 b', 'store 0 c', 'store 0 d')
  assert.deepEqual(statesAt(steps, 6, [0]), ['a', 'b', 'c', 'd'])
})

test('lines are independent of each other', () => {
  const steps = trace('store 0 a', 'store 1 b', 'store 64 c')
  assert.deepEqual(statesAt(steps, 3, [0, 1, 64]), ['---', '--c', '-b-', '-bc', 'a--', 'a-c', 'ab-', 'abc'])
})

test('sync-all makes every store durable, flushed or not', () => {
  assert.deepEqual(statesAt(trace('store 0 a', 'store 1 b', 'sync'), 3, [0, 1]), ['ab'])
})

// A toy undo log: line 0 is the log (the old value of both data lines), lines 1 and 2 are the data, which must agree
// after recovery. Recovery: a log that is not 'x' (closed) or '-' (empty) puts its letter back on both lines.
const begin = ['nt 0 -', 'fence', 'nt 1 o', 'nt 2 o', 'fence', 'mark opened']
const commit = {
  log: 'nt 0 o',
  fence1: 'fence',
  data: ['store 1 n', 'flush 1', 'store 2 n', 'flush 2'],
  fence2: 'fence',
  close: ['mark done', 'nt 0 x', 'fence'],
}

/** True when recovery of this image gives the old or the new state whole, and the new one once it was acknowledged. */
function recovers(steps: Trace, options: CrashOptions = {}): boolean {
  for (const { image, point } of crashImages(steps, options)) {
    const marks = steps.events.marksBefore(point)
    if (marks.length === 0) continue
    const line = (index: number): string => Buffer.from(image).toString('latin1', index * 64, index * 64 + 64)
    const log = line(0)
    const data = log === 'o'.repeat(64) ? [log, log] : [line(1), line(2)]
    const whole = data[0] === data[1] && ['o'.repeat(64), 'n'.repeat(64)].includes(data[0])
    if (!whole) return false
    if (marks.length === 2 && log !== 'o'.repeat(64) && data[0][0] !== 'n') return false
  }
  return true
}

const good = [...begin, commit.log, commit.fence1, ...commit.data, commit.fence2, ...commit.close]

for (const points of ['new', 'every', 'frontier'] as const) {
  test(`points ${points}: the correct two-fence protocol holds, and each missing step is caught`, () => {
    assert.equal(recovers(trace(...good), { points }), true)
    const without = (step: string, nth: number): Trace => {
      const at = good.flatMap((other, index) => (other === step ? [index] : []))[nth]
      return trace(...good.slice(0, at), ...good.slice(at + 1))
    }
    assert.equal(recovers(without('fence', 2), { points }), false, 'no fence between log and data')
    assert.equal(recovers(without('fence', 3), { points }), false, 'no fence before the log is closed')
    assert.equal(recovers(without('flush 1', 0), { points }), false, 'a line was not flushed')
    assert.equal(recovers(without('flush 2', 0), { points }), false, 'a line was not flushed')
    assert.equal(recovers(without('nt 0 o', 0), { points }), false, 'no log')
  })
}

test('a line stored but not flushed before the fence is caught after the acknowledgement', () => {
  const steps = trace('store 0 a', 'fence', 'mark done')
  assert.ok(statesAt(steps, 3, [0], { points: 'new' }).includes('-'))
})

/** Distinct images as short digests, so that a failing comparison stays readable. */
function digests(steps: Trace, options: CrashOptions): string[] {
  const found = new Set<string>()
  for (const { image } of crashImages(steps, options)) found.add(createHash('md5').update(image).digest('hex'))
  return [...found].sort()
}

test('points new finds every image that points every finds', () => {
  const whole = trace(
    'store 0 a',
    'store 1 b',
    'flush 0',
    'store 0 c',
    'fence',
    'nt 2 d',
    'store 1 e',
    'store 64 f',
    'sync',
  )
  const few = trace('store 0 a', 'flush 0', 'nt 64 b', 'store 0 c', 'fence', 'store 64 e', 'sync')
  for (const model of ['cache-line', 'page', 'kill', 'byte'] as const) {
    for (const torn of [false, true]) {
      const steps = torn ? few : whole
      const options = { model, torn, exhaustiveLimit: 1e6 }
      const [onlyNew, every] = [
        digests(steps, { ...options, points: 'new' }),
        digests(steps, { ...options, points: 'every' }),
      ]
      assert.deepEqual(onlyNew, every, `${model}, torn ${torn}`)
    }
  }
})

test('no image is produced twice at one point when all are enumerated', () => {
  const steps = trace('store 0 a', 'store 1 b', 'store 0 -', 'store 0 a', 'store 1 b')
  const seen = new Set<string>()
  for (const { image } of crashImages(steps, { points: 'every', fromPoint: 5, torn: false })) {
    const key = Buffer.from(image).toString('latin1')
    assert.ok(!seen.has(key))
    seen.add(key)
  }
  assert.equal(seen.size, 4)
})

test('a line may be torn at eight-byte words, in every way when few words differ', () => {
  const events = new EventLog()
  const bytes = Buffer.alloc(LINE_BYTES, '-')
  for (const word of [0, 3, 7]) bytes.write('n', word * 8)
  events.appendStore(EVENT_STORE, 0, 0, bytes, 0, 1, 0)
  const found = new Set<string>()
  for (const { image } of crashImages({ image: Buffer.alloc(PAGE_BYTES, '-'), events })) {
    found.add([0, 8, 24, 56].map((offset) => String.fromCharCode(image[offset])).join(''))
  }
  assert.deepEqual([...found].sort(), ['----', '---n', '--n-', '--nn', 'n---', 'n--n', 'n-n-', 'n-nn'])
})

test('a line of eight new words is torn into each word alone new, each alone old, and some more', () => {
  const images = crashImages(trace('store 0 n'), { fromPoint: 1 })
  const found = new Set<string>()
  for (const { image } of images) {
    found.add([0, 1, 2, 3, 4, 5, 6, 7].map((word) => String.fromCharCode(image[word * 8])).join(''))
  }
  for (let word = 0; word < 8; word++) {
    assert.ok(found.has('-'.repeat(word) + 'n' + '-'.repeat(7 - word)))
    assert.ok(found.has('n'.repeat(word) + '-' + 'n'.repeat(7 - word)))
  }
  assert.ok(found.has('--------') && found.has('nnnnnnnn') && found.size > 18)
})

test('a killed process leaves an exact prefix of its stores', () => {
  const steps = trace('store 0 a', 'store 1 b', 'fence', 'nt 0 c', 'store 2 d')
  assert.deepEqual(statesOver(steps, [0, 1, 2], { model: 'kill' }), ['---', 'a--', 'ab-', 'cb-', 'cbd'])
})

test('after a kill, what the process had not flushed may still be lost with the power', () => {
  const killed = trace('store 0 a', 'store 1 b')
  const successor = trace('flush 0', 'fence', 'mark recovered')
  const joined = joinTraces(killed, 2, successor)
  assert.deepEqual(statesAt(joined, 5, [0, 1]), ['a-', 'ab'])
})

test('with eADR ordinary stores stay in order and non-temporal ones wait for the fence', () => {
  const ordinary = trace('store 0 a', 'store 1 b')
  assert.deepEqual(statesOver(ordinary, [0, 1], { model: 'byte' }), ['--', 'a-', 'ab'])
  const mixed = trace('nt 0 a', 'store 1 b', 'fence', 'store 2 c')
  assert.deepEqual(statesOver(mixed, [0, 1, 2], { model: 'byte' }), ['---', '-b-', 'a--', 'ab-', 'abc'])
})

test('a page is written back at any time, but one page shows its stores in order', () => {
  const steps = trace('store 0 a', 'store 1 b', 'store 64 c')
  assert.deepEqual(statesOver(steps, [0, 1, 64], { model: 'page' }), ['---', '--c', 'a--', 'a-c', 'ab-', 'abc'])
})

test('a page is torn at its sectors, and durable after an msync of it', () => {
  const steps = trace('store 0 a', 'store 8 b', 'flush 8', 'store 64 c', 'fence')
  assert.deepEqual(statesOver(steps, [0, 8], { model: 'page', torn: true }), ['--', '-b', 'a-', 'ab'])
  assert.deepEqual(statesAt(steps, 5, [0, 8, 64], { model: 'page' }), ['ab-', 'abc'])
})

test('growth leaves any size between old and new, filled with zeros', () => {
  const steps = trace('store 0 a', 'grow 7', 'store 384 b')
  const sizes = new Set<string>()
  for (const { image, point } of crashImages(steps, { torn: false })) {
    sizes.add(`${point}:${image.length / PAGE_BYTES}`)
    assert.ok(image.subarray(2 * PAGE_BYTES, 6 * PAGE_BYTES).every((byte) => byte === 0))
  }
  assert.deepEqual([...sizes].sort(), ['0:2', '1:2', '1:3', '1:4', '1:6', '2:7', '3:7'])
})

test('too many combinations are sampled within the limit, the telling ones first and without repetition', () => {
  const lines = Array.from({ length: 40 }, (_, line) => line)
  const steps = trace(...lines.map((line) => `store ${line} n`))
  const options: CrashOptions = { points: 'every', fromPoint: 40, torn: false, samples: 600 }
  const kinds = new Map<string, number>()
  const seen = new Set<string>()
  for (const state of crashImages(steps, options)) {
    assert.equal(state.exhaustive, false)
    const kind = state.label.slice(state.label.lastIndexOf(':') + 2)
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
    seen.add(Buffer.from(state.image).toString('latin1'))
  }
  assert.equal(seen.size, 600)
  assert.equal(
    [...kinds.values()].reduce((sum, count) => sum + count),
    600,
  )
  assert.deepEqual([kinds.get('all old'), kinds.get('all new')], [1, 1])
  assert.deepEqual([kinds.get('one new'), kinds.get('one old')], [40, 40])
  assert.ok((kinds.get('two new') ?? 0) > 20 && (kinds.get('two old') ?? 0) > 20 && (kinds.get('random') ?? 0) > 100)
})

test('the same seed gives the same images, another seed other ones', () => {
  const steps = trace(...Array.from({ length: 30 }, (_, line) => `store ${line} n`))
  const digest = (seed: number): string => {
    let text = ''
    for (const { image, label } of crashImages(steps, { fromPoint: 28, samples: 100, seed })) {
      text += label + Buffer.from(image.subarray(0, 2048)).toString('latin1')
    }
    return text
  }
  assert.equal(digest(3), digest(3))
  assert.notEqual(digest(3), digest(4))
})

test('a state describes which lines are old', () => {
  const steps = trace('store 0 a', 'store 65 b')
  const texts = [...crashImages(steps, { torn: false, fromPoint: 2 })].map((state) => state.describe())
  assert.ok(texts.length > 0)
  const all: string[] = []
  for (const state of crashImages(steps, { torn: false, fromPoint: 2 })) all.push(state.describe())
  assert.match(all.join('\n'), /after event 1, store 1:1 \(program 1 operation 0\): exhaustive \(point 2, seed 1\)/)
  assert.ok(all.some((text) => text.includes('line 0:0 holds version 0 of 1, line 1:1 holds version 0 of 1')))
  assert.ok(all.some((text) => text.endsWith('every line is new')))
})

test('stopping early leaves no patch behind, and models without a frontier say so', () => {
  const steps = trace('store 0 a')
  for (const state of crashImages(steps)) {
    if (state.point === 1) break
  }
  assert.equal(steps.image[0], '-'.charCodeAt(0))
  assert.throws(() => [...crashImages(steps, { model: 'kill', points: 'frontier' })], RangeError)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Measurement } from '../../bench/jobs.js'
import { runWorkload, turnsOf, type RunSettings } from '../../bench/run.js'
import { Unavailable } from '../../bench/unavailable.js'
import type { Workload } from '../../bench/workload.js'
import { ratioRow, workloadOf } from './support.js'

/** No files and no processes: the workloads here measure nothing. */
function settings(over: Partial<RunSettings> = {}): RunSettings {
  return { keys: 1000, rounds: 5, report: () => undefined, ...over } as unknown as RunSettings
}

function workload(measure: (id: string, round: number) => Measurement): Workload {
  return {
    ...workloadOf([ratioRow]),
    measure: async (context, subject) => measure(subject.id, context.round),
  }
}

const figure = (usPerOperation: number, checksum = 1): Measurement => ({ metrics: { usPerOperation }, checksum })

test('each round begins with another subject', () => {
  assert.deepEqual(turnsOf(['a', 'b', 'c'], 0), ['a', 'b', 'c'])
  assert.deepEqual(turnsOf(['a', 'b', 'c'], 1), ['b', 'c', 'a'])
  assert.deepEqual(turnsOf(['a', 'b', 'c'], 3), ['a', 'b', 'c'])
  assert.deepEqual(turnsOf([], 2), ['machine'])
})

test('figures of a subject stand in the order of the rounds', async () => {
  const { series } = await runWorkload(
    workload((id, round) => figure(id === 'daxkv' ? round : 10 + round)),
    settings(),
  )
  assert.deepEqual(series.get('daxkv')?.get('usPerOperation'), [0, 1, 2, 3, 4])
  assert.deepEqual(series.get('lmdb')?.get('usPerOperation'), [10, 11, 12, 13, 14])
})

test('a run that is late leaves out rounds beyond the third, never fewer', async () => {
  const rounds = async (late: boolean): Promise<number | undefined> => {
    const { series } = await runWorkload(
      workload(() => figure(1)),
      settings({ late: () => late }),
    )
    return series.get('daxkv')?.get('usPerOperation')?.length
  }
  assert.equal(await rounds(true), 3)
  assert.equal(await rounds(false), 5)
})

test('a subject that fails or is not there costs the others nothing', async () => {
  const run = (error: Error): ReturnType<typeof runWorkload> =>
    runWorkload(
      workload((id, round) => {
        if (id === 'lmdb' && round === 1) throw error
        return figure(1)
      }),
      settings(),
    )
  const failed = await run(new Error('broke'))
  assert.deepEqual([...failed.failures], [['lmdb', 'broke']])
  assert.equal(failed.series.has('lmdb'), false)
  assert.equal(failed.series.get('daxkv')?.get('usPerOperation')?.length, 5)
  const missing = await run(new Unavailable('not installed'))
  assert.deepEqual([...missing.skipped], [['lmdb', 'not installed']])
  assert.equal(missing.failures.size, 0)
})

test('engines that read different data end the run', async () => {
  await assert.rejects(
    runWorkload(
      workload((id) => figure(1, id === 'daxkv' ? 1 : 2)),
      settings(),
    ),
    /did not read the same data: daxkv 1, lmdb 2/,
  )
})

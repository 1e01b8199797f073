import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundle, ROOT } from '../src/bundle.js'
import { runOperands } from '../src/hostile/operand-runs.js'
import { runCampaign } from '../src/hostile/supervisor.js'
import { buildSanitized } from '../src/sanitized-addon.js'
import type { SuiteOptions, SuiteRow } from './suite.js'

const IMAGES = { quick: 150, full: 2_000, long: 20_000 }
const PROGRAMS = { quick: 3_000, full: 30_000, long: 600_000 }
/** Native tests that say nothing about signals and workers, which the sanitizers have their own mind about. */
const TESTS = ['native-executor', 'native-growth', 'native-faults', 'native-xxh64', 'executors-differential']

/** The native tests, hostile programs and hostile files again, on an addon that reports every bad access. */
export async function* sanitizers({ amount, seed, progress }: SuiteOptions): AsyncGenerator<SuiteRow> {
  progress?.('building the addon with sanitizers')
  const built = buildSanitized()
  if (typeof built === 'string') {
    yield { name: 'sanitizers', result: built }
    return
  }
  const { env } = built
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'daxkv-sanitizers-'))
  const hostileWorker = await bundle('hostile/hostile-worker.ts', 'sanitized-hostile')
  const operandWorker = await bundle('hostile/operand-worker.ts', 'sanitized-operands')
  try {
    progress?.('hostile programs under sanitizers')
    const counts = runOperands({ worker: operandWorker, seed, programs: PROGRAMS[amount], directory, env })
    yield { name: 'sanitizers, programs', result: `${counts.accepted} run, ${counts.refused} refused, no report` }
    const images = IMAGES[amount]
    await runCampaign({ worker: hostileWorker, seed, from: 0, images, native: true, directory, env })
    yield { name: 'sanitizers, files', result: `${images} hostile files, no report` }
    progress?.('native tests under sanitizers')
    const files = TESTS.map((name) => `test/pmem/${name}.test.ts`)
    const run = spawnSync(process.execPath, ['--import', 'tsx', '--test', '--test-reporter=tap', ...files], {
      cwd: ROOT,
      // With this of a test that we are part of, node would run none of them and succeed.
      env: { ...env, NODE_TEST_CONTEXT: undefined },
      encoding: 'utf8',
    })
    const passed = Number(/^# pass (\d+)$/m.exec(run.stdout)?.[1] ?? 0)
    if (run.status !== 0 || passed === 0)
      throw new Error(`native tests fail under sanitizers:\n${run.stdout.slice(-6000)}${run.stderr.slice(-6000)}`)
    yield {
      name: 'sanitizers, native tests',
      result: `${passed} tests passed, no report`,
    }
  } finally {
    unlinkSync(hostileWorker)
    unlinkSync(operandWorker)
    rmSync(directory, { recursive: true, force: true })
  }
}
